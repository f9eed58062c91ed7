"""Progress: how the load is going, for people who wait."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.model.load import Sample
from harness.model.units import say_duration, say_ratio

RECENT = 3.0  # wall seconds: long enough to be calm, short enough to show an outage at once


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProgress:
    """The load at one instant.

    Counts are since the start. `rate` (answers per second), `errors` (share of the answers, by what came instead),
    `p50` and `p95` (seconds) are of the last few seconds only; None where nothing came.
    """

    alive: bool
    planned: int
    sent: int
    finished: int
    in_flight: int
    dropped: int
    rate: float
    errors: Mapping[str, float]
    p50: float | None
    p95: float | None

    def __str__(self) -> str:
        if not self.alive:
            return f"load generator dead after {self.sent} requests"
        errors = ", ".join(f"{what} {say_ratio(share)}" for what, share in self.errors.items()) or "no errors"
        latency = "no answers" if self.p50 is None else f"p50 {say_duration(self.p50)}"
        dropped = f", {self.dropped} dropped" if self.dropped else ""
        return f"{self.rate:.0f}/s, {errors}, {latency}, {self.in_flight} open{dropped}"


class Recent:
    """The answers of the last few seconds."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def add(self, samples: Iterable[Sample], now: float) -> None:
        """Take in new samples and forget those that ended too long ago. They come in almost the order they ended."""
        self._samples.extend(samples)
        while self._samples and (self._samples[0].ended or 0.0) < now - RECENT:
            self._samples.popleft()

    def rate(self, over: float) -> float:
        """Answers per second; `over` is how long the load has been on, if that is less than what counts as recent."""
        return len(self._samples) / max(0.1, min(RECENT, over))

    def errors(self) -> dict[str, float]:
        """The share of wrong answers by what they were, the most frequent first."""
        found = Counter(what_came(sample) for sample in self._samples if not sample.ok)
        return {what: count / len(self._samples) for what, count in found.most_common()}

    def percentiles(self, *shares: float) -> list[float | None]:
        """The nearest-rank latency for each of `shares`, in seconds."""
        ordered = sorted(sample.at_least for sample in self._samples)
        return [_nearest(ordered, share) for share in shares]


def what_came(sample: Sample) -> str:
    """What came instead of the right answer: a status, a wrong answer under a good status, or nothing."""
    if sample.status == 0:
        return "no answer"
    return str(sample.status) if sample.status >= 400 else "wrong answer"


def _nearest(ordered: Sequence[float], share: float) -> float | None:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
