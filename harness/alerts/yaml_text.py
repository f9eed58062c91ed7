"""YAML text: change single values of a YAML document and leave every other character as it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from harness.errors import UsageError

_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"
_ANCHOR_OR_TAG = re.compile(r"(?:[&!]\S*\s+)*")


class YamlText:
    """A document read for its values and where each of them stands. Changes are collected, `text()` applies them.

    Raises UsageError, naming `source`, for what is not one YAML document.
    """

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._edits: dict[tuple[int, int], list[str]] = {}
        try:
            self.root: Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as cause:
            raise UsageError(f"{source} is not YAML: {' '.join(str(cause).split())}", hint="mend the file") from cause

    def replace(self, node: ScalarNode, value: str) -> None:
        """Write `value` in place of `node`. A node that an alias repeats is written once, as it stands once."""
        start, end = node.start_mark.index, node.end_mark.index
        written = self._text[start:end]
        kept = _ANCHOR_OR_TAG.match(written)
        lines = written[len(written.rstrip("\n")) :]  # a block scalar reaches to the beginning of the next line
        self._edits[start, end] = [(kept.group() if kept else "") + _quoted(value) + lines]

    def insert(self, mapping: Node | None, key: str, value: str) -> None:
        """Put `key: value` in front of `mapping`'s other entries; a mapping left empty (`key:`) becomes one."""
        if isinstance(mapping, MappingNode) and mapping.value:
            first = mapping.value[0][0].start_mark
            joint = ", " if mapping.flow_style else "\n" + " " * first.column
            self._edits.setdefault((first.index, first.index), []).append(f"{key}: {value}{joint}")
        elif isinstance(mapping, MappingNode):
            inside = mapping.end_mark.index - 1
            joint = ", " if (inside, inside) in self._edits else ""
            self._edits.setdefault((inside, inside), []).append(f"{joint}{key}: {value}")
        elif mapping is not None:
            at = mapping.start_mark.index
            after = self._edits.setdefault((at, mapping.end_mark.index), [" {", "}"])
            after.insert(-1, f"{', ' if len(after) > 2 else ''}{key}: {value}")

    def text(self) -> str:
        """The document with all changes."""
        text = self._text
        for (start, end), parts in sorted(self._edits.items(), reverse=True):
            text = text[:start] + "".join(parts) + text[end:]
        return text


def entries(node: Node | None) -> Mapping[str, Node]:
    """The entries of a mapping, those merged into it (`<<`) included; empty for anything else."""
    found: dict[str, Node] = {}
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.tag == _MERGE:
                sources = value.value if isinstance(value, SequenceNode) else [value]
                for source in sources:
                    found = {**entries(source), **found}
        own = {key.value: value for key, value in node.value if key.tag != _MERGE and isinstance(key, ScalarNode)}
        found = {**found, **own}
    return found


def items(node: Node | None) -> Sequence[Node]:
    """The items of a sequence; empty for anything else."""
    return node.value if isinstance(node, SequenceNode) else ()


def scalar(node: Node | None) -> str | None:
    """A scalar as it is written, without quotes; None for anything else, and for a value left empty."""
    return node.value if isinstance(node, ScalarNode) and node.tag != _NULL else None


def mappings(node: Node | None) -> Iterator[MappingNode]:
    """Every mapping at and below `node`, each once."""
    seen: set[int] = set()
    todo = [node]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, MappingNode):
            yield one
            todo.extend(value for _, value in one.value)
        elif isinstance(one, SequenceNode):
            todo.extend(one.value)


def _quoted(value: str) -> str:
    if re.fullmatch(r"[0-9]+[a-z]+", value):
        return value
    # In single quotes YAML folds lines, which would end a PromQL comment too late; a JSON string is YAML too.
    return json.dumps(value, ensure_ascii=False) if "\n" in value else "'" + value.replace("'", "''") + "'"
