"""Shadow: a project's folder in which one file differs, made of links to everything else in it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from harness.alerts.rules import WrittenRule, read_rules
from harness.alerts.yaml_text import YamlText, entries, items, scalar
from harness.errors import UsageError

_WIDTH = 1_000_000  # no line is folded


@contextmanager
def shadow(project: Path, file: Path, text: str) -> Iterator[Path]:
    """A folder like `project`, in which `file` holds `text`; it is gone afterwards. Raises UsageError for a file that
    is not in the project."""
    project = project.resolve()
    try:
        inside = file.resolve().relative_to(project)
    except ValueError as cause:
        raise UsageError(f"{file} is not below {project}", hint="a mutant can run live where its rules are") from cause
    with TemporaryDirectory(prefix="gd-") as name:
        here, there = Path(name), project
        for part in inside.parts:
            for other in there.iterdir():
                if other.name != part:
                    (here / other.name).symlink_to(other)
            here, there = here / part, there / part
            if there.is_dir():
                here.mkdir()
        here.write_text(text, encoding="utf-8")
        yield Path(name)


def rewritten(text: str, rule: WrittenRule, changed: WrittenRule | None) -> str:
    """The rules file `text` with `rule` changed, or without it. Comments are lost: nobody reads this file."""
    place = read_rules(text, rule.source).index(rule)  # its name may be that of others
    return _with_rules(text, lambda number, old: _rewritten(old, changed) if number == place else old)


def only(text: str, alerts: Container[str]) -> str:
    """The rules file `text` without the alerts that are not among `alerts`."""

    def kept(_: int, rule: Node) -> Node | None:
        alert = scalar(entries(rule).get("alert"))
        return rule if alert is None or alert in alerts else None

    return _with_rules(text, kept)


def _with_rules(text: str, change: Callable[[int, Node], Node | None]) -> str:
    """`text` with another rule in place of each, by its number in the file, or none. All other values are written as
    they were: what is a number or a truth to Prometheus' parser need not be one to ours."""
    root = YamlText(text, "rules").root
    number = 0
    for group in items(entries(root).get("groups")):
        rules = entries(group).get("rules")
        if isinstance(rules, SequenceNode):
            some = list(enumerate(rules.value, number))
            number += len(some)
            rules.value = [new for at, old in some if (new := change(at, old)) is not None]
    return str(yaml.serialize(root, width=_WIDTH, allow_unicode=True))


def _rewritten(old: Node, changed: WrittenRule | None) -> Node | None:
    if changed is None:
        return None
    new = {**entries(old), "expr": _text(changed.expr)}
    new["labels"] = _mapping({name: _text(value) for name, value in changed.labels.items()})
    for key, length in (("for", changed.hold), ("keep_firing_for", changed.keep)):
        new.pop(key, None)
        if length:
            new[key] = _text(f"{round(length / timedelta(milliseconds=1))}ms")
    return _mapping(new)


def _text(value: str) -> Node:
    return ScalarNode("tag:yaml.org,2002:str", value)


def _mapping(values: Mapping[str, Node]) -> Node:
    return MappingNode("tag:yaml.org,2002:map", [(_text(key), value) for key, value in values.items()])
