"""PromQL: divide every duration of an expression by the time scale, and prove that nothing else changed."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from operator import attrgetter
from typing import Any

import promql_parser

from harness.alerts import durations

# The parser's own printer can't be used to write an expression: it drops milliseconds, the colon of `[5m:]` and the
# backslashes of a regular expression. So durations are replaced where they stand, and the parser proves the result.
_DURATION = r"\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*|\d+"
_TOKEN = re.compile(
    rf"""
      (?P<skipped> \#[^\n]* | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | `[^`]*` )
    | \[ \s* (?P<range>{_DURATION}) \s* (?: : \s* (?P<step>{_DURATION})? \s* )? \]
    | (?<![\w:]) offset (?: \s+ | \s* - \s* ) (?P<offset>{_DURATION}) (?!\w)
    """,
    re.VERBOSE | re.IGNORECASE,
)


def parse(expr: str) -> Any:
    """The syntax tree of `expr`. Raises ValueError, saying what is wrong, where it is not PromQL."""
    try:
        return promql_parser.parse(_TOKEN.sub(_plain_string, expr))
    except ValueError as cause:
        raise ValueError(f"not PromQL: {cause}") from cause


def _plain_string(found: re.Match[str]) -> str:
    """A string in backticks as one in double quotes: the parser wants escapes even where PromQL has none."""
    text = found.group()
    return json.dumps(text[1:-1], ensure_ascii=False) if text.startswith("`") else text


def scale_durations(expr: str, scale: float) -> str:
    """`expr` with its ranges, its subqueries' ranges and steps and its offsets divided by `scale`; all else is left
    as written. Raises ValueError for a duration that can't be scaled, or an expression that we can't rewrite."""
    result = _TOKEN.sub(lambda found: _scaled_token(found, scale), expr)
    before, after = _shape(parse(expr), scale), _shape(parse(result), 1)
    if before != after:
        raise ValueError("its durations can't be told apart from the rest")
    return result


def _scaled_token(found: re.Match[str], scale: float) -> str:
    text, start = found.group(), found.start()
    for name in ("offset", "step", "range"):  # from the back, so that what stands before keeps its place
        if found.group(name) is not None:
            begin, end = found.start(name) - start, found.end(name) - start
            text = text[:begin] + durations.scaled(_with_unit(found.group(name)), scale) + text[end:]
    return text


def _with_unit(text: str) -> str:
    """A bare number stands for seconds."""
    return f"{text}s" if text.isdigit() and text != "0" else text


# What each kind of node means, besides its children.
_PARTS = {
    promql_parser.VectorSelector: ("name", "matchers", "offset", "at"),
    promql_parser.MatrixSelector: ("range",),
    promql_parser.SubqueryExpr: ("range", "step", "offset", "at"),
    promql_parser.NumberLiteral: ("val",),
    promql_parser.StringLiteral: ("val",),
    promql_parser.Call: ("func.name",),
    promql_parser.BinaryExpr: ("op", "modifier"),
    promql_parser.AggregateExpr: ("op", "modifier", "param"),
}


def _shape(tree: Any, scale: float) -> list[tuple[str, ...]]:
    """All that an expression means, node by node; durations in milliseconds, divided by `scale`."""

    def said(value: object) -> str:
        return str(round(value.total_seconds() * 1000 / scale)) if isinstance(value, timedelta) else str(value)

    nodes: list[tuple[str, ...]] = []

    def visit(node: Any) -> None:
        parts = (attrgetter(part)(node) for part in _PARTS.get(type(node), ()))
        nodes.append((type(node).__name__, *map(said, parts)))

    promql_parser.walk(tree, visit)
    return nodes


def same(one: str, other: str) -> bool:
    """Whether two expressions mean the same, node by node. Raises ValueError where one is not PromQL."""
    return _shape(parse(one), 1) == _shape(parse(other), 1)


def ranges(expr: str) -> list[timedelta]:
    """The ranges of `expr`'s range selectors, subqueries left out."""
    found: list[timedelta] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.range)

    promql_parser.walk(parse(expr), visit)
    return found


def memory(expr: str) -> timedelta:
    """How far back `expr` looks at least, in all that it reads: its shortest range, and zero where it reads the
    present value of anything. Raises ValueError where it is not PromQL."""
    present = 0

    def visit(node: Any) -> None:
        nonlocal present
        present += {promql_parser.VectorSelector: 1, promql_parser.MatrixSelector: -1}.get(type(node), 0)

    promql_parser.walk(parse(expr), visit)  # each range selector has a selector inside
    return min(ranges(expr), default=timedelta(0)) if present == 0 else timedelta(0)
