"""Selectors: the series that an expression reads, found by the PromQL parser."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser

from harness.alerts.promql import parse

_PLAIN_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OPERATORS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label matcher; `operator` is =, !=, =~ or !~."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        label = self.label if _PLAIN_NAME.fullmatch(self.label) else json.dumps(self.label)
        # A JSON string is a valid PromQL string.
        return f"{label}{self.operator}{json.dumps(self.value, ensure_ascii=False)}"

    def allows(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with `labels` can match; one that can't be decided here can."""
        value = labels.get(self.label, "")
        if self.operator in ("=", "!="):
            return (value == self.value) == (self.operator == "=")
        try:
            found = re.fullmatch(self.value, value) is not None
        except re.error:  # Prometheus' expressions are not quite Python's
            return True
        return found == (self.operator == "=~")


@dataclass(frozen=True, slots=True)
class Selector:
    """An instant vector selector without its offset. `metric` is empty where no single name is given."""

    metric: str
    matchers: tuple[Matcher, ...]

    def __str__(self) -> str:
        return "{" + ",".join(map(str, self.matchers)) + "}"

    def by_name(self) -> str:
        """The selector of every series of the same metric; the selector itself where the metric has no one name."""
        return str(Selector(self.metric, (Matcher("__name__", "=", self.metric),))) if self.metric else str(self)

    def may_read(self, target: Mapping[str, str]) -> bool:
        """Whether the job and the instance of `target` are among those that it selects."""
        return all(matcher.allows(target) for matcher in self.matchers if matcher.label in ("job", "instance"))


def reads(expr: str, recorded: Mapping[str, str] | None = None) -> tuple[Selector, ...]:
    """Every selector in `expr`. A series that a recording rule makes (`recorded`: its name to its expression) is
    traced back to what that rule reads. Raises ValueError for what is not PromQL."""
    sources = recorded or {}
    found: dict[Selector, None] = {}
    traced: set[str] = set()
    todo = [expr]
    while todo:
        for selector in _selectors(todo.pop()):
            if selector.metric not in sources:
                found[selector] = None
            elif selector.metric not in traced:
                traced.add(selector.metric)
                todo.append(sources[selector.metric])
    return tuple(found)


def _selectors(expr: str) -> list[Selector]:
    found: list[Selector] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(selector_of(node))

    promql_parser.walk(parse(expr), visit)
    return found


def selector_of(node: Any) -> Selector:
    """The selector of a parsed vector selector, its offset left out."""
    matchers = [Matcher(one.name, _OPERATORS[str(one.op)], one.value) for one in node.matchers.matchers]
    if node.name:
        matchers.insert(0, Matcher("__name__", "=", node.name))
    names = [one.value for one in matchers if one.label == "__name__" and one.operator == "="]
    return Selector(names[0] if names else "", tuple(matchers))
