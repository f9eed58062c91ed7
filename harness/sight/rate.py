"""Rate: what rate(), increase() and irate() make of a counter's samples, as Prometheus computes it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Function = Literal["rate", "increase", "irate"]
FUNCTIONS: tuple[Function, ...] = ("rate", "increase", "irate")

# A sample within so many average distances of the end of a range is taken to be next to it (promql/functions.go).
_NEAR = 1.1


@dataclass(frozen=True, slots=True)
class Edition:
    """What Prometheus' versions do differently. `left_open`: a range leaves out a sample that stands exactly where it
    begins (since 3.0). `zero_last`: that a counter began at zero is thought of after the distance to its first sample
    has been bounded, not before (since 2.52, prometheus/prometheus#13725)."""

    left_open: bool = True
    zero_last: bool = True

    @classmethod
    def of(cls, version: tuple[int, int]) -> Edition:
        """That of a version, as (major, minor)."""
        return cls(left_open=version >= (3, 0), zero_last=version >= (2, 52))


NEWEST = Edition()


class Samples:
    """The samples of one counter: instants in seconds, in their order, and values."""

    def __init__(self, points: Iterable[tuple[float, float]]) -> None:
        self._times: list[float] = []
        self._values: list[float] = []
        self._grown: list[float] = []  # by how much it has grown since the first one, restarts seen through
        for at, value in points:
            before = self._values[-1] if self._values else value
            step = value if value < before else value - before
            self._grown.append((self._grown[-1] if self._grown else 0.0) + step)
            self._times.append(at)
            self._values.append(value)

    def value(self, function: Function, at: float, length: float, edition: Edition) -> float | None:
        """What `function` of the last `length` seconds is at `at`; None where it has no value, with fewer than two
        samples to go by.

        After extrapolatedRate() and instantValue() in Prometheus' promql/functions.go.
        """
        first = (bisect_right if edition.left_open else bisect_left)(self._times, at - length)
        last = bisect_right(self._times, at) - 1
        if last - first < 1:
            return None
        if function == "irate":
            return (self._grown[last] - self._grown[last - 1]) / (self._times[last] - self._times[last - 1])
        grown = self._grown[last] - self._grown[first]
        covered = self._times[last] - self._times[first]
        distance = covered / (last - first)
        before, after = self._times[first] - (at - length), at - self._times[last]
        zero = covered * self._values[first] / grown if grown > 0 else float("inf")
        if not edition.zero_last:
            before, zero = min(before, zero), float("inf")
        before = min(before if before < _NEAR * distance else distance / 2, zero)
        after = after if after < _NEAR * distance else distance / 2
        whole = grown * (covered + before + after) / covered
        return whole / length if function == "rate" else whole

    def points(self) -> Iterator[tuple[float, float]]:
        """The samples themselves."""
        return zip(self._times, self._values, strict=True)

    def any_in(self, began: float, ended: float) -> bool:
        """Whether there is a sample after `began` and not after `ended`."""
        return bisect_right(self._times, began) < bisect_right(self._times, ended)
