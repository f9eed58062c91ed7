"""Controls: what turns each claim red, as a document for those who have to believe a PASS."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.controls import Cell, Claim, ControlMatrix, Grade, ScenarioControls
from harness.model.units import say_duration
from harness.model.verdict import Control, Outcome
from reports import html as pages
from reports import markdown as texts

LIVE = (Control.NO_FAULT.value, Control.NO_MITIGATION.value)
LEGEND = (
    ("FAIL", "the control turned it red"),
    ("·", "it holds there too: it is not about what was left out"),
    ("green", "it holds there too, which it must not: something else than what was left out set it off"),
    ("left out", "the control leaves out what it speaks of, and the claim with it"),
    ("UNKNOWN, INVALID", "no pass, and no proof that it can fail"),
    ("-", "there is nothing to leave out"),
    ("not run", "nobody ran this control yet, or the run proves nothing"),
    ("evidence moved", "the same run with evidence that was recorded elsewhere put where the claim speaks of"),
    ("evidence made up", "the same run with evidence that nobody recorded"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One claim, in words; `live` are the cells of the live controls, `style` what kind of row it is."""

    claim: str
    outcome: str
    live: tuple[str, ...]
    moved: str
    made_up: str
    style: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One scenario; `version` is the fingerprint of its file."""

    scenario: str
    version: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All that the document says."""

    headline: str
    took: str
    vacuous: tuple[tuple[str, Claim], ...]
    open_ends: tuple[tuple[str, str], ...]
    red: tuple[tuple[str, str, str], ...]
    made_up: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    heard: tuple[tuple[str, tuple[str, ...]], ...]
    live: tuple[str, ...] = LIVE
    legend: tuple[tuple[str, str], ...] = LEGEND


def markdown(matrix: ControlMatrix) -> str:
    """The matrix as Markdown."""
    return texts.tidy(texts.template("controls.md.j2").render(sheet=_sheet(matrix)))


def html(matrix: ControlMatrix) -> str:
    """The matrix as one page that asks nothing of any other file or server."""
    return pages.template("controls.html.j2").render(sheet=_sheet(matrix)) + "\n"


def _sheet(matrix: ControlMatrix) -> Sheet:
    count = sum(len(one.runs) for one in matrix.scenarios)
    seconds = sum(one.seconds for one in matrix.scenarios)
    return Sheet(
        headline=_headline(matrix),
        took=f"{_count(count, 'run')}, whose stories took {say_duration(round(seconds))} in all.",
        vacuous=matrix.vacuous(),
        open_ends=matrix.open_ends(),
        red=tuple(
            (name, claim.claim, claim.outcome.value)
            for name, claim in matrix.claims
            if claim.outcome is not Outcome.PASS
        ),
        made_up=tuple((claim, ", ".join(names)) for claim, names in matrix.by_made_up_alone()),
        tables=tuple(_table(one) for one in matrix.scenarios),
        heard=matrix.heard,
    )


def _headline(matrix: ControlMatrix) -> str:
    vacuous, ends = len(matrix.vacuous()), len(matrix.open_ends())
    counted = f"{_count(len(matrix.claims), 'claim')} of {_count(len(matrix.scenarios), 'scenario')}"
    said = f"{counted}, of which {vacuous} VACUOUS" if vacuous else f"{counted}, none VACUOUS"
    return f"{said}; not complete: {_count(ends, 'open end')}." if ends else f"{said}; complete."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _table(one: ScenarioControls) -> Table:
    ran = {name for name, _ in one.runs}
    waited = {*one.missing, *(control for control in LIVE if any(f"under {control}:" in why for why in one.spoilt))}
    lines = tuple(_line(claim, ran, waited) for claim in one.claims)
    return Table(scenario=one.scenario, version=one.fingerprint, lines=lines)


def _line(claim: Claim, ran: set[str], waited: set[str]) -> Line:
    return Line(
        claim=claim.claim,
        outcome=claim.outcome.value,
        live=tuple(_live(claim.under(control), control, ran, waited) for control in LIVE),
        moved=_named(claim, "moved"),
        made_up=_named(claim, "made up"),
        style="vacuous" if claim.vacuous else "",
    )


def _live(cell: Cell | None, control: str, ran: set[str], waited: set[str]) -> str:
    if cell is None:
        return "not run" if control in waited else "-" if control not in ran else "?"
    if cell.outcome is None:
        return "left out"
    return "green" if cell.green else "·" if cell.outcome is Outcome.PASS else cell.outcome.value


def _named(claim: Claim, grade: Grade) -> str:
    return "; ".join(claim.turned_by(grade))
