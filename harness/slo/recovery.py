"""Recovery: the instant from which users got what they must get, until the end, found in samples alone.

The samples are read through a window of consecutive requests that slides by one. A window is *broken* when its own
requests refute a limit. Recovery is where the last broken window ends for good. That is known only within a bracket:
`earliest` starts the first of the windows that stay whole until the end, and `latest` comes after the last request in
that window which was itself failed or slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from harness.model.load import Sample
from harness.slo.limits import Limits, answered_rightly
from harness.slo.statistics import lower_bound

LEAST_WINDOW = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Where the samples changed for good; instants are those of the plan, in wall seconds.

    `hit` is the first request of the first broken window that was failed or slow (None: no window was ever broken),
    `relapses` the same for each later stretch of broken windows. `earliest` and `latest` bracket the recovery; None
    where the last window is still broken (both), or where no request after it was in order (`latest`). `rest` are the
    samples from `latest` on. `spacing` is the time between the requests on either side of `latest`, `width` the
    number of requests in a window.
    """

    width: int
    hit: float | None
    earliest: float | None
    latest: float | None
    spacing: float
    relapses: tuple[float, ...]
    rest: tuple[Sample, ...]


def window_width(limits: Limits) -> int:
    """How many consecutive requests make a window: enough that one failure among them keeps every limit."""
    return max([LEAST_WINDOW, *(int(1 / share + 1e-9) + 1 for share, _ in _shares(limits))])


def find_recovery(samples: Sequence[Sample], limits: Limits) -> Recovery | None:
    """The recovery in `samples`, ordered by their planned instant; None where they don't fill one window."""
    width = window_width(limits)
    if len(samples) < width:
        return None
    broken = _broken_windows(samples, limits, width)
    starts = [i for i, bad in enumerate(broken) if bad and (i == 0 or not broken[i - 1])]
    hits = [_first_hurt(samples[i : i + width], limits) for i in starts]
    first = len(broken) - next((i for i, bad in enumerate(reversed(broken)) if bad), len(broken))
    if first == len(broken):
        return Recovery(
            width=width, hit=hits[0], earliest=None, latest=None, spacing=0.0, relapses=tuple(hits[1:]), rest=()
        )
    settled = (
        first
        if not starts
        else 1 + max((i for i in range(first, first + width) if not limits.meets_all(samples[i])), default=first - 1)
    )
    rest = tuple(samples[settled:])
    return Recovery(
        width=width,
        hit=hits[0] if hits else None,
        earliest=samples[first].planned,
        latest=rest[0].planned if rest else None,
        spacing=samples[settled].planned - samples[settled - 1].planned if rest and settled else 0.0,
        relapses=tuple(hits[1:]),
        rest=rest,
    )


def _first_hurt(window: Sequence[Sample], limits: Limits) -> float:
    return next((sample for sample in window if not limits.meets_all(sample)), window[0]).planned


def _shares(limits: Limits) -> list[tuple[float, Callable[[Sample], bool]]]:
    """Every limit on a share of requests, and which requests count towards it."""
    found: list[tuple[float, Callable[[Sample], bool]]] = []
    if limits.error_503 is not None:
        found.append((limits.error_503, lambda sample: sample.status == 503))
    if limits.failures is not None:
        found.append((limits.failures, lambda sample: not answered_rightly(sample)))
    for share, limit in limits.percentiles:
        found.append((1 - share, _slower_than(limit)))
    return found


def _slower_than(limit: float) -> Callable[[Sample], bool]:
    return lambda sample: not answered_rightly(sample) or sample.at_least >= limit


def _broken_windows(samples: Sequence[Sample], limits: Limits, width: int) -> list[bool]:
    """For each sample that starts a whole window: whether that window's requests refute a limit."""
    broken = [False] * (len(samples) - width + 1)
    totals: list[tuple[float, list[float]]] = [
        (_refuting(share, width), list(accumulate((float(counts(s)) for s in samples), initial=0.0)))
        for share, counts in _shares(limits)
    ]
    if limits.mean is not None:
        totals.append((limits.mean * width, list(accumulate((s.at_least for s in samples), initial=0.0))))
    for least, total in totals:
        for i in range(len(broken)):
            broken[i] = broken[i] or total[i + width] - total[i] >= least
    return broken


def _refuting(share: float, width: int) -> int:
    """The smallest number of bad requests in a window of `width` that refutes a limit on their share."""
    return next((hits for hits in range(1, width + 1) if lower_bound(hits, width) > share), width + 1)
