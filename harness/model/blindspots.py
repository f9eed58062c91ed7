"""BlindSpots: the outages that an alerting rule misses, or sees late."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delay:
    """How long something takes, in seconds, in the best phase of the grids of scrapes and evaluations and in the worst;
    `worst` is None where it does not happen in every phase, `best` where it happens in none."""

    best: float | None
    worst: float | None

    @property
    def never(self) -> bool:
        return self.best is None


NEVER = Delay(None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of a grid; a cell is None where there is nothing to say."""

    label: str
    cells: tuple[Delay | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Delays under two headings: `corner` says what the rows are."""

    title: str
    corner: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortest:
    """The shortest outage of which the alert fires, where `share` of the requests fail; and how long it fires on after
    the end of a long one."""

    share: float
    length: Delay
    fires_on: Delay


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSight:
    """What one rule sees. `refused` says why nothing was computed (all that follows is empty then); `least` is how many
    failing requests a second it takes in one group of series, None where it is not a number of requests that counts.
    Times are in seconds."""

    alert: str
    source: str
    expr: str
    hold: float
    looks_at: str = ""
    refused: str = ""
    scrape: float = 0.0
    evaluation: float = 0.0
    least: float | None = None
    apart: str = ""
    sentences: tuple[str, ...] = ()
    shortest: tuple[Shortest, ...] = ()
    grids: tuple[Grid, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One alert in one recorded run, `after` seconds of runbook time (None: it never fired) against what its rule and
    the failures counted say; `slack` is what the measurement itself leaves open. `uneven`: the failures came so
    unevenly that what is computed for even ones says nothing."""

    run: str
    alert: str
    cause: str
    counted: str
    predicted: Delay
    after: float | None
    slack: float
    uneven: bool = False

    @property
    def agrees(self) -> bool:
        """Whether the measured time lies in what was predicted."""
        if self.after is None:
            return self.predicted.worst is None
        low, high = self.predicted.best, self.predicted.worst
        return low is not None and low - self.slack <= self.after and (high is None or self.after <= high + self.slack)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindSpots:
    """All rules, at `traffic` requests a second; and what recorded runs say of the same."""

    traffic: float
    rules: tuple[RuleSight, ...]
    measured: tuple[Measured, ...] = ()
