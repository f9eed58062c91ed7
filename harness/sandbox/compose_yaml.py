"""Compose YAML: a compose file as plain values, merge keys and `${VARIABLES}` resolved as Compose does."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

Report = Callable[[str], None]  # takes one problem, in words


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars, as Compose reads them: `22:22` is text (in YAML 1.1 a base-60 number), and so is `on`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    changed = {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp"}
    kept = {
        first: [(tag, pattern) for tag, pattern in pairs if tag not in changed]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for letter in "tTfF":
        kept.setdefault(letter, []).append(
            ("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"))
        )
    for letter in "-+0123456789":
        kept.setdefault(letter, []).append(
            ("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*|0x[0-9a-fA-F]+)$"))
        )
    return kept


_Loader.yaml_implicit_resolvers = _resolvers()


def load(text: str) -> Any:
    """The document in `text`. Raises yaml.YAMLError, with the line, where it is none."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with fewer implicit types


_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{)")
_BRACED = re.compile(r"([A-Za-z_]\w*)(?:(:?[-?+])(.*))?", re.DOTALL)


def interpolated(value: Any, environ: Mapping[str, str], report: Report, where: str) -> Any:
    """`value` with the variables in all its texts filled in: `$A ${A} ${A:-default} ${A-default} ${A:?why} ${A?why}
    ${A:+other} ${A+other} $$`, nested ones too. Keys are left alone, as Compose leaves them."""
    if isinstance(value, dict):
        return {key: interpolated(item, environ, report, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, environ, report, f"{where}[{at}]") for at, item in enumerate(value)]
    return _fill(value, environ, report, where) if isinstance(value, str) and "$" in value else value


def _fill(text: str, environ: Mapping[str, str], report: Report, where: str) -> str:
    done: list[str] = []
    at = 0
    while match := _VARIABLE.search(text, at):
        done.append(text[at : match.start()])
        at = match.end()
        if match[1]:
            done.append("$")
        elif match[2]:
            done.append(environ.get(match[2], ""))
        else:
            end = _closing(text, at)
            inner = _BRACED.fullmatch(text[at:end]) if end is not None else None
            if end is None or inner is None:
                report(f"{where}: {text!r} has a `${{` that Compose can't read (a literal dollar is written `$$`)")
                return text
            done.append(_value_of(inner, environ, report, where))
            at = end + 1
    return "".join([*done, text[at:]])


def _closing(text: str, start: int) -> int | None:
    depth = 1
    for at in range(start, len(text)):
        if text.startswith("${", at):
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    return None


def _value_of(inner: re.Match[str], environ: Mapping[str, str], report: Report, where: str) -> str:
    name, operator, word = inner[1], inner[2] or "", inner[3] or ""
    value = environ.get(name)
    usable = value if value or not operator.startswith(":") else None
    if operator.endswith("-"):
        return usable if usable is not None else _fill(word, environ, report, where)
    if operator.endswith("+"):
        return _fill(word, environ, report, where) if usable is not None else ""
    if operator.endswith("?") and usable is None:
        report(f"{where}: the variable {name} is not set: {_fill(word, environ, report, where) or 'it is required'}")
    return value or ""


def read_variables(path: Path) -> dict[str, str]:
    """The `NAME=value` lines of an environment file; quotes around a value are taken off, `#` lines are comments.
    Raises OSError, and ValueError (not UTF-8)."""
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        stripped = line.strip().removeprefix("export ").strip()
        if not stripped or stripped.startswith("#") or "=" not in stripped:
            continue
        name, _, value = stripped.partition("=")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        else:
            value = re.split(r"\s#", value, maxsplit=1)[0].rstrip()
        found[name.strip()] = value
    return found
