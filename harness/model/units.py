"""Units: durations and ratios as types, and how they are said in a sentence."""

from __future__ import annotations

import math
from datetime import timedelta


def seconds(count: float) -> timedelta:
    """`count` seconds."""
    return timedelta(seconds=count)


def minutes(count: float) -> timedelta:
    """`count` minutes."""
    return timedelta(minutes=count)


def hours(count: float) -> timedelta:
    """`count` hours."""
    return timedelta(hours=count)


def percent(count: float) -> float:
    """`count` percent as a ratio between 0 and 1. Raises ValueError outside 0..100."""
    if not 0 <= count <= 100:
        raise ValueError(f"{count:g} % is not between 0 % and 100 %")
    return count / 100


def say_duration(duration: timedelta | float) -> str:
    """A duration (seconds if a number) with as much detail as a reader needs: `340 ms`, `41.3 s`, `6 min 5 s`."""
    total = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    if not math.isfinite(total):
        return f"{total:g} s"
    if total < 0:
        return "-" + say_duration(-total)
    if total == 0:
        return "0 s"
    if total < 0.9995:
        return f"{total * 1000:.3g} ms"
    if total < 59.95:
        return f"{total:.3g} s"
    whole = round(total)
    hour, rest = divmod(whole, 3600)
    minute, second = divmod(rest, 60)
    named = ((hour, "h"), (minute, "min"), (second, "s"))
    return " ".join(f"{count} {unit}" for count, unit in named if count)


def say_ratio(ratio: float) -> str:
    """A ratio as a percentage: `0.37 %`, `1 %`, `100 %`."""
    return f"{ratio * 100:.3g} %"
