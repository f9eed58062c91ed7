"""The tests of the deployed rules hold, speak of every alert, and can be read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.alerts.rules import read_rules
from harness.alerts.yaml_text import YamlText, entries, items, scalar
from harness.mutation.suite import read_suite
from harness.sandbox.topology import read_topology
from tests.alerts.servers import promtool

ROOT = Path(__file__).parents[2]
TOPOLOGY = read_topology(ROOT / "docker-compose.yml", {})
FILES = sorted((ROOT / "fixtures" / "prometheus" / "tests").glob("*.yml"))


@pytest.mark.integration
def test_the_deployed_rules_pass_them() -> None:
    """Prometheus' own engine finds each alert where, and only where, the tests expect it."""
    command = [promtool(), "test", "rules", *map(str, FILES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(FILES)


def test_the_topology_names_each_file() -> None:
    """`gameday mutate` counts what all of them notice."""
    assert sorted(TOPOLOGY.rule_tests) == FILES


def test_every_alert_is_spoken_of() -> None:
    """No deployed alert is without a test, no test names an alert that is not there, and no file of rules is a copy."""
    suites = [read_suite(path) for path in FILES]
    rules = [rule for path in TOPOLOGY.time.rules for rule in read_rules(path.read_text(encoding="utf-8"), path.name)]
    named = {alert for suite in suites for test in suite.tests for alert in test.alerts}
    assert named == {rule.name for rule in rules if rule.kind == "alert"}
    assert {path for suite in suites for path in suite.rules} == set(TOPOLOGY.time.rules)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_has_a_name_that_is_a_sentence(path: Path) -> None:
    """It says what holds, once, and some instant is looked at."""
    tests = [entries(node) for node in items(entries(YamlText(path.read_text(), path.name).root)["tests"])]
    names = [scalar(test.get("name")) or "" for test in tests]
    assert all(len(name.split()) > 5 and name[0].isupper() and not name.endswith(".") for name in names)
    assert len(set(names)) == len(names)
    assert all(items(test.get("alert_rule_test")) or items(test.get("promql_expr_test")) for test in tests)
