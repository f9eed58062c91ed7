"""A live run of a wrong rule has the project as it is, but for that rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from harness.alerts.rules import read_rules
from harness.errors import UsageError
from harness.mutation.shadow import only, rewritten, shadow
from tests.mutation.incident import RULES, rule

TWO = RULES + "      - alert: Other\n        expr: up == 0\n"


def test_one_file_differs(tmp_path: Path) -> None:
    """Everything else is there, by links; the project itself is untouched, and nothing is left behind."""
    project = tmp_path / "the project"
    (project / "a" / "b").mkdir(parents=True)
    for name in ("a/b/rules.yml", "a/b/other.yml", "a/more.txt", "compose.yml"):
        (project / name).write_text("as it is")
    with shadow(project, project / "a" / "b" / "rules.yml", "wrong") as there:
        texts = {str(path.relative_to(there)): path.read_text() for path in there.rglob("*") if path.is_file()}
        assert texts.pop("a/b/rules.yml") == "wrong"
        assert texts == dict.fromkeys(("a/b/other.yml", "a/more.txt", "compose.yml"), "as it is")
    assert not there.exists()
    assert (project / "a" / "b" / "rules.yml").read_text() == "as it is"


def test_a_file_from_elsewhere_has_no_shadow(tmp_path: Path) -> None:
    """Rules that the project does not hold can't be changed in it."""
    (tmp_path / "project").mkdir()
    with pytest.raises(UsageError, match="is not below"), shadow(tmp_path / "project", tmp_path / "x.yml", ""):
        pass


def test_the_wrong_rule_stands_in_place_of_the_right_one() -> None:
    """Only the rule that is meant changes, or is gone; what is read back is the mutant itself."""
    changed = replace(rule(TWO.partition("      - alert: Other")[0]), expr="up == 1", hold=timedelta(0))
    found = {one.name: one for one in read_rules(rewritten(TWO, rule(), changed), "rules.yml")}
    assert found["Down"] == changed
    assert found["Other"].expr == "up == 0"
    assert [one.name for one in read_rules(rewritten(TWO, rule(), None), "rules.yml")] == ["Other"]


def test_rules_of_one_name_are_told_apart() -> None:
    """Of two rules with the same name the one that is meant changes."""
    both = TWO.replace("Other", "Down")
    first, second = read_rules(both, "rules.yml")
    found = read_rules(rewritten(both, second, replace(second, expr="up == 2")), "rules.yml")
    assert [one.expr for one in found] == [first.expr, "up == 2"]
    assert read_rules(rewritten(both, second, None), "rules.yml") == (first,)


def test_the_other_values_stay_as_they_were_written() -> None:
    """What is a truth or a number to our parser and a word to Prometheus' stays a word, merged and repeated parts
    too."""
    odd = TWO + "        labels: &odd {page: yes, tier: 010}\n      - {alert: Third, labels: *odd, expr: x > 1}\n"
    wanted = read_rules(odd, "rules.yml")
    assert read_rules(rewritten(odd, wanted[0], wanted[0]), "rules.yml") == wanted
    assert read_rules(only(odd, {"Third"}), "rules.yml") == wanted[2:]
    assert dict(wanted[2].labels) == {"page": "yes", "tier": "010"}
