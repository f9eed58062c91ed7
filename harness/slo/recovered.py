"""Recovered: the claim that users got what they must get again, soon enough, and kept getting it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

from harness.model.evidence import coverage_problem, load_problem
from harness.model.judgement import Time
from harness.model.load import Sample
from harness.model.record import Record
from harness.model.timeline import Moment
from harness.model.units import say_duration
from harness.model.verdict import Control, Outcome, Verdict
from harness.slo.limits import Limits
from harness.slo.measure import measure
from harness.slo.recovery import Recovery, find_recovery


@dataclass(frozen=True, slots=True)
class _Judged:
    """The samples of the judged stretch, its bounds, and the recovery found in them."""

    of: float
    until: float
    recovery: Recovery


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredWithin:
    """After users were hit, every limit was kept again from at most `within` (runbook seconds) after `of`, for the
    whole rest of the stretch that ends with `by` or, without one, with the load."""

    limits: Limits
    within: float
    of: Moment
    by: Moment | None = None
    kind: Literal["slo.recovered_within"] = "slo.recovered_within"

    @property
    def claim(self) -> str:
        before = f" and before {self.by}" if self.by else ""
        return f"users were hit and recovered ({self.limits}) within {say_duration(self.within)} of {self.of}{before}"

    def judge(self, record: Record) -> Verdict:
        judged = self._judged(record)
        if isinstance(judged, str):
            return self._verdict(Outcome.UNKNOWN, judged)
        recovery = judged.recovery
        evidence = self._evidence(record, judged)
        if recovery.hit is None:
            return self._verdict(Outcome.FAIL, "users were never hit, so there was nothing to recover from", evidence)
        if recovery.earliest is None or recovery.latest is None:
            return self._not_recovered(record, judged, evidence)
        time = _time(record, judged)
        observed = f"recovered after {_say(time)}{_relapses(recovery)}"
        if self._after(record, judged, recovery.earliest) > self.within:
            return self._verdict(Outcome.FAIL, observed, evidence, time)
        if self._after(record, judged, recovery.latest) > self.within:
            return self._verdict(Outcome.UNKNOWN, f"{observed}: too near the limit to tell", evidence, time)
        rest = measure(recovery.rest, self.limits)
        if rest.outcome is not Outcome.PASS:
            return self._verdict(rest.outcome, f"{observed}; afterwards {rest.said}", evidence, time)
        return self._verdict(Outcome.PASS, observed, evidence, time)

    def time(self, record: Record) -> Time | None:
        """How long recovery took from `of`, or None where there was none to be seen."""
        judged = self._judged(record)
        if isinstance(judged, str) or judged.recovery.hit is None or judged.recovery.latest is None:
            return None
        return _time(record, judged, said=f"from {self.of} until users were well again")

    def longer_than(self, record: Record) -> float | None:
        """For how long (runbook seconds) from `of` users who were hit had not recovered for certain; None where they
        had recovered, were never hit, or nobody can tell."""
        judged = self._judged(record)
        if isinstance(judged, str) or judged.recovery.hit is None or judged.recovery.latest is not None:
            return None
        earliest = judged.recovery.earliest
        return self._after(record, judged, judged.until if earliest is None else earliest)

    def red_under(self, record: Record) -> frozenset[Control]:
        """Without a fault there is nothing to recover from. Without the mitigations only the fault's end brings
        recovery, so one that must come before that end can't."""
        late = self.by is not None and any(
            self.by.edge == "end" and self.by.window == fault.window for fault in record.faults
        )
        return frozenset({Control.NO_FAULT, Control.NO_MITIGATION} if late else {Control.NO_FAULT})

    def _judged(self, record: Record) -> _Judged | str:
        """The recovery in the judged stretch, or why nothing can be said of it."""
        problem = load_problem(record)
        if problem:
            return problem
        of = record.instant(self.of)
        until = record.instant(self.by) if self.by else max(load.ended or record.ended for load in record.loads)
        if of is None or until is None:
            return f"{self.of if of is None else self.by} never came"
        if until <= of:
            return f"{self.by or 'the end of the load'} did not come after {self.of}"
        samples = self.limits.counted(record.samples)
        problem = self.limits.missing(record.samples) or coverage_problem(
            record, _between(samples, of, until), of, until
        )
        if problem:
            return problem
        injected = [fault.injected_at for fault in record.faults if fault.injected_at is not None]
        recovery = find_recovery(_between(samples, min([of, *injected]), until), self.limits)
        if recovery is None:
            return "too few samples to tell"
        return _Judged(of, until, recovery)

    def _after(self, record: Record, judged: _Judged, at: float) -> float:
        return max(0.0, at - judged.of) * record.time_scale

    def _not_recovered(self, record: Record, judged: _Judged, evidence: tuple[str, ...]) -> Verdict:
        watched = (judged.until - judged.of) * record.time_scale
        if judged.recovery.earliest is not None:
            why = "the end of the judged stretch is too near to the last failures to tell"
            return self._verdict(Outcome.UNKNOWN, why, evidence)
        if self.by is None and watched <= self.within:
            return self._verdict(
                Outcome.UNKNOWN, f"not recovered when the load ended, after {say_duration(watched)}", evidence
            )
        end = self.by or "the end of the load"
        return self._verdict(Outcome.FAIL, f"not recovered by {end}, {say_duration(watched)} after {self.of}", evidence)

    def _evidence(self, record: Record, judged: _Judged) -> tuple[str, ...]:
        def said(at: float) -> str:
            away = (at - judged.of) * record.time_scale
            return f"{say_duration(abs(away))} {'after' if away >= 0 else 'before'} {self.of}"

        recovery = judged.recovery
        lines = [f"windows of {recovery.width} consecutive requests"]
        if recovery.hit is not None:
            lines.append(f"users were hit {said(recovery.hit)}")
        lines += [f"relapse: {said(at)}" for at in recovery.relapses]
        if recovery.hit is not None and recovery.rest:
            rest = measure(recovery.rest, self.limits)
            lines.append(f"after recovery: {rest.figures}")
        return tuple(lines)

    def _verdict(
        self, outcome: Outcome, observed: str, evidence: tuple[str, ...] = (), time: Time | None = None
    ) -> Verdict:
        return Verdict(
            claim=self.claim,
            outcome=outcome,
            observed=observed,
            limit=say_duration(self.within),
            resolution=f"± {say_duration(time.resolution_seconds)}" if time else "",
            evidence=evidence,
        )


def _between(samples: list[Sample], began: float, ended: float) -> list[Sample]:
    """Those of `samples`, which are ordered, that were planned in the stretch."""
    planned = [sample.planned for sample in samples]
    return samples[bisect_left(planned, began) : bisect_left(planned, ended)]


def _time(record: Record, judged: _Judged, said: str = "") -> Time:
    recovery = judged.recovery
    earliest, latest = recovery.earliest, recovery.latest
    if earliest is None or latest is None:
        raise ValueError("there was no recovery to time")
    wall = max(0.0, latest - judged.of)
    bracket = latest - max(earliest, min(latest, judged.of)) + recovery.spacing
    return Time(
        value_seconds_runbook=wall * record.time_scale,
        wall_seconds=wall,
        resolution_seconds=bracket * record.time_scale,
        said=said,
        at=latest,
    )


def _say(time: Time) -> str:
    return f"{say_duration(time.value_seconds_runbook)} ± {say_duration(time.resolution_seconds)}"


def _relapses(recovery: Recovery) -> str:
    count = len(recovery.relapses)
    return f", with {count} relapse{'s' if count > 1 else ''} before" if count else ""
