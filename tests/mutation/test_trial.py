"""Rule tests that pass with the right rule kill the wrong ones that they notice, and nothing else does."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.alerts.rules import read_rules
from harness.mutation import trial
from harness.mutation.operators import every
from harness.mutation.suite import read_suite
from harness.mutation.trial import Trials, tried
from tests.alerts.servers import promtool
from tests.mutation.incident import RULES

pytestmark = pytest.mark.integration

TESTS = """
rule_files: [rules.yml]
evaluation_interval: 15s
tests:
  - name: Two minutes down, and not one evaluation sooner
    interval: 15s
    input_series:
      - {series: 'up{job="api",instance="a"}', values: 1x10 0x20}
      - {series: 'up{job="web",instance="w"}', values: 0x30}
    alert_rule_test:
      - {alertname: Down, eval_time: 4m30s, exp_alerts: []}
      - {alertname: Down, eval_time: 4m45s, exp_alerts: [{exp_labels: {severity: critical, job: api, instance: a}}]}
"""
# What Prometheus would refuse for its labels alone is a rule that can't be evaluated for two of these.
OTHER = """
      - alert: Other
        expr: up == 0
        labels: {page: yes}
"""


def trials(folder: Path, *tests: str, rules: str = RULES, program: str = "") -> Trials:
    """What `tests` say of every mutant of `rules`."""
    (folder / "rules.yml").write_text(rules)
    for number, text in enumerate(tests):
        (folder / f"{number}.yml").write_text(text)
    suites = [read_suite(folder / f"{number}.yml") for number in range(len(tests))]
    mutants = every(read_rules(rules, "rules.yml"), ["api", "web"])
    return tried(suites, {"rules.yml": folder / "rules.yml"}, mutants, program or promtool())


def lived(found: Trials, rules: str = RULES) -> set[str]:
    """The names of the mutants that nothing killed."""
    names = {one.name for one in every(read_rules(rules, "rules.yml"), ["api", "web"])}
    return names - found.failed.keys()


def program(folder: Path, script: str) -> str:
    """A promtool that does what `script` says."""
    path = folder / "promtool"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_test_kills_what_it_notices(tmp_path: Path) -> None:
    """One test at a rule's bounds notices what is wrong with it, and says by which alert and when."""
    found = trials(tmp_path, TESTS)
    assert not lived(found)
    assert not found.untold
    assert str(found.failed["Down:for /2"]) == (
        "0.yml, Two minutes down, and not one evaluation sooner (Down at 4m30s)"
    )


def test_a_test_that_notices_nothing_kills_nothing(tmp_path: Path) -> None:
    """What a test does not look at lives."""
    weak = TESTS.replace("      - {alertname: Down, eval_time: 4m30s, exp_alerts: []}\n", "")
    assert lived(trials(tmp_path, weak)) == {"Down:== to >=", "Down:for /2", "Down:for /10", "Down:for 0"}


def test_a_rule_that_can_not_be_evaluated_is_noticed(tmp_path: Path) -> None:
    """Where a wrong rule gives the same alert twice Prometheus gives none, and so does the test."""
    two = RULES.replace('expr: up{job="api"} == 0', 'expr: sum by (job) (up{job="api"}) == 0').replace(
        "severity: critical", "severity: critical, instance: one"
    )
    tests = TESTS.replace("instance: a}", "instance: one}").replace(
        '      - {series: \'up{job="web"',
        '      - {series: \'up{job="api",instance="b"}\', values: 1x10 0x20}\n      - {series: \'up{job="web"',
    )
    failed = trials(tmp_path, tests, rules=two).failed["Down:sum removed"]
    assert "a rule that can be evaluated at" in failed.expected


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        (TESTS.replace("4m30s", "5m"), "with the deployed rules it fails: 0.yml, Two minutes down"),
        (TESTS.replace("eval_time: 4m30s", "eval_time: soon"), "with the deployed rules it fails: not a valid"),
        (TESTS.replace("rules.yml", "others.yml"), "it names none of these files of rules"),
    ],
)
def test_tests_that_do_not_hold_for_the_right_rules_are_not_used(tmp_path: Path, tests: str, why: str) -> None:
    """They kill nothing, it is said why, and those beside them count."""
    found = trials(tmp_path, tests)
    assert not found.any
    assert not found.failed
    assert found.tests[0].why.startswith(why)
    beside = trials(tmp_path, tests, TESTS)
    assert [one.usable for one in beside.tests] == [False, True]
    assert not lived(beside)


def test_without_a_test_that_speaks_of_it_a_rule_lives(tmp_path: Path) -> None:
    """A change to one alert is not noticed by tests about another, and that is said."""
    rules = RULES + OTHER
    found = trials(tmp_path, TESTS, rules=rules)
    others = [one for one in every(read_rules(rules, "rules.yml")) if one.rule.name == "Other"]
    assert {one.name for one in others} <= lived(found, rules)
    assert {found.fate(one) for one in others} == {("survived", "no rule test speaks of this alert")}


def test_of_rules_with_one_name_each_is_tried_by_itself(tmp_path: Path) -> None:
    """A change to the one that warns is not killed by what is known of the one that pages."""
    rules = RULES + OTHER.replace("Other", "Down").replace("up == 0", 'up{job="none"} == 0')
    found = trials(tmp_path, TESTS, rules=rules)
    assert found.failed.keys() >= {"Down:for x2", "Down:rule deleted#1"}
    assert lived(found, rules) >= {"Down:rule deleted#2", "Down:== to <#2", "Down:label page dropped"}


def test_a_promtool_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for, what it had said counts, and of the rest nothing is known."""
    monkeypatch.setattr(trial, "PATIENCE", 0.3)
    began = time.monotonic()
    found = trials(tmp_path, TESTS, program=program(tmp_path, "exec sleep 600"))
    assert time.monotonic() - began < 60
    assert [one.why for one in found.tests] == ["promtool did not come to its end"]
    monkeypatch.setattr(trial, "LIMIT", 3.0)
    right = 'for file; do case "$file" in rules|test) ;; 0/*) echo "  SUCCESS" ;; *) exec sleep 600 ;; esac; done'
    found = trials(tmp_path, TESTS, program=program(tmp_path, right))
    assert found.tests[0].usable
    assert not found.failed
    assert set(found.untold.values()) == {"promtool did not come to the end of the rule tests"}


def test_a_promtool_that_breaks_kills_nothing(tmp_path: Path) -> None:
    """Only an expectation that was not met is a kill: neither a crash nor a file that is refused is one."""
    refused = (
        'for file; do case "$file" in rules|test) ;; 0/*) echo "  SUCCESS" ;; *) echo "  FAILED:" no ;; esac; done'
    )
    found = trials(tmp_path, TESTS, program=program(tmp_path, refused.replace('FAILED:" no', 'FAILED:"; echo no')))
    assert not found.failed
    assert set(found.untold.values()) == {"promtool refuses the rule: no"}
    found = trials(tmp_path, TESTS, program=program(tmp_path, "exit 2"))
    assert not found.any
