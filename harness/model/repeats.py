"""Repeats: how the times and the claims of one scenario spread over many runs of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from harness.model.units import say_duration
from harness.model.verdict import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One time over many runs, in seconds of runbook time (of actions: real seconds).

    `reached` are the values of the runs in which it came, in their order. `censored` are those in which it did not: it
    took longer than each of these. `unknown` counts the runs of which nobody can say. `median` is Kaplan and Meier's,
    None where more than half did not come; `lower` and `upper` are its bounds of 95 % (None: there is none), both None
    with fewer than six runs, too few for any. `resolution` is the worst of one value.
    """

    name: str
    said: str
    reached: tuple[float, ...]
    censored: tuple[float, ...] = ()
    unknown: int = 0
    median: float | None = None
    lower: float | None = None
    upper: float | None = None
    resolution: float = 0.0

    @property
    def count(self) -> int:
        """How many runs it was measured in, whether it came or not."""
        return len(self.reached) + len(self.censored)

    def __str__(self) -> str:
        return f"{self.name}: {say_median(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaky:
    """A claim with different outcomes over the runs, and how often each."""

    claim: str
    outcomes: Mapping[Outcome, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How many of `count` runs were so, and the 95 % interval of Clopper and Pearson for the share of all such runs."""

    hits: int
    count: int
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The runs of one scenario, of one version by its `fingerprint`, under one control, at one time scale, with one
    seed.

    `outcomes` counts all of them; `times` leave out those that are INVALID or ERROR, of which there are `uncounted`.
    `phases` are the shares of the watchers' cycle that were waited before the first fault of each run. `failed` are the
    runs that said FAIL, of those that said PASS or FAIL; `red` those that were no PASS, of all.
    """

    scenario: str
    fingerprint: str
    control: str
    time_scale: float
    seed: int
    runs: tuple[str, ...]
    outcomes: Mapping[Outcome, int]
    times: tuple[Spread, ...]
    flaky: tuple[Flaky, ...]
    uncounted: int
    phases: tuple[float, ...]
    failed: Bound
    red: Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """All series."""

    series: tuple[Series, ...]


def say_median(spread: Spread) -> str:
    """`4 min 18 s (4 min 3 s to 4 min 33 s)`, or what there is to say instead."""
    if not spread.count:
        return "unknown"
    if spread.median is None:
        least = say_duration(timedelta(seconds=round(min(spread.censored), 3)))
        return f"more than {least}" if not spread.reached else f"in more than half of the runs longer than {least}"
    said = say_duration(round(spread.median, 3))
    if spread.lower is None:
        return said
    upper = ", no upper bound" if spread.upper is None else f" to {say_duration(round(spread.upper, 3))}"
    return f"{said} ({say_duration(round(spread.lower, 3))}{upper})"
