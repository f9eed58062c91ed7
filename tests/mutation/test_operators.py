"""Every way to write a rule wrongly: one change, said, and still a rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.alerts.rules import read_rules
from harness.mutation.expression import read
from harness.mutation.mutant import Mutant
from harness.mutation.operators import every, mutants

ROOT = Path(__file__).parent.parent.parent
RULE = """
groups:
  - name: g
    rules:
      - alert: A
        expr: {expr}
        for: 2m
        keep_firing_for: 4m
        labels: {{severity: critical}}
"""


def of(expr: str) -> dict[str, Mutant]:
    (rule,) = read_rules(RULE.format(expr=f"'{expr}'"), "rules.yml")
    return {one.operator: one for one in mutants(rule, ["api", "web"])}


@pytest.mark.parametrize(
    ("operator", "after"),
    [
        ("threshold x2", 'expr: rate(x{s="1",job="api"}[5m]) > 40'),
        ("threshold x10", 'expr: rate(x{s="1",job="api"}[5m]) > 200'),
        ("threshold /2", 'expr: rate(x{s="1",job="api"}[5m]) > 10'),
        ("threshold /10", 'expr: rate(x{s="1",job="api"}[5m]) > 2'),
        ("> to <", 'expr: rate(x{s="1",job="api"}[5m]) < 20'),
        ("> to >=", 'expr: rate(x{s="1",job="api"}[5m]) >= 20'),
        ("> to ==", 'expr: rate(x{s="1",job="api"}[5m]) == 20'),
        ("> to !=", 'expr: rate(x{s="1",job="api"}[5m]) != 20'),
        ("range x2", 'expr: rate(x{s="1",job="api"}[10m]) > 20'),
        ("range /10", 'expr: rate(x{s="1",job="api"}[30s]) > 20'),
        ("matcher s dropped", 'expr: rate(x{job="api"}[5m]) > 20'),
        ("matcher s misspelt", 'expr: rate(x{s="1x",job="api"}[5m]) > 20'),
        ("matcher s negated", 'expr: rate(x{s!="1",job="api"}[5m]) > 20'),
        ("wrong job", 'expr: rate(x{s="1",job="web"}[5m]) > 20'),
        ("offset added", 'expr: rate(x{s="1",job="api"}[5m] offset 5m) > 20'),
        ("rate to irate", 'expr: irate(x{s="1",job="api"}[5m]) > 20'),
        ("rate to increase", 'expr: increase(x{s="1",job="api"}[5m]) > 20'),
        ("sum added", 'expr: sum(rate(x{s="1",job="api"}[5m])) > 20'),
        ("max by job added", 'expr: max by (job)(rate(x{s="1",job="api"}[5m])) > 20'),
        ("for 0", "for: 0ms"),
        ("for x10", "for: 20m"),
        ("keep /2", "keep_firing_for: 2m"),
        ("label severity dropped", "labels: {}"),
        ("rule deleted", ""),
    ],
)
def test_each_operator_changes_one_thing(operator: str, after: str) -> None:
    """The change is what its name says, and the rest of the rule stays as it was."""
    assert of('rate(x{s="1",job="api"}[5m]) > 20')[operator].after == after


def test_aggregations_are_removed() -> None:
    """What an aggregation was over stands in its place, in brackets where it has to."""
    assert of("sum by (job) (a + b) > 1")["sum removed"].after == "expr: (a + b) > 1"


def test_zero_has_no_double() -> None:
    """A threshold of zero becomes one, and no mutant is the rule itself."""
    found = of("up == 0")
    assert found["threshold 0 to 1"].after == "expr: up == 1"
    assert not any(one.equivalent for one in found.values())


def test_the_same_rule_is_known_as_such() -> None:
    """A mutant that the parser reads as the rule itself is equivalent, and nothing else is."""
    found = of("up == 0")["threshold 0 to 1"]
    (rule,) = read_rules(RULE.format(expr="'(up) == 0'"), "rules.yml")
    same = Mutant(name="n", operator="o", rule=found.rule, changed=rule, tell="")
    assert same.equivalent


def test_several_places_are_counted() -> None:
    """The same change in several places has a name for each, from left to right."""
    (rule,) = read_rules(RULE.format(expr="'a > 1 or b > 2'"), "rules.yml")
    named = {one.name: one.after for one in mutants(rule)}
    assert named["A:threshold x2#1"] == "expr: a > 2 or b > 2"
    assert named["A:threshold x2#2"] == "expr: a > 1 or b > 4"


def test_rules_of_one_name_have_mutants_of_several() -> None:
    """Two rules may have the same name, as one that warns and one that pages; no two mutants have."""
    rules = [read_rules(RULE.format(expr=f"'a > {limit}'"), "rules.yml")[0] for limit in (1, 5)]
    found = every(rules)
    assert len({one.name for one in found}) == len(found) == 2 * len(mutants(rules[0]))


@pytest.mark.parametrize("file", ["rules.yml", "sandbox-rules.yml"])
def test_the_deployed_rules_give_mutants_that_parse(file: str) -> None:
    """Every mutant of every deployed rule has a name of its own, differs from its rule and from all others, and is
    PromQL."""
    path = ROOT / "fixtures" / "prometheus" / file
    for rule in read_rules(path.read_text(encoding="utf-8"), file):
        found = mutants(rule, ["frontend", "toxiproxy"])
        assert len(found) > 10
        assert len({one.name for one in found}) == len(found)
        changed = [str(one.changed) + one.after for one in found]
        assert len(set(changed)) == len(changed)
        for one in found:
            assert one.before != one.after
            assert one.tell
            if one.changed is not None:
                read(one.changed.expr)
