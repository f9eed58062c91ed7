"""The control matrix: what follows from it, and how it is shown."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.model.controls import Cell, Claim, ControlMatrix, Grade, ScenarioControls
from harness.model.verdict import Outcome
from reports import controls as report
from tests.reports import golden
from tests.reports.test_reports import EVIL, _Page


def cell(control: str, grade: Grade, outcome: Outcome | None, *, turned: bool = True, green: bool = False) -> Cell:
    return Cell(control=control, grade=grade, outcome=outcome, turned=turned, green=green)


MADE_UP = cell("the generator fell behind", "made up", Outcome.INVALID)
KEPT_UP = "the load generator kept to its plan"
MATRIX = ControlMatrix(
    scenarios=(
        ScenarioControls(
            scenario="outage",
            fingerprint="1a2b",
            outcome=Outcome.PASS,
            claims=(
                Claim(
                    claim="it fires",
                    outcome=Outcome.PASS,
                    cells=(
                        cell("no-fault", "live", Outcome.FAIL),
                        cell("no-mitigation", "live", Outcome.PASS, turned=False),
                        cell("no alert stirs", "made up", Outcome.FAIL),
                    ),
                ),
                Claim(
                    claim="it resolves",
                    outcome=Outcome.PASS,
                    cells=(
                        cell("no-fault", "live", Outcome.PASS, turned=False, green=True),
                        cell("no-mitigation", "live", Outcome.FAIL),
                    ),
                ),
                Claim(
                    claim="the step helps",
                    outcome=Outcome.PASS,
                    cells=(
                        cell("no-fault", "live", Outcome.UNKNOWN, turned=False),
                        cell("no-mitigation", "live", None, turned=False),
                        cell("steps without effect", "moved", Outcome.FAIL),
                    ),
                ),
                Claim(claim=KEPT_UP, outcome=Outcome.PASS, cells=(MADE_UP,)),
                Claim(claim="time | passes", outcome=Outcome.PASS, vacuous="nothing turns it red", remedy="drop it"),
            ),
            runs=(("none", "r1"), ("no-fault", "r2"), ("no-mitigation", "r3")),
            seconds=61.0,
        ),
        ScenarioControls(
            scenario="calm",
            fingerprint="",
            outcome=Outcome.FAIL,
            claims=(
                Claim(claim="nobody is paged", outcome=Outcome.FAIL),
                Claim(claim=KEPT_UP, outcome=Outcome.PASS, cells=(MADE_UP,)),
            ),
            runs=(("none", "r4"),),
            missing=("no-fault",),
            spoilt=("the run under no-mitigation: INVALID: nobody used the path",),
            seconds=10.0,
        ),
    ),
    absent=("another",),
    heard=(("HighErrors", ("outage",)),),
)


@pytest.mark.parametrize("form", ["md", "html"])
def test_golden(form: str) -> None:
    """The document reads as it did when somebody last read it."""
    render = {"md": report.markdown, "html": report.html}[form]
    golden.check(f"controls.{form}", render(MATRIX))


def test_what_can_not_fail_comes_first() -> None:
    """A vacuous claim stands before all else, with why and what to do; then what is not told yet."""
    text = report.markdown(MATRIX)
    titles = re.findall("^## (.+)$", text, re.MULTILINE)
    assert titles[:3] == ["VACUOUS", "Not told yet", "Red as it is"]
    assert "| outage | time \\| passes | nothing turns it red | drop it |" in text
    assert "7 claims of 2 scenarios, of which 1 VACUOUS; not complete: 3 open ends." in text


def test_what_only_made_up_evidence_turned_is_said_once() -> None:
    """A claim that many scenarios make stands there once, with their names."""
    assert MATRIX.by_made_up_alone() == ((KEPT_UP, ("outage", "calm")),)
    assert f"- {KEPT_UP} (outage, calm)" in report.markdown(MATRIX)


@pytest.mark.parametrize(
    ("matrix", "outcome"),
    [
        (MATRIX, Outcome.INVALID),
        (replace(MATRIX, scenarios=MATRIX.scenarios[1:]), Outcome.UNKNOWN),
        (ControlMatrix(scenarios=(replace(MATRIX.scenarios[1], missing=(), spoilt=()),)), Outcome.FAIL),
        (ControlMatrix(scenarios=()), Outcome.UNKNOWN),
    ],
)
def test_its_outcome_is_the_worst_that_it_found(matrix: ControlMatrix, outcome: Outcome) -> None:
    """A vacuous claim, then what nobody ran, then a scenario that fails; nothing at all is no clean sheet."""
    assert matrix.outcome is outcome
    assert "complete" in report.markdown(matrix)


def test_hostile_text_stays_text() -> None:
    """A scenario, a claim or an alert can't turn into markup."""
    one = Claim(claim=EVIL, outcome=Outcome.PASS, vacuous=EVIL, remedy=EVIL)
    evil = replace(MATRIX.scenarios[0], scenario=EVIL, claims=(one,), spoilt=(EVIL,))
    matrix = ControlMatrix(scenarios=(evil,), absent=(EVIL,), heard=((EVIL, (EVIL,)),))
    assert EVIL in _Page(report.html(matrix)).text
    text = report.markdown(matrix)
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    cells = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")]
    assert set(cells) == {5, 7}
