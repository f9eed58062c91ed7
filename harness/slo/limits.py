"""Limits: what users must get, as plain numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter

from harness.model.load import Sample
from harness.model.units import say_duration, say_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Each value must stay *below* its limit; None where there is none.

    `error_503` is the share of requests answered with status 503, `failures` the share of all requests that were not
    answered rightly, for whatever reason. `mean` is in seconds, `percentiles` are pairs of a share (0.95) and
    seconds. `requests` are the names of the requests that count; none named: all of them.
    """

    error_503: float | None = None
    failures: float | None = None
    mean: float | None = None
    percentiles: tuple[tuple[float, float], ...] = ()
    requests: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = []
        if self.error_503 is not None:
            said.append(f"503 answers < {say_ratio(self.error_503)}")
        if self.failures is not None:
            said.append(f"failures of any kind < {say_ratio(self.failures)}")
        if self.mean is not None:
            said.append(f"mean latency < {say_duration(self.mean)}")
        said += [f"p{share * 100:g} < {say_duration(limit)}" for share, limit in self.percentiles]
        return ", ".join(said) + (f" of {' and '.join(self.requests)}" if self.requests else "")

    def problems(self) -> list[str]:
        """Everything wrong with these limits, in plain words; empty if they are fine."""
        found = []
        shares = (("the share of 503 answers", self.error_503), ("the share of failures", self.failures))
        for name, share in shares:
            if share is not None and not 0 < share < 1:
                found.append(
                    f"{name} can't be shown to be below {say_ratio(share)}: it takes a limit between 0 and 100 %"
                )
        durations = (("the mean", self.mean), *((f"p{s * 100:g}", limit) for s, limit in self.percentiles))
        for name, duration in durations:
            if duration is not None and not duration > 0:
                found.append(f"{name} can't be below {duration:g} s")
        if not str(replace(self, requests=())):
            found.append("no limit was given")
        return found

    def counted(self, samples: Iterable[Sample]) -> list[Sample]:
        """Those of `samples` that count, ordered by their planned instant."""
        return sorted((s for s in samples if not self.requests or s.name in self.requests), key=attrgetter("planned"))

    def missing(self, samples: Iterable[Sample]) -> str:
        """Which requests that count were never sent, and what was; empty if all of them are among `samples`."""
        sent = {sample.name for sample in samples}
        never = [name for name in self.requests if name not in sent]
        if not never:
            return ""
        return f"no request is called {' or '.join(never)}; there are {', '.join(sorted(sent)) or 'none'}"

    def meets_all(self, sample: Sample) -> bool:
        """Whether this request alone was answered rightly and faster than every limit on latency."""
        slowest = min(
            [limit for _, limit in self.percentiles] + ([] if self.mean is None else [self.mean]), default=None
        )
        refused = self.error_503 is not None and sample.status == 503
        return answered_rightly(sample) and not refused and (slowest is None or sample.at_least < slowest)


def answered_rightly(sample: Sample) -> bool:
    """Whether the user got the right answer in the end."""
    return sample.ok and sample.ended is not None
