"""Mutant: an alert rule with one thing about it changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from harness.alerts.rules import WrittenRule
from harness.mutation import expression, proof
from harness.mutation.expression import say_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`rule` as it is deployed and as it was `changed` (None: it was deleted). `operator` says what kind of change it
    is, `tell` what would have to happen in a scenario for the two to differ. `name` is the same from run to run."""

    name: str
    operator: str
    rule: WrittenRule
    changed: WrittenRule | None
    tell: str

    @property
    def equivalent(self) -> str:
        """Why the two are the same rule; empty where that is not proven."""
        if self.changed is None or _settings(self.changed) != _settings(self.rule):
            return ""
        return proof.same(expression.read(self.rule.expr), expression.read(self.changed.expr))

    @property
    def before(self) -> str:
        """The part of the rule that was changed, as it was."""
        return _differing(self.rule, self.changed)

    @property
    def after(self) -> str:
        """The same, as it became; empty for a rule that was deleted."""
        return "" if self.changed is None else _differing(self.changed, self.rule)


def with_expr(rule: WrittenRule, tree: expression.Node) -> WrittenRule:
    """`rule` with another expression. Raises ValueError where that is not PromQL: a defect of whoever changed it."""
    expression.read(str(tree))
    return replace(rule, expr=str(tree))


def _settings(rule: WrittenRule) -> tuple[object, ...]:
    return rule.hold, rule.keep, rule.interval, rule.labels


def _differing(rule: WrittenRule, other: WrittenRule | None) -> str:
    lines = []
    if other is None or other.expr != rule.expr:
        lines.append(f"expr: {' '.join(rule.expr.split())}")
    for key, value, old in (
        ("for", rule.hold, other.hold if other else None),
        ("keep_firing_for", rule.keep, other.keep if other else timedelta(0)),
    ):
        if value != old:
            lines.append(f"{key}: {say_time(round(value / timedelta(milliseconds=1)))}")
    if other is not None and other.labels != rule.labels:
        lines.append("labels: {" + ", ".join(f"{key}: {value}" for key, value in rule.labels.items()) + "}")
    return "; ".join(lines)
