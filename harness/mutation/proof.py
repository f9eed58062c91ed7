"""Proof: why no series can tell two PromQL expressions apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from harness.mutation.expression import COMPARISONS, Node, normal

_ARITHMETIC = frozenset("+-*/%^")
# Of one value these make the value itself.
_SINGLE = ("max", "min", "sum", "avg")
_FOLDING = (*_SINGLE, "count", "group", "stddev", "stdvar", "quantile")
_BY = re.compile(r"by \((.*)\)")


def same(one: Node, other: Node) -> str:
    """Why the two give the same alerts with the same values for every set of float series; empty where that is not
    proven, which is not to say that they differ."""
    for why, form in _FORMS:
        if normal(form(one)) == normal(form(other)):
            return why
    return ""


def labels(node: Node) -> frozenset[str] | None:
    """The labels that what `node` gives has at most; None where it may have others, or the name of a metric."""
    match node.kind:
        case "paren" | "minus":
            return labels(node.parts[0])
        case "aggregate" if node.text in _FOLDING:
            return _by(node)
        case "call" if node.text == "histogram_quantile":
            inside = labels(node.parts[1])
            return None if inside is None else inside - {"le"}
        case "binary" if not node.modifier and (node.text in _ARITHMETIC or node.text in COMPARISONS):
            sides = [labels(part) for part in node.parts if part.kind != "number"]
            known = [side for side in sides if side is not None]
            # Two vectors match on all of their labels.
            return frozenset.intersection(*known) if known and len(known) == len(sides) else None
    return None


def _by(node: Node) -> frozenset[str] | None:
    if not node.modifier:
        return frozenset()
    found = _BY.fullmatch(node.modifier)
    return frozenset(name.strip() for name in found[1].split(",")) - {""} if found else None


def _alone(node: Node) -> Node:
    """`node` without the aggregations of which each group has one series only: no two have the same labels."""
    if node.kind == "aggregate" and node.text in _SINGLE:
        (inside,) = node.parts
        kept, given = _by(node), labels(inside)
        if kept is not None and given is not None and given <= kept:
            return _alone(inside)
    return replace(node, parts=tuple(map(_alone, node.parts)))


def _unscaled(node: Node) -> Node:
    """`node` with `rate` for `increase`, which is the rate times the range, where a factor makes no difference:
    compared with zero, and in a quantile of buckets, where it cancels out (but for rounding)."""
    parts = node.parts
    if node.kind == "binary" and node.text == "==" and not node.modifier and _is_zero(parts[1]):
        parts = (_as_rate(parts[0]), parts[1])
    elif node.kind == "call" and node.text == "histogram_quantile":
        parts = (parts[0], _as_rate(parts[1]))
    return replace(node, parts=tuple(map(_unscaled, parts)))


def _is_zero(node: Node) -> bool:
    return node.kind == "number" and float(node.text) == 0


def _as_rate(node: Node) -> Node:
    """What only gathers increases gathers rates in their place: as they all have one range, it is all one factor."""
    if node.kind == "call" and node.text == "increase":
        return replace(node, text="rate")
    if node.kind == "paren" or (node.kind == "aggregate" and node.text in _SINGLE):
        return replace(node, parts=tuple(map(_as_rate, node.parts)))
    return node


_FORMS: tuple[tuple[str, Callable[[Node], Node]], ...] = (
    ("the parser reads the same rule", lambda node: node),
    ("each group that was added holds one series, with the labels that it has anyway", _alone),
    ("an increase is the rate times a number, which makes no difference here", _unscaled),
)
