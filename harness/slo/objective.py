"""Objective: what a scenario's author says users must get, and the claims that can be made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from harness.errors import UsageError
from harness.model.timeline import Moment, Window
from harness.slo.during import During
from harness.slo.limits import Limits
from harness.slo.measure import needed
from harness.slo.recovered import RecoveredWithin
from harness.slo.smoke import SmokeTest, smoke


@dataclass(frozen=True, slots=True)
class Objectives:
    """What users must get. Made by `Slo`; makes Checks."""

    limits: Limits

    def __post_init__(self) -> None:
        problems = self.limits.problems()
        if problems:
            raise UsageError("objectives that can't be judged", problems=problems)

    def __str__(self) -> str:
        return str(self.limits)

    @property
    def needs(self) -> int:
        """How many requests a window must hold, all of them in order, before these objectives can PASS."""
        return needed(self.limits)

    def on(self, *requests: str) -> Objectives:
        """The same objectives, of just the requests with these names ("POST /orders"), as the load's users call them.
        Others don't count; a name that no request had is UNKNOWN."""
        if not requests:
            raise UsageError("on() needs the name of a request", hint='as the load calls it: RECOVERED.on("GET /")')
        return replace(self, limits=replace(self.limits, requests=requests))

    def during(self, *windows: Window) -> During:
        """The claim that the objectives were met in each of `windows`, taken by itself."""
        if not windows:
            raise UsageError("during() needs a window", hint="name one: RECOVERED.during(run.observe(...))")
        return During(limits=self.limits, windows=tuple(window.name for window in windows))

    def within(self, limit: timedelta, of: Moment, by: Moment | None = None) -> RecoveredWithin:
        """The claim that users were hit, and had recovered at most `limit` (runbook time) after `of` for good: until
        `by` or, without it, until the load ended. With `by` set to the fault's end, it was not the fault's own end
        that helped."""
        if limit <= timedelta(0):
            raise UsageError(f"nothing recovers within {limit}", hint="give a duration above zero")
        return RecoveredWithin(limits=self.limits, within=limit.total_seconds(), of=of, by=by)


class Slo:
    """Where objectives come from."""

    @staticmethod
    def recovery(*, error_503: float, mean: timedelta) -> Objectives:
        """A runbook's recovery check. `error_503` (a ratio: `percent(1)`) limits the share of 503 answers, and that
        of requests not answered rightly for any other reason too: a service that answers 500, or not at all, has not
        recovered. `mean` limits the mean latency."""
        return Objectives(Limits(error_503=error_503, failures=error_503, mean=mean.total_seconds()))

    @staticmethod
    def smoke(*requests: str) -> SmokeTest:
        """A smoke test: each of these requests ("POST /orders"), as the load's users call them, must be made a few
        times and answered rightly every time."""
        return smoke(*requests)

    @staticmethod
    def availability(*, at_least: float) -> Objectives:
        """The share of requests (a ratio: `percent(99.5)`) that must be answered rightly."""
        # Rounded so that 1 - 0.995 reads 0.5 % and not 0.50000000000000044 %.
        return Objectives(Limits(failures=round(1 - at_least, 12)))

    @staticmethod
    def latency(
        *,
        mean: timedelta | None = None,
        p50: timedelta | None = None,
        p95: timedelta | None = None,
        p99: timedelta | None = None,
    ) -> Objectives:
        """Limits on latency. To a percentile, a request that was not answered rightly is slower than any other."""
        named = ((0.5, p50), (0.95, p95), (0.99, p99))
        return Objectives(
            Limits(
                mean=None if mean is None else mean.total_seconds(),
                percentiles=tuple((share, limit.total_seconds()) for share, limit in named if limit is not None),
            )
        )


__all__ = ["During", "Objectives", "RecoveredWithin", "Slo"]
