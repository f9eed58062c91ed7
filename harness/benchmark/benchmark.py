"""Benchmark: so many requests, so many at a time, and what must come of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from harness.benchmark.checks import BenchmarkMet
from harness.errors import UsageError
from harness.model.timeline import Window
from harness.model.units import say_duration


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`requests` are made of `path` at a service's port, each of `at_once` users asking again as soon as the answer is
    there, as `ab -n REQUESTS -c AT_ONCE` does it. Of them 99 % must be answered rightly in less than `p99`, more than
    `rate` a second, and in less than `mean` on average: what ab calls "Time per request (mean)".

    All of it is real time, which no time scale divides. It is broken off after `at_most`.
    """

    service: str
    port: int
    path: str
    requests: int
    at_once: int
    p99: timedelta
    rate: float
    mean: timedelta
    at_most: timedelta = timedelta(seconds=60)

    def __post_init__(self) -> None:
        if problems := self._problems():
            raise UsageError(f"{self} can't be run", problems=problems)

    def __str__(self) -> str:
        return f"{self.requests} requests of {self.target}, {self.at_once} at a time"

    @property
    def target(self) -> str:
        return f"{self.service}:{self.port}{self.path}"

    def during(self, window: Window) -> BenchmarkMet:
        """The claim that what was run in `window` met the limits."""
        return BenchmarkMet(
            window=window.name,
            target=self.target,
            requests=self.requests,
            at_once=self.at_once,
            p99=self.p99.total_seconds(),
            rate=self.rate,
            mean=self.mean.total_seconds(),
        )

    def _problems(self) -> list[str]:
        found = []
        if not 100 <= self.requests <= 10_000:
            found.append(f"{self.requests} requests: 99 % can be told of 100, and 10000 is what a record can keep")
        if not 1 <= self.at_once <= min(500, self.requests):
            found.append(f"{self.at_once} at a time: it takes 1 to 500, and no more than there are requests")
        if not self.path.startswith("/") or not self.path.isascii() or " " in self.path:
            found.append(f"{self.path!r} is no path: it begins with / and has no spaces")
        if not self.rate > 0 or min(self.p99, self.mean) <= timedelta():
            found.append("its limits must be above zero")
        elif self.requests / self.rate > self.at_most.total_seconds():
            least = say_duration(self.requests / self.rate)
            found.append(f"at {self.rate:g}/s it takes {least}, and would be broken off before")
        return found
