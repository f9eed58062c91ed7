"""Bins: samples summed up over equal stretches of time, for pictures and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.model.load import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The requests whose planned instant lies in one stretch (instants in wall seconds since the epoch).

    `planned` is how many they are, `sent` how many requests really left in the stretch. The other counts say what
    became of the planned ones: answered rightly, refused with 503, failed in another way, never answered. `p50` and
    `p95` are nearest-rank percentiles of latency in seconds, where an unanswered request counts as long as it
    waited; None without requests.
    """

    began: float
    ended: float
    planned: int
    sent: int
    right: int
    refused: int
    failed: int
    unanswered: int
    p50: float | None
    p95: float | None


def binned(samples: Sequence[Sample], began: float, ended: float, count: int) -> tuple[Bin, ...]:
    """`samples` in `count` equal bins from `began` to `ended`; those outside are left out. Empty for no stretch."""
    width = (ended - began) / count if count > 0 else 0.0
    if width <= 0:
        return ()
    held: list[list[Sample]] = [[] for _ in range(count)]
    sent = [0] * count
    for sample in samples:
        place = math.floor((sample.planned - began) / width)
        if 0 <= place < count:
            held[place].append(sample)
        left = math.floor((sample.sent - began) / width)
        if 0 <= left < count:
            sent[left] += 1
    return tuple(summed(members, began + i * width, began + (i + 1) * width, sent[i]) for i, members in enumerate(held))


def summed(members: Sequence[Sample], began: float, ended: float, sent: int) -> Bin:
    """One bin of `members`."""
    right = refused = failed = unanswered = 0
    for sample in members:
        if sample.ended is None:
            unanswered += 1
        elif sample.status == 503:
            refused += 1
        elif sample.ok:
            right += 1
        else:
            failed += 1
    latencies = sorted(sample.at_least for sample in members)
    return Bin(
        began=began,
        ended=ended,
        planned=len(members),
        sent=sent,
        right=right,
        refused=refused,
        failed=failed,
        unanswered=unanswered,
        p50=_nearest_rank(latencies, 0.5),
        p95=_nearest_rank(latencies, 0.95),
    )


def _nearest_rank(ordered: Sequence[float], share: float) -> float | None:
    return ordered[max(1, math.ceil(len(ordered) * share - 1e-9)) - 1] if ordered else None
