"""Statistics: what a number of samples can and cannot show, computed exactly and without chance.

Sources:

* Interval for a proportion: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in
  the case of the binomial", Biometrika 26 (1934). It never promises more than its confidence.
* Regularised incomplete beta function: the continued fraction DLMF 8.17.22, evaluated by Lentz' method (modified by
  I. J. Thompson and A. R. Barnett, J. Comput. Phys. 64, 1986).
* Batch means: A. M. Law, "Simulation Modeling and Analysis", chapter 9. Neighbouring latencies depend on each other
  (one queue), and are skewed; means of consecutive batches are nearly neither.
* Interval for a percentile from order statistics: H. A. David and H. N. Nagaraja, "Order Statistics", section 7.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

CONFIDENCE = 0.95
BATCHES = 20
LEAST_FOR_MEAN = 5 * BATCHES  # five to a batch: fewer, and a batch's mean is as skewed as its samples

# The same few bounds are asked for again and again, and each takes hundreds of evaluations of a fraction.
_REMEMBERED = 4096
_TINY = 1e-300
_STEPS = 100_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between two one-sided bounds, each of which holds with the stated confidence on its own."""

    lower: float
    estimate: float
    upper: float


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b) for a, b > 0 and 0 <= x <= 1."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # The fraction converges quickly only on its own side of the mean.
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(x, a, b) / a
    return 1 - front * _beta_fraction(1 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of DLMF 8.17.22, by modified Lentz."""
    c = 1.0
    d = 1 / _not_zero(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            result *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return result


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _root(rises: Callable[[float], float], low: float, high: float) -> float:
    """Where the rising function `rises` crosses zero between `low` and `high`, by bisection to the last bit."""
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if rises(middle) < 0:
            low = middle
        else:
            high = middle


@lru_cache(_REMEMBERED)
def lower_bound(hits: int, count: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided Clopper-Pearson lower bound of a share of which `hits` of `count` were seen; 0 for no samples."""
    _check_counts(hits, count)
    if hits == 0:
        return 0.0
    return _root(lambda p: incomplete_beta(p, hits, count - hits + 1) - (1 - confidence), 0.0, 1.0)


@lru_cache(_REMEMBERED)
def upper_bound(hits: int, count: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided Clopper-Pearson upper bound of a share of which `hits` of `count` were seen; 1 for no samples."""
    _check_counts(hits, count)
    if hits == count:
        return 1.0
    return _root(lambda p: incomplete_beta(p, hits + 1, count - hits) - confidence, 0.0, 1.0)


def _check_counts(hits: int, count: int) -> None:
    if not 0 <= hits <= count:
        raise ValueError(f"{hits} of {count} is no share")


def needed_for(limit: float, hits: int = 0, confidence: float = CONFIDENCE) -> int:
    """How many samples, `hits` of them bad, show a share below `limit`: 299 without a failure for 1 % at 95 %.

    Raises ValueError for a limit outside 0..1 (both excluded): no number of samples could show it.
    """
    if not 0 < limit < 1:
        raise ValueError(f"a share below {limit:g} can't be shown by samples")
    low, high = hits, max(hits, 1)
    while upper_bound(hits, high, confidence) >= limit:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if upper_bound(hits, middle, confidence) < limit:
            high = middle
        else:
            low = middle
    return high


@lru_cache(_REMEMBERED)
def student_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t distribution with `freedom` degrees of freedom, for a probability of 0.5 or more."""
    if not 0.5 <= probability < 1 or freedom < 1:
        raise ValueError(f"no Student quantile for p={probability:g}, freedom={freedom}")
    tail = 2 * (1 - probability)
    # P(|T| > t) = I_x(freedom/2, 1/2) where x = freedom / (freedom + t^2), which rises with x.
    x = _root(lambda x: incomplete_beta(x, freedom / 2, 0.5) - tail, 0.0, 1.0)
    return math.sqrt(freedom * (1 - x) / x)


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """The mean of `values`, which stand in the order in which they happened, with one-sided bounds from the means of
    20 consecutive batches and Student's t. None for fewer than 100 values: too few to say."""
    count = len(values)
    if count < LEAST_FOR_MEAN:
        return None
    mean = math.fsum(values) / count
    edges = [count * i // BATCHES for i in range(BATCHES + 1)]
    batches = [math.fsum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    centre = math.fsum(batches) / BATCHES
    spread = math.sqrt(math.fsum((batch - centre) ** 2 for batch in batches) / (BATCHES - 1))
    reach = student_quantile(confidence, BATCHES - 1) * spread / math.sqrt(BATCHES)
    return Interval(mean - reach, mean, mean + reach)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `share` (0..1] of `values` do not exceed.

    Raises ValueError without values, or for a share outside 0..1.
    """
    if not values or not 0 < share <= 1:
        raise ValueError(f"no percentile {share:g} of {len(values)} values")
    return sorted(values)[_rank(len(values), share) - 1]


def _rank(count: int, share: float) -> int:
    # 0.95 * 100 is a hair above 95 in floating point; that hair must not move the rank.
    return max(1, math.ceil(count * share - 1e-9))


def percentile_interval(values: Sequence[float], share: float, confidence: float = CONFIDENCE) -> Interval:
    """A percentile between order statistics, whatever the distribution. A bound that no order statistic can give
    (too few values) is 0 or infinite."""
    ordered = sorted(values)
    estimate = ordered[_rank(len(ordered), share) - 1] if ordered else math.nan
    count = len(ordered)
    # The r-th smallest is at or above the percentile with probability P(Binomial(count, share) < r).
    upper = _first(count, lambda r: _below(r, count, share) >= confidence)
    # ... and at or below it with probability P(Binomial(count, share) >= r).
    lower = _first(count, lambda r: 1 - _below(r, count, share) < confidence)
    return Interval(
        ordered[lower - 2] if lower >= 2 else 0.0, estimate, ordered[upper - 1] if upper <= count else math.inf
    )


def _below(rank: int, count: int, share: float) -> float:
    """P(Binomial(count, share) < rank)."""
    return 1 - incomplete_beta(share, rank, count - rank + 1)


def _first(count: int, holds: Callable[[int], bool]) -> int:
    """The smallest rank in 1..count for which `holds`, or count + 1; `holds` must turn true once and stay so."""
    low, high = 0, count + 1
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
