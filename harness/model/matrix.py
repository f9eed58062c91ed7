"""Matrix: which alert saw which root cause, over many runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.model.verdict import Outcome

# fired: it paged, or would have. pending: it was on its way and never fired. quiet: Prometheus evaluated it all along
# and never found it active. blind: the same, but what it reads was not scraped while the cause was there. unknown: the
# evidence does not tell.
Sight = Literal["fired", "pending", "quiet", "blind", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """An alert. `source` is the rule's label of that name, which tells sets of rules apart; empty for the runbook's."""

    alert: str
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one alert made of one cause.

    `after` is how long after the injection it fired (or became pending), in runbook seconds, known to `resolution`.
    `responded`: that began once people had begun to respond, so it may be the response that it saw. `why` says what is
    not known.
    """

    sight: Sight
    after: float | None = None
    resolution: float = 0.0
    responded: bool = False
    why: str = ""

    @property
    def saw(self) -> bool:
        """Whether the alert fired because of the cause itself."""
        return self.sight == "fired" and not self.responded


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run. `cause` is its faults' settings in words, empty where nothing was broken; `cells` are by alert.

    `hit` is the share of requests that were not answered rightly while the cause was there and nobody responded (None:
    nobody knows). A run that is not counted proves nothing about its cause; `spoilt` says why.
    """

    scenario: str
    run_id: str
    cause: str
    outcome: Outcome
    cells: Mapping[str, Cell]
    hit: float | None = None
    spoilt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """Causes for which exactly the alerts `seen_by` fire: by these nobody can tell one from another."""

    causes: tuple[str, ...]
    seen_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Rows of causes, columns of alerts. Every conclusion leaves out the rows that are spoilt."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def sources(self) -> tuple[str, ...]:
        """The sets of rules, in the order of the columns; the runbook's is the empty one."""
        return tuple(dict.fromkeys(column.source for column in self.columns))

    def alerts(self, *sources: str) -> tuple[str, ...]:
        """The alerts of these sets of rules; without any, all."""
        return tuple(column.alert for column in self.columns if column.source in sources or not sources)

    def causes_of(self, alert: str) -> tuple[str, ...]:
        """The causes for which `alert` fires: where there are several, it can't tell them apart."""
        return _each(row.cause for row in self._causes() if _cell(row, alert).saw)

    def false_alarms(self) -> tuple[tuple[str, str], ...]:
        """Alerts that fired where nothing was broken: pairs of an alert and a scenario."""
        fired = ((alert, row) for row in self._counted() if not row.cause for alert in self.alerts())
        return tuple((alert, row.scenario) for alert, row in fired if _cell(row, alert).sight == "fired")

    def unseen(self, alerts: Sequence[str]) -> tuple[Row, ...]:
        """The rows with a cause that certainly none of `alerts` fires for."""
        return tuple(row for row in self._causes() if _seen_by(row, alerts) == ())

    def undecided(self, alerts: Sequence[str]) -> tuple[Row, ...]:
        """The rows with a cause of which nobody can say which of `alerts` fire for it."""
        return tuple(row for row in self._causes() if _seen_by(row, alerts) is None)

    def alike(self, alerts: Sequence[str]) -> tuple[Alike, ...]:
        """The causes that `alerts`, taken together, can't tell apart, though they do see them."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for row in self._causes():
            if seen_by := _seen_by(row, alerts):
                groups.setdefault(seen_by, []).append(row.cause)
        found = (Alike(causes=_each(causes), seen_by=seen_by) for seen_by, causes in groups.items())
        return tuple(one for one in found if len(one.causes) > 1)

    def _counted(self) -> Sequence[Row]:
        return [row for row in self.rows if not row.spoilt]

    def _causes(self) -> Sequence[Row]:
        return [row for row in self._counted() if row.cause]


def _seen_by(row: Row, alerts: Sequence[str]) -> tuple[str, ...] | None:
    """Which of `alerts` saw the cause of `row`; None where that is not known of one of them."""
    cells = {alert: _cell(row, alert) for alert in alerts}
    if any(cell.sight == "unknown" for cell in cells.values()):
        return None
    return tuple(alert for alert, cell in cells.items() if cell.saw)


def _cell(row: Row, alert: str) -> Cell:
    return row.cells.get(alert, Cell(sight="unknown", why="no such rule was loaded in this run"))


def _each(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
