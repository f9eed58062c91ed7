"""Checkpoint: what must hold, and be looked at, by a certain time after an incident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from harness.benchmark.benchmark import Benchmark
from harness.errors import UsageError
from harness.model.check import Check
from harness.model.record import Record
from harness.model.timeline import Moment, Window
from harness.model.units import say_duration
from harness.model.verdict import Control, Outcome, Verdict


class Claimable(Protocol):
    """What can be claimed of a window: an objective, a limit of a level, a benchmark."""

    def during(self, window: Window, /) -> Check: ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`run.check` begins with it at most `within` after recovery (runbook time): it performs the steps `look`, runs the
    benchmarks among `holds`, lets `watch` pass, and claims all of `holds` of that window, which is called `name`.

    One row of a runbook's recovery checks is one checkpoint.
    """

    name: str
    within: timedelta
    watch: timedelta
    holds: tuple[Claimable, ...]
    look: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = []
        if self.within <= timedelta() or self.watch <= timedelta():
            problems.append("within and watch must be above zero")
        if not self.holds and not self.look:
            problems.append("it neither claims anything nor looks")
        if problems:
            raise UsageError(f"the checkpoint {self.name!r} can't be used", problems=problems)

    def __str__(self) -> str:
        return self.name

    @property
    def benchmarks(self) -> tuple[Benchmark, ...]:
        """Those of what must hold that have to be run."""
        return tuple(each for each in self.holds if isinstance(each, Benchmark))

    def claims(self, window: Window, of: Moment) -> Sequence[Check]:
        """What is claimed, once it has been carried out in `window`."""
        begun = BegunWithin(window=window.name, within=self.within.total_seconds(), of=of)
        return (begun, *(each.during(window) for each in self.holds))


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunWithin:
    """The checks of `window` were begun at most `within` (runbook seconds) after `of`: what holds in them held in time.
    Begun too late, nobody knows how it was by then."""

    kind: Literal["checkpoint.begun"] = "checkpoint.begun"
    window: str
    within: float
    of: Moment

    @property
    def claim(self) -> str:
        return f"{self.window} was begun within {say_duration(self.within)} of {self.of}"

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset()

    def judge(self, record: Record) -> Verdict:
        span, of = record.window(self.window), record.instant(self.of)
        if span is None or of is None:
            return self._verdict(Outcome.UNKNOWN, f"{self.window if span is None else self.of} never came")
        after = (span.began - of) * record.time_scale
        if after < 0:
            return self._verdict(Outcome.UNKNOWN, f"begun {say_duration(-after)} before that")
        late = after > self.within
        said = f"begun {say_duration(after)} after it" + (": nobody looked in time" if late else "")
        return self._verdict(Outcome.UNKNOWN if late else Outcome.PASS, said)

    def _verdict(self, outcome: Outcome, observed: str) -> Verdict:
        return Verdict(claim=self.claim, outcome=outcome, observed=observed, limit=say_duration(self.within))
