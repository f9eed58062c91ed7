"""Matrix: root causes against alerts, as a table for people, and what follows from it in words."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.matrix import Cell, Column, Matrix, Row
from harness.model.units import say_duration, say_ratio
from reports import html as pages
from reports import markdown as texts

NO_CAUSE = "nothing was broken"
LEGEND = (
    ("a time", "it fired so long after the injection"),
    ("pending", "it was on its way and never fired"),
    ("(…)", "that began after people had begun to respond: it may have seen their response"),
    ("·", "quiet: evaluated all along, never active"),
    ("blind", "quiet, and what it reads was not scraped while the cause was there"),
    ("?", "not known"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of a table, in words."""

    cause: str
    scenario: str
    hit: str
    cells: tuple[tuple[str, str], ...]  # what kind of cell, what to say
    spoilt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The causes against one set of alerts."""

    title: str
    alerts: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusions:
    """What follows for some of the alerts, or for all; each a list of sentences."""

    title: str
    unseen: tuple[str, ...]
    alike: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    undecided: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All that the document says."""

    counted: int
    spoilt: tuple[str, ...]
    tables: tuple[Table, ...]
    conclusions: tuple[Conclusions, ...]
    several: tuple[tuple[str, tuple[str, ...]], ...]
    false_alarms: tuple[tuple[str, str], ...]
    unknown: tuple[tuple[str, str, str], ...]
    legend: tuple[tuple[str, str], ...] = LEGEND


def markdown(matrix: Matrix) -> str:
    """The matrix as Markdown."""
    return texts.tidy(texts.template("matrix.md.j2").render(sheet=_sheet(matrix)))


def html(matrix: Matrix) -> str:
    """The matrix as one page that asks nothing of any other file or server."""
    return pages.template("matrix.html.j2").render(sheet=_sheet(matrix)) + "\n"


def _sheet(matrix: Matrix) -> Sheet:
    spoilt = tuple(f"{_named(row)}: {row.spoilt}" for row in matrix.rows if row.spoilt)
    sources = matrix.sources()
    return Sheet(
        counted=len(matrix.rows) - len(spoilt),
        spoilt=spoilt,
        tables=tuple(_table(matrix, source) for source in sources),
        conclusions=(
            _conclusions(matrix, _title(sources[0]), matrix.alerts(sources[0])),
            *([_conclusions(matrix, "All alerts together", matrix.alerts())] if len(sources) > 1 else []),
        )
        if sources
        else (),
        several=tuple((alert, causes) for alert in matrix.alerts() if len(causes := matrix.causes_of(alert)) > 1),
        false_alarms=matrix.false_alarms(),
        unknown=tuple(_unknown(matrix)),
    )


def _title(source: str) -> str:
    return f"Alerts with source={source}" if source else "The runbook's alerts"


def _table(matrix: Matrix, source: str) -> Table:
    alerts = matrix.alerts(source)
    return Table(title=_title(source), alerts=alerts, lines=tuple(_line(row, alerts) for row in matrix.rows))


def _line(row: Row, alerts: tuple[str, ...]) -> Line:
    cells = [row.cells.get(alert) for alert in alerts]
    return Line(
        cause=row.cause or NO_CAUSE,
        scenario=f"{row.scenario}, {row.outcome}",
        hit="?" if row.hit is None else say_ratio(row.hit),
        cells=tuple(("unknown", "?") if cell is None else (cell.sight, say_cell(cell)) for cell in cells),
        spoilt=row.spoilt,
    )


def say_cell(cell: Cell) -> str:
    """One cell in a word or two; LEGEND explains it."""
    after = "" if cell.after is None else say_duration(round(cell.after, 1))
    said = {"fired": after, "pending": "pending", "quiet": "·", "blind": "blind", "unknown": "?"}[cell.sight]
    return f"({said})" if cell.responded else said


def _conclusions(matrix: Matrix, title: str, alerts: tuple[str, ...]) -> Conclusions:
    return Conclusions(
        title=title,
        unseen=tuple(f"{_named(row)}{_hurt(row)}" for row in matrix.unseen(alerts)),
        alike=tuple((group.causes, group.seen_by) for group in matrix.alike(alerts)),
        undecided=tuple(map(_named, matrix.undecided(alerts))),
    )


def _named(row: Row) -> str:
    return f"{row.cause or NO_CAUSE} ({row.scenario})"


def _hurt(row: Row) -> str:
    return "" if row.hit is None else f": {say_ratio(row.hit)} of the requests failed"


def _unknown(matrix: Matrix) -> list[tuple[str, str, str]]:
    columns: tuple[Column, ...] = matrix.columns
    found = [(row, column.alert, row.cells.get(column.alert)) for row in matrix.rows for column in columns]
    return [
        (_named(row), alert, "no such rule was loaded in this run" if cell is None else cell.why)
        for row, alert, cell in found
        if (cell is None or cell.sight == "unknown") and not row.spoilt
    ]
