"""Files of rule tests are read, and written again about other rules."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.errors import UsageError
from harness.mutation.suite import Suite, read_suite

TESTS = """
rule_files: [rules/*.yml, rules/none.yml]
evaluation_interval: 15s
tests:
  - name: The first
    interval: 15s
    input_series: &series
      - {series: up, values: 0x9}
    alert_rule_test:
      - {alertname: Down, eval_time: 1m, exp_alerts: [{exp_labels: {page: yes, tier: 010}}]}
  - input_series: *series
    promql_expr_test:
      - {expr: 'count(ALERTS{alertname=~"Up|Low"})', eval_time: 1m}
      - {expr: up, eval_time: 1m}
"""


def suite(folder: Path, text: str = TESTS) -> Suite:
    (folder / "rules").mkdir(exist_ok=True)
    for name in ("b.yml", "a.yml"):
        (folder / "rules" / name).write_text("groups: []\n")
    (folder / "tests.yml").write_text(text)
    return read_suite(folder / "tests.yml")


def test_a_file_says_what_it_is_about(tmp_path: Path) -> None:
    """Its files of rules, patterns among them, are found from where it stands."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    found = suite(folder)
    assert found.rules == tuple(folder / "rules" / name for name in ("a.yml", "b.yml"))
    assert len(found.tests) == 2


@pytest.mark.parametrize(("alert", "count"), [("Down", 1), ("Up", 1), ("Low", 1), ("High", 0)])
def test_tests_speak_of_the_alerts_that_they_name(tmp_path: Path, alert: str, count: int) -> None:
    """An alert is named as such, or by what is asked of the series that Prometheus makes of alerts."""
    found = suite(tmp_path)
    assert found.speaks_of(alert) == bool(count)
    assert len(found.of(alert).tests) == count


@pytest.mark.parametrize("expr", ["ALERTS", '{__name__=~"A.*"}', "what is this?"])
def test_what_may_be_any_alert_speaks_of_each(tmp_path: Path, expr: str) -> None:
    """A series without an alert's name, or an expression that our parser does not know, may be about any."""
    assert suite(tmp_path, TESTS.replace('count(ALERTS{alertname=~"Up|Low"})', expr)).speaks_of("High")


def test_it_is_written_about_other_rules(tmp_path: Path) -> None:
    """The files of rules are others and some tests are left out; every value stays as it was written, and what is
    repeated from a test that is left out is there."""
    first, second = (suite(tmp_path).of(alert).text(["0.rules"]) for alert in ("Down", "Up"))
    assert "{page: yes, tier: 010}" in first
    assert "count" not in first
    written = yaml.load(second, Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but strings
    assert written["rule_files"] == ["0.rules"]
    assert written["tests"][0]["input_series"] == [{"series": "up", "values": "0x9"}]


@pytest.mark.parametrize("text", ["", "- a\n", "groups: []\n", "tests: []\n", "a: [\n"])
def test_what_is_no_file_of_rule_tests_is_refused(tmp_path: Path, text: str) -> None:
    """A rules file, for one, or what is no YAML."""
    with pytest.raises(UsageError, match=r"rule_files and tests|is not YAML"):
        suite(tmp_path, text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(UsageError, match=r"none\.yml can't be read"):
        read_suite(tmp_path / "none.yml")
