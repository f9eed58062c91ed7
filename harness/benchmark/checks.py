"""BenchmarkMet: the claim that a benchmark met its limits, judged from every single request."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.benchmark.figures import Figures, at_place
from harness.model.benchmark import BenchmarkRecord
from harness.model.record import Record
from harness.model.units import say_duration, say_ratio
from harness.model.verdict import Control, Outcome, Verdict

BUSY_CLIENT = 0.9  # of a core: above it, what was slow may have been we


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkMet:
    """Of `requests` made of `target` during `window`, 99 % were answered rightly within `p99`, more than `rate` a
    second and in less than `mean` on average (seconds, and per second: real time).

    It is a statement about these requests, as ab's is, and not about all that could be made: there are no bounds of
    confidence. Stricter than ab, a request that was not answered rightly and whole counts as the slowest of all, and
    towards neither the rate nor the mean.
    """

    kind: Literal["benchmark.met"] = "benchmark.met"
    window: str
    target: str
    requests: int
    at_once: int
    p99: float
    rate: float
    mean: float

    @property
    def claim(self) -> str:
        return f"{self.requests} requests of {self.target}, {self.at_once} at a time, {self._limits} in {self.window}"

    @property
    def _limits(self) -> str:
        return f"99 % within {say_duration(self.p99)}, more than {self.rate:g}/s, mean < {say_duration(self.mean)}"

    def red_under(self, record: Record) -> frozenset[Control]:
        """None: a server may answer a benchmark well with or without a fault elsewhere."""
        return frozenset()

    def judge(self, record: Record) -> Verdict:
        found = [each for each in record.benchmarks if (each.window, each.target) == (self.window, self.target)]
        if len(found) != 1:
            return self._verdict(Outcome.UNKNOWN, f"{len(found) or 'no'} such benchmarks were recorded")
        ran = found[0]
        if problem := self._no_account(ran):
            return self._verdict(Outcome.UNKNOWN, problem, ran)
        said, missed = self._seen(ran)
        if not missed:
            return self._verdict(Outcome.PASS, said, ran)
        if ran.client_cpu is not None and ran.client_cpu > BUSY_CLIENT:
            why = f"our own client used {say_ratio(ran.client_cpu)} of a core, so it may have been the slow one"
            return self._verdict(Outcome.INVALID, f"{said}: {why}", ran)
        return self._verdict(Outcome.FAIL, f"{said}: {'; '.join(missed)}", ran)

    def _no_account(self, ran: BenchmarkRecord) -> str:
        """Why nothing can be said of it; empty where something can."""
        if ran.problem:
            return ran.problem
        if (ran.requests, ran.at_once) != (self.requests, self.at_once):
            return f"another one was run: {ran.requests} requests, {ran.at_once} at a time"
        if len(ran.replies) > ran.requests or (len(ran.replies) < ran.requests and not ran.stopped):
            return f"{ran.requests} requests were to be made, {len(ran.replies)} were recorded"
        if not ran.began < ran.ended or any(
            not ran.began <= reply.sent <= reply.ended <= ran.ended for reply in ran.replies
        ):
            return "its requests don't lie between its beginning and its end"
        return ""

    def _seen(self, ran: BenchmarkRecord) -> tuple[str, list[str]]:
        """What was seen, and which limits it missed."""
        lasted = ran.ended - ran.began
        right = [reply for reply in ran.replies if reply.right]
        ordered = sorted(reply.seconds for reply in right)
        p99 = at_place([*ordered, *[math.inf] * (self.requests - len(right))], 99)
        rate = len(right) / lasted
        mean = lasted * self.at_once / len(right) if right else math.inf
        slow = "never" if math.isinf(p99) else f"within {say_duration(p99)}"
        average = "no mean" if math.isinf(mean) else f"mean {say_duration(mean)}"
        wrong = "".join(f", {count} {what}" for what, count in _wrong(ran).most_common(3))
        said = f"{len(right)} of {self.requests} answered rightly{wrong}; 99 % {slow}, {rate:.3g}/s, {average}"
        missed = []
        if not p99 < self.p99:
            missed.append(f"99 % were not answered within {say_duration(self.p99)}")
        if not rate > self.rate:
            missed.append(f"not more than {self.rate:g}/s")
        if not mean < self.mean:
            missed.append(f"the mean is not below {say_duration(self.mean)}")
        if ran.stopped:
            missed.append(ran.stopped)
        return said, missed

    def _verdict(self, outcome: Outcome, observed: str, ran: BenchmarkRecord | None = None) -> Verdict:
        return Verdict(
            claim=self.claim,
            outcome=outcome,
            observed=observed,
            limit=self._limits,
            resolution="every request is timed",
            evidence=tuple(_evidence(ran)) if ran else (),
        )


def _wrong(ran: BenchmarkRecord) -> Counter[str]:
    """What came in place of right answers; requests that were never made are among it."""
    found = Counter(reply.error or f"status {reply.status}" for reply in ran.replies if not reply.right)
    if never := ran.requests - len(ran.replies):
        found["never made"] = never
    return found


def _evidence(ran: BenchmarkRecord) -> Iterator[str]:
    figures = Figures(replies=ran.replies, at_once=ran.at_once, seconds=ran.ended - ran.began)
    if ran.replies and figures.complete:
        yield (
            f"as ab counts: {len(figures.complete)} complete in {say_duration(figures.seconds)}, {figures.rate:.1f}/s, "
            f"{say_duration(figures.mean)} per request, 99 % within {say_duration(figures.within(99))}, "
            f"{figures.not_2xx} not 2xx, {figures.of_another_length} of another length than the first"
        )
    if ran.client_cpu is not None:
        yield f"our client used {say_ratio(ran.client_cpu)} of one core"
