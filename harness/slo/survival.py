"""Survival: how long something takes that does not always come before people stop watching.

Sources:

* Median of values of which some are only known to be larger: E. L. Kaplan and P. Meier, "Nonparametric estimation from
  incomplete observations", J. Am. Stat. Assoc. 53 (1958). Such a value is neither dropped nor averaged.
* Its interval: the percentile bootstrap over pairs of a value and whether it was reached, B. Efron, "Censored data and
  the bootstrap", J. Am. Stat. Assoc. 76 (1981). Not BCa: its acceleration comes from a jackknife, which fails for a
  median (B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", section 11.6).
* The least number of values: with n of them even the whole range holds the median only with 1 - 2^(1-n) (H. A. David
  and H. N. Nagaraja, "Order Statistics", section 7.1), which is 94 % for five and 97 % for six.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from harness.slo.statistics import CONFIDENCE

LEAST = 6  # with fewer values no interval of 95 % for their median exists, whatever is computed
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Lasted:
    """It took `value`, or, where it was not `reached`, longer than that."""

    value: float
    reached: bool = True


def median(lasted: Sequence[Lasted]) -> float:
    """The Kaplan-Meier median: where the share of those that still last falls to a half. Where it stays at exactly a
    half for a while, the middle of that while; infinite where it never comes so low. Raises ValueError without values.
    """
    if not lasted:
        raise ValueError("no median of nothing")
    share, half = 1.0, math.nan
    ordered = sorted(lasted, key=lambda one: (one.value, not one.reached))
    left = len(ordered)
    for one in ordered:
        if one.reached:
            if not math.isnan(half):
                return (half + one.value) / 2
            share *= 1 - 1 / left
            if share < 0.5 - 1e-9:
                return one.value
            if share < 0.5 + 1e-9:
                half = one.value
        left -= 1
    return math.inf


def median_interval(lasted: Sequence[Lasted], *, confidence: float = CONFIDENCE, seed: int = 1) -> tuple[float, float]:
    """Two-sided percentile bootstrap bounds of the median; the upper one is infinite where too many were not reached.
    The same values and seed give the same bounds. Raises ValueError for fewer than `LEAST` values."""
    if len(lasted) < LEAST:
        raise ValueError(f"{len(lasted)} values have no interval; it takes {LEAST}")
    draw = random.Random(seed)  # noqa: S311 - repeatable, not unguessable
    medians = sorted(median(draw.choices(lasted, k=len(lasted))) for _ in range(RESAMPLES))
    tail = (1 - confidence) / 2
    return medians[math.floor(tail * RESAMPLES)], medians[math.ceil((1 - tail) * RESAMPLES) - 1]
