"""A live run of a wrong rule has the project as it is, but for that rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from harness.alerts.rules import read_rules
from harness.errors import UsageError
from harness.mutation.shadow import rewritten, shadow
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
