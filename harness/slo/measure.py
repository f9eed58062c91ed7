"""Measure: what a stretch of samples shows of the limits, for certain, against them, or neither."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.model.load import Sample
from harness.model.units import say_duration, say_ratio
from harness.model.verdict import Outcome
from harness.slo.limits import Limits, answered_rightly
from harness.slo.statistics import (
    LEAST_FOR_MEAN,
    Interval,
    lower_bound,
    mean_interval,
    needed_for,
    percentile,
    percentile_interval,
    upper_bound,
)

# A request unanswered for this many seconds when we stopped watching counts as failed. A younger one might still have
# been answered: it counts against a pass, but can't make a failure.
PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One limit against one stretch. `said` is what was seen, `why` why that is not enough (empty for a pass)."""

    outcome: Outcome
    said: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Stretch:
    """All limits against one stretch of `count` samples, and one line of figures for those who doubt."""

    count: int
    findings: tuple[Finding, ...]
    figures: str

    @property
    def outcome(self) -> Outcome:
        return all_of(finding.outcome for finding in self.findings)

    @property
    def said(self) -> str:
        """What was seen and, where it is no pass, why."""
        reasons = [f.why for f in self.findings if f.outcome is self.outcome and f.why]
        return ", ".join(finding.said for finding in self.findings) + (": " + "; ".join(reasons) if reasons else "")


def all_of(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of claims that must all hold: one that is refuted by sound evidence refutes them all, whatever is
    unknown of the rest. Nothing claimed is UNKNOWN."""
    found = set(outcomes)
    if Outcome.FAIL in found:
        return Outcome.FAIL
    return Outcome.PASS if found == {Outcome.PASS} else Outcome.UNKNOWN


def needed(limits: Limits) -> int:
    """How many samples without a single failure it takes to show `limits`; with failures it takes more."""
    shares = [share for share in (limits.error_503, limits.failures) if share is not None]
    shares += [1 - share for share, _ in limits.percentiles]
    least = max((needed_for(share) for share in shares), default=1)
    return least if limits.mean is None else max(least, LEAST_FOR_MEAN)


def measure(samples: Sequence[Sample], limits: Limits) -> Stretch:
    """Hold `samples`, ordered by their planned instant, against `limits`."""
    findings = []
    if limits.error_503 is not None:
        findings.append(
            _share(samples, limits.error_503, "were 503", lambda s: s.status == 503, lambda s: s.ended is None)
        )
    if limits.failures is not None:
        findings.append(
            _share(samples, limits.failures, "failed in any way", _failed, lambda s: not answered_rightly(s))
        )
    if limits.mean is not None:
        findings.append(_mean(samples, limits.mean))
    findings += [_percentile(samples, share, limit) for share, limit in limits.percentiles]
    return Stretch(len(samples), tuple(findings), figures(samples))


def _failed(sample: Sample) -> bool:
    """Whether this request failed for certain."""
    return not answered_rightly(sample) and (sample.ended is not None or sample.at_least >= PATIENCE)


def _share(
    samples: Sequence[Sample],
    limit: float,
    verb: str,
    surely: Callable[[Sample], bool],
    perhaps: Callable[[Sample], bool],
) -> Finding:
    """A share of bad samples against its limit: the doubtful ones count against a pass and not for a failure."""
    count = len(samples)
    sure = sum(map(surely, samples))
    possible = sum(1 for sample in samples if surely(sample) or perhaps(sample))
    low, high = lower_bound(sure, count), upper_bound(possible, count)
    doubt = f" and {possible - sure} more perhaps" if possible > sure else ""
    if high < limit:
        return Finding(Outcome.PASS, f"{possible} of {count} {verb} (at most {say_ratio(high)})")
    if low > limit:
        return Finding(
            Outcome.FAIL,
            f"{sure} of {count}{doubt} {verb} ({say_ratio(sure / count)})",
            f"at least {say_ratio(low)} {verb}, the limit is {say_ratio(limit)}",
        )
    seen = f"{sure} of {count}{doubt} {verb} (at most {say_ratio(high)})"
    if possible < limit * count or not possible:
        return Finding(
            Outcome.UNKNOWN, seen, f"too few samples to tell (n={count}, needs {needed_for(limit, possible)})"
        )
    return Finding(Outcome.UNKNOWN, seen, f"too near the limit of {say_ratio(limit)} to tell (n={count})")


def _mean(samples: Sequence[Sample], limit: float) -> Finding:
    """The mean latency against its limit: of all requests, and of those answered rightly, since quick refusals would
    flatter it. An unanswered request counts with the time that it waited, so the true mean can only be higher."""
    everyone = mean_interval([sample.at_least for sample in samples])
    served = mean_interval([sample.at_least for sample in samples if answered_rightly(sample)])
    unanswered = sum(1 for sample in samples if sample.ended is None)
    known = [interval for interval in (everyone, served) if interval is not None]
    above = max(known, key=lambda interval: interval.lower, default=None)
    if above is not None and above.lower > limit:
        return Finding(
            Outcome.FAIL,
            f"mean {say_duration(above.estimate)}",
            f"the mean is at least {say_duration(above.lower)}, the limit is {say_duration(limit)}",
        )
    if everyone is None or served is None:
        right = sum(map(answered_rightly, samples))
        why = f"too few right answers for a mean (n={right}, needs {LEAST_FOR_MEAN})"
        return Finding(Outcome.UNKNOWN, "mean unknown", why)
    said = _say_mean(max(known, key=lambda interval: interval.upper))
    if unanswered:
        return Finding(Outcome.UNKNOWN, said, f"{unanswered} still unanswered, so the mean is only a lower bound")
    if max(everyone.upper, served.upper) < limit:
        return Finding(Outcome.PASS, said)
    return Finding(Outcome.UNKNOWN, said, f"the mean is too near the limit of {say_duration(limit)} to tell")


def _say_mean(interval: Interval) -> str:
    return f"mean {say_duration(interval.estimate)} (at most {say_duration(interval.upper)})"


def _percentile(samples: Sequence[Sample], share: float, limit: float) -> Finding:
    """A percentile against its limit, as the share of requests that were slower or not answered rightly."""
    slow = _share(
        samples,
        1 - share,
        f"took {say_duration(limit)} or longer, or failed",
        lambda s: s.at_least >= limit or _failed(s),
        lambda s: not answered_rightly(s),
    )
    if not samples:
        return slow
    interval = percentile_interval([_as_latency(sample) for sample in samples], share)
    said = f"p{share * 100:g} {_say_latency(interval.estimate)} (at most {_say_latency(interval.upper)})"
    return Finding(slow.outcome, said, slow.why)


def _as_latency(sample: Sample) -> float:
    """A request that was not answered rightly never got its answer: it ranks behind all that did."""
    return sample.at_least if answered_rightly(sample) else math.inf


def _say_latency(value: float) -> str:
    return "unbounded" if math.isinf(value) else say_duration(value)


def figures(samples: Sequence[Sample]) -> str:
    """The plain counts and latencies of a stretch, in one line."""
    count = len(samples)
    if not count:
        return "n=0"
    refused = sum(1 for sample in samples if sample.status == 503)
    unanswered = sum(1 for sample in samples if sample.ended is None)
    other = sum(1 for s in samples if s.status != 503 and s.ended is not None and not s.ok)
    latencies = [sample.at_least for sample in samples]
    interval = mean_interval(latencies)
    mean = say_duration(math.fsum(latencies) / count)
    between = f" ({say_duration(max(0.0, interval.lower))} to {say_duration(interval.upper)})" if interval else ""
    return (
        f"n={count}, 503: {refused}, other failures: {other}, unanswered: {unanswered}, mean {mean}{between}, "
        f"p99 {say_duration(percentile(latencies, 0.99))}"
    )
