"""Expression: a PromQL expression as a tree that can be changed in one place and written again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

import promql_parser

from harness.alerts import promql
from harness.alerts.selectors import Matcher, selector_of

Kind = Literal["number", "string", "vector", "matrix", "subquery", "call", "binary", "aggregate", "paren", "minus"]
Path = tuple[int, ...]
"""Where a node stands: which part of the root, which part of that, and so on."""
COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
_UNITS = ((3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `text` is the number, the string, or the name of the metric, function, operator or aggregation;
    `modifier` what follows an operator or an aggregation; `at` an `@` with its instant. Times are in milliseconds."""

    kind: Kind
    text: str = ""
    parts: tuple[Node, ...] = ()
    matchers: tuple[Matcher, ...] = ()
    range: int = 0
    step: int = 0
    offset: int = 0
    at: str = ""
    modifier: str = ""

    def __str__(self) -> str:
        return _WRITERS[self.kind](self)


def read(expr: str) -> Node:
    """The tree of `expr`. Raises ValueError where it is not PromQL, or can't be written again as the same."""
    node = _node(promql.parse(expr))
    if not promql.same(str(node), expr):
        raise ValueError("this expression can't be taken apart and put together again")
    return node


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every node with its place, from the root down."""
    yield path, node
    for number, part in enumerate(node.parts):
        yield from walk(part, (*path, number))


def put(node: Node, path: Path, new: Node) -> Node:
    """`node` with `new` in place of what stands at `path`."""
    if not path:
        return new
    parts = [put(part, path[1:], new) if number == path[0] else part for number, part in enumerate(node.parts)]
    return replace(node, parts=tuple(parts))


def normal(node: Node) -> Node:
    """`node` without what means nothing: parentheses and the order of matchers. Two expressions with the same normal
    form are the same expression; the converse is not said."""
    if node.kind == "paren":
        return normal(node.parts[0])
    matchers = tuple(sorted(node.matchers, key=str))
    return replace(node, parts=tuple(normal(part) for part in node.parts), matchers=matchers)


def say_time(count: int) -> str:
    """`count` milliseconds in Prometheus' notation, in the largest unit that divides them."""
    size, unit = next((one for one in _UNITS if count % one[0] == 0 and count >= one[0]), _UNITS[-1])
    return f"{count // size}{unit}"


# -- reading -----------------------------------------------------------------------------------------------------


def _node(tree: Any) -> Node:  # noqa: C901 - one case for each kind of node, and no more than that
    match tree:
        case promql_parser.NumberLiteral():
            return Node("number", f"{tree.val:.15g}")
        case promql_parser.StringLiteral():
            return Node("string", tree.val)
        case promql_parser.ParenExpr():
            return Node("paren", parts=(_node(tree.expr),))
        case promql_parser.UnaryExpr():
            return Node("minus", parts=(_node(tree.expr),))
        case promql_parser.VectorSelector():
            return _vector(tree)
        case promql_parser.MatrixSelector():
            return Node("matrix", parts=(_vector(tree.vector_selector),), range=_ms(tree.range))
        case promql_parser.SubqueryExpr():
            inside = _node(tree.expr)
            length, step, offset = _ms(tree.range), _ms(tree.step), _ms(tree.offset)
            return Node("subquery", parts=(inside,), range=length, step=step, offset=offset, at=_said(tree.at))
        case promql_parser.Call():
            return Node("call", tree.func.name, tuple(_node(one) for one in tree.args))
        case promql_parser.BinaryExpr():
            return Node("binary", str(tree.op), (_node(tree.lhs), _node(tree.rhs)), modifier=_said(tree.modifier))
        case promql_parser.AggregateExpr():
            parts = tuple(_node(one) for one in (tree.param, tree.expr) if one is not None)
            return Node("aggregate", str(tree.op), parts, modifier=_said(tree.modifier))
    raise ValueError(f"{type(tree).__name__} is not known here")


def _vector(tree: Any) -> Node:
    if tree.matchers.or_matchers:
        raise ValueError("matchers joined by `or` are not known here")
    name, matchers = tree.name or "", selector_of(tree).matchers
    return Node("vector", name, matchers=matchers[bool(name) :], offset=_ms(tree.offset), at=_said(tree.at))


def _ms(length: timedelta | None) -> int:
    return 0 if length is None else round(length / timedelta(milliseconds=1))


def _said(part: object) -> str:
    return "" if part is None else str(part).strip()


# -- writing -----------------------------------------------------------------------------------------------------


def _selector(node: Node) -> str:
    matchers = ",".join(map(str, node.matchers))
    return node.text + (f"{{{matchers}}}" if matchers or not node.text else "")


def _suffix(node: Node) -> str:
    at = f" {node.at}" if node.at else ""
    sign = "-" if node.offset < 0 else ""
    return at + (f" offset {sign}{say_time(abs(node.offset))}" if node.offset else "")


def _matrix(node: Node) -> str:
    (vector,) = node.parts
    return f"{_selector(vector)}[{say_time(node.range)}]{_suffix(vector)}"


def _subquery(node: Node) -> str:
    step = say_time(node.step) if node.step else ""
    return f"{node.parts[0]}[{say_time(node.range)}:{step}]{_suffix(node)}"


def _binary(node: Node) -> str:
    return f"{node.parts[0]} {' '.join(filter(None, (node.text, node.modifier)))} {node.parts[1]}"


def _listed(node: Node) -> str:
    return "(" + ", ".join(map(str, node.parts)) + ")"


_WRITERS: Mapping[Kind, Callable[[Node], str]] = {
    "number": lambda node: node.text,
    "string": lambda node: json.dumps(node.text, ensure_ascii=False),
    "vector": lambda node: _selector(node) + _suffix(node),
    "matrix": _matrix,
    "subquery": _subquery,
    "call": lambda node: node.text + _listed(node),
    "binary": _binary,
    "aggregate": lambda node: " ".join(filter(None, (node.text, node.modifier))) + _listed(node),
    "paren": _listed,
    "minus": lambda node: f"-{node.parts[0]}",
}
