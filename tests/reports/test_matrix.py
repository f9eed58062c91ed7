"""The matrix of causes and alerts: what follows from it, and how it is shown."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.model.matrix import Alike, Cell, Column, Matrix, Row
from harness.model.verdict import Outcome
from reports import matrix as report
from tests.reports import golden
from tests.reports.test_reports import EVIL, _Page

SPIKE, DOWN, SLOW = "HTTP503ErrorSpike", "CriticalServiceDown", "SlowAnswers"
QUIET, BLIND, UNKNOWN = Cell(sight="quiet"), Cell(sight="blind", why="not scraped"), Cell(sight="unknown", why="a gap")


def fired(after: float, *, responded: bool = False) -> Cell:
    return Cell(sight="fired", after=after, resolution=15.0, responded=responded)


def row(cause: str, *cells: Cell, outcome: Outcome = Outcome.PASS, spoilt: str = "", hit: float | None = 0.5) -> Row:
    """A run of a scenario that is called like its cause."""
    seen = dict(zip((SPIKE, DOWN, SLOW), cells, strict=False))
    name = cause.replace(" ", "_") or "calm"
    return Row(scenario=name, run_id="1", cause=cause, outcome=outcome, cells=seen, hit=hit, spoilt=spoilt)


PENDING = Cell(sight="pending", after=60.0, resolution=15.0)
MATRIX = Matrix(
    columns=(Column(alert=SPIKE), Column(alert=DOWN), Column(alert=SLOW, source="sandbox")),
    rows=(
        row("", QUIET, QUIET, fired(100.0), hit=0.0),
        row("upstream down", fired(255.0), fired(400.0, responded=True), QUIET, outcome=Outcome.FAIL),
        row("upstream reset", fired(270.25), QUIET, QUIET),
        row("upstream slow", QUIET, QUIET, fired(300.0), hit=0.001),
        row("upstream slower", PENDING, QUIET, fired(300.0), outcome=Outcome.UNKNOWN, hit=None),
        row("service killed", BLIND, fired(75.0), QUIET, hit=1.0),
        row("service frozen", UNKNOWN, fired(75.0), QUIET),
        row("disk full", fired(10.0), spoilt="the run is INVALID", outcome=Outcome.INVALID),
    ),
)


def test_what_an_alert_cannot_tell_apart() -> None:
    """An alert's causes are those it fired for by itself; a spoilt row, and a response that it saw, are none."""
    assert MATRIX.causes_of(SPIKE) == ("upstream down", "upstream reset")
    assert MATRIX.causes_of(DOWN) == ("service killed", "service frozen")
    assert MATRIX.causes_of(SLOW) == ("upstream slow", "upstream slower")


def test_causes_with_the_same_alerts_are_alike() -> None:
    """Alike is what sets off the very same alerts; what sets off none, or is not all known, is another matter."""
    assert MATRIX.alike((SPIKE, DOWN)) == (Alike(causes=("upstream down", "upstream reset"), seen_by=(SPIKE,)),)
    assert [one.causes for one in MATRIX.alike((SPIKE, DOWN, SLOW))] == [
        ("upstream down", "upstream reset"),
        ("upstream slow", "upstream slower"),
    ]
    twice = replace(MATRIX, rows=(MATRIX.rows[1], replace(MATRIX.rows[1], scenario="again")))
    assert twice.alike((SPIKE, DOWN)) == ()  # the same cause


def test_what_no_alert_sees() -> None:
    """A cause is unseen where every alert is known not to have fired for it; pending is not firing."""
    assert [one.cause for one in MATRIX.unseen((SPIKE, DOWN))] == ["upstream slow", "upstream slower"]
    assert MATRIX.unseen((SPIKE, DOWN, SLOW)) == ()
    assert [one.cause for one in MATRIX.unseen((DOWN,))][:2] == ["upstream down", "upstream reset"]


def test_what_is_not_known_is_said() -> None:
    """A row with an unknown cell, or without one of the alerts, is undecided and in no other list."""
    assert [one.cause for one in MATRIX.undecided((SPIKE, DOWN))] == ["service frozen"]
    assert [one.cause for one in MATRIX.undecided(("NeverLoaded",))] == [one.cause for one in MATRIX.rows[1:-1]]


def test_an_alert_without_a_cause_is_a_false_alarm() -> None:
    """Whatever fires where nothing was broken is said."""
    assert MATRIX.false_alarms() == ((SLOW, "calm"),)


@pytest.mark.parametrize("form", ["md", "html"])
def test_golden(form: str) -> None:
    """The document reads as it did when somebody last read it."""
    render = {"md": report.markdown, "html": report.html}[form]
    golden.check(f"matrix.{form}", render(MATRIX))


def test_nothing_recorded_is_no_clean_sheet() -> None:
    """Without runs, or without alerts, the document says of nothing that it is seen or unseen."""
    for matrix in (Matrix(columns=(), rows=()), replace(MATRIX, columns=())):
        assert "counted" in report.markdown(matrix)
        assert "what follows" not in report.html(matrix)


def test_hostile_text_stays_text() -> None:
    """A cause, a scenario or an alert can't turn into markup."""
    evil = replace(row(EVIL, *[replace(UNKNOWN, why=EVIL)] * 3), scenario=EVIL)
    matrix = Matrix(columns=tuple(Column(alert=name, source=EVIL) for name in (EVIL, SPIKE)), rows=(evil,))
    assert EVIL in _Page(report.html(matrix)).text
    text = report.markdown(matrix)
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    cells = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")]
    assert cells == [5] * len(cells)
