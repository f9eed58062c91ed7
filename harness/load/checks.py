"""Checks: the claim that the load was the one intended, and that our own generator was not the bottleneck."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.model.record import LoadRecord, Record
from harness.model.units import say_duration, say_ratio
from harness.model.verdict import Control, Outcome, Verdict

SENT_AT_LEAST = 0.99  # of what was planned


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadKeptUp:
    """The load generator followed its plan all along: else what was measured is ours and not the system's.

    INVALID where it fell behind: 1 % of the arrivals were more than `lateness_limit` (seconds) late, one was ten times
    that late, one was dropped, or fewer than 99 % were sent. UNKNOWN where its account is not whole.
    """

    window: str
    lateness_limit: float = 0.2
    kind: Literal["load.kept_up"] = "load.kept_up"

    @property
    def claim(self) -> str:
        return f"the load generator kept to its plan during {self.window}"

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset()

    def judge(self, record: Record) -> Verdict:
        load = next((load for load in record.loads if load.window == self.window), None)
        if load is None:
            return self._verdict(Outcome.UNKNOWN, "no such load was recorded")
        if missing := list(_missing(load, record)):
            return self._verdict(Outcome.UNKNOWN, "; ".join(missing), load)
        if behind := list(self._behind(load)):
            return self._verdict(Outcome.INVALID, "; ".join(behind), load)
        return self._verdict(Outcome.PASS, f"{load.sent} of {load.planned} arrivals sent, {_late(load)}", load)

    def _behind(self, load: LoadRecord) -> Iterator[str]:
        """In what way the generator fell behind."""
        if load.dropped:
            yield f"{load.dropped} arrivals were dropped: the generator's bound on open requests was reached"
        if load.sent < SENT_AT_LEAST * load.planned:
            share = say_ratio(load.sent / load.planned)
            yield f"only {load.sent} of {load.planned} planned arrivals were sent ({share})"
        if load.lateness_p99 is not None and load.lateness_p99 > self.lateness_limit:
            yield f"1 % of the arrivals started {say_duration(load.lateness_p99)} late or more"
        if load.lateness_max is not None and load.lateness_max > 10 * self.lateness_limit:
            yield f"one arrival started {say_duration(load.lateness_max)} late"

    def _verdict(self, outcome: Outcome, observed: str, load: LoadRecord | None = None) -> Verdict:
        return Verdict(
            claim=self.claim,
            outcome=outcome,
            observed=observed,
            limit=(
                f"99 % of arrivals at most {say_duration(self.lateness_limit)} late, "
                f"none {say_duration(10 * self.lateness_limit)}; none dropped; {say_ratio(SENT_AT_LEAST)} sent"
            ),
            resolution="every arrival is counted",
            evidence=tuple(_figures(load)) if load else (),
        )


def _missing(load: LoadRecord, record: Record) -> Iterator[str]:
    """What is not there that a verdict would need."""
    if not load.complete:
        yield load.problem or "the load generator did not sign off"
    if load.ended is None:
        yield "the load never ended"
    if load.planned <= 0:
        yield "the plan called for nobody"
    if load.samples_count <= 0 or not record.samples:
        yield "there are no samples"
    elif (whole := sum(each.samples_count for each in record.loads)) != len(record.samples):
        yield f"{whole} samples were recorded, {len(record.samples)} are there"
    if load.complete and (load.lateness_p99 is None or load.lateness_max is None):
        yield "the generator did not say how late it was"


def _late(load: LoadRecord) -> str:
    return "99 % of them at most " + ("?" if load.lateness_p99 is None else say_duration(load.lateness_p99)) + " late"


def _figures(load: LoadRecord) -> Iterator[str]:
    yield f"plan: {load.plan}, against {load.target}"
    yield (
        f"{load.planned} planned, {load.sent} sent, {load.finished} finished, {load.in_flight} unanswered at the end, "
        f"{load.dropped} dropped"
    )
    if load.lateness_max is not None:
        yield f"{_late(load)}, the latest {say_duration(load.lateness_max)}"
    if load.generator_cpu is not None:
        yield f"the generator used {say_ratio(load.generator_cpu)} of one core"
    yield f"{load.samples_count} samples in {load.samples_file or 'no file'}"
