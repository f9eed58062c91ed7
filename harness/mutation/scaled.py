"""Scaled: a rule as it is loaded where time runs faster, and whether it can be tried there at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from harness.alerts import promql
from harness.alerts.meaning import ANY, Meaning
from harness.alerts.rules import WrittenRule
from harness.model.record import Rule
from harness.mutation.expression import Node, normal, put, read, walk

# A rounding to whole milliseconds that shifts a time by more than this share makes another rule of it.
_LARGEST_SHIFT = 0.01
_COUNTED = ("rate", "irate", "increase")


def scaled(rule: WrittenRule, scale: float) -> dict[str, Any]:
    """`rule` as an entry of a rules file for a Prometheus whose time runs `scale` times as fast, its annotations left
    out. Raises ValueError, saying why, where it would not mean the same.

    What a counter grows by in a range is its rate times the range, and the rate is what no time scale changes: so
    `increase(x[5m])` becomes `rate(x[…]) * 300`.
    """
    tree = read(rule.expr)
    if scale != 1:
        tree = _without_increase(tree)
        meaning = Meaning()
        power = meaning.of(promql.parse(str(tree)))
        problems = list(dict.fromkeys(meaning.problems))
        if rule.kind == "record" and power.counts and power != ANY:
            problems.append(f"it records {power.said()}")
        if problems:
            raise ValueError("; ".join(problems))
    for path, node in list(walk(tree)):
        times = {name: _divided(getattr(node, name), scale) for name in ("range", "step", "offset")}
        here = _at(tree, path)
        tree = put(tree, path, replace(here, range=times["range"], step=times["step"], offset=times["offset"]))
    plain: dict[str, Any] = {rule.kind: rule.name, "expr": str(tree), "labels": dict(rule.labels)}
    for key, length in (("for", rule.hold), ("keep_firing_for", rule.keep)):
        if length:
            plain[key] = f"{_divided(round(length / timedelta(milliseconds=1)), scale)}ms"
    return plain


def loaded(rule: WrittenRule, scale: float) -> Rule:
    """`rule` as a record has it that was made with it."""
    hold = rule.hold.total_seconds() / scale
    return Rule(name=rule.name, expr=scaled(rule, scale)["expr"], hold=hold, labels=dict(rule.labels), health="ok")


def is_loaded(rule: WrittenRule, found: Rule, scale: float) -> bool:
    """Whether `found` in a record is `rule`. Raises ValueError where that can't be told."""
    same = normal(read(scaled(rule, scale)["expr"])) == normal(read(found.expr))
    held = abs(rule.hold.total_seconds() / scale - found.hold) <= 0.002
    return same and held and dict(found.labels) == dict(rule.labels)


def counters(rule: WrittenRule) -> frozenset[str]:
    """The metrics that `rule` takes for counters."""
    calls = [node for _, node in walk(read(rule.expr)) if node.kind == "call" and node.text in _COUNTED]
    return frozenset(node.text for call in calls for _, node in walk(call) if node.kind == "vector")


def looks_back(rule: WrittenRule, scale: float) -> float:
    """How far back `rule` looks at most, in wall seconds at `scale`."""
    return _back(read(rule.expr)) / 1000 / scale


def _back(node: Node) -> int:
    inside = max((_back(part) for part in node.parts), default=0)
    return inside + node.range + max(0, node.offset)


def _without_increase(tree: Node) -> Node:
    for path, node in list(walk(tree)):
        if node.kind == "call" and node.text == "increase" and node.parts[0].kind == "matrix":
            seconds = Node("number", f"{node.parts[0].range / 1000:.15g}")
            product = Node("binary", "*", (replace(node, text="rate"), seconds))
            return _without_increase(put(tree, path, Node("paren", parts=(product,))))
    return tree


def _at(tree: Node, path: tuple[int, ...]) -> Node:
    for number in path:
        tree = tree.parts[number]
    return tree


def _divided(length: int, scale: float) -> int:
    exact = length / scale
    if length and (round(exact) == 0 or abs(round(exact) - exact) > _LARGEST_SHIFT * abs(exact)):
        raise ValueError(f"{length} ms / {scale:g} is no whole number of milliseconds")
    return round(exact)


def as_rule(plain: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a rules file without its name."""
    return {key: value for key, value in plain.items() if key not in ("alert", "record")}
