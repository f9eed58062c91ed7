"""Durations: Prometheus' own notation (`1h30m`, `250ms`), read and written in whole milliseconds, and scaled."""

from __future__ import annotations

import re

# https://prometheus.io/docs/prometheus/latest/querying/basics/#float-literals-and-time-durations
_UNITS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>\d+){unit})?" for unit in _UNITS))

# Scaling rounds to whole milliseconds; a rounding that shifts a duration by more than this is refused.
_LARGEST_SHIFT = 0.01


def milliseconds(text: str) -> int:
    """How many milliseconds `text` says. Raises ValueError where it is no duration."""
    if text == "0":
        return 0
    found = _DURATION.fullmatch(text)
    if not text or not found:
        raise ValueError(f"{text!r} is not a duration such as 5m or 1h30m")
    return sum(int(count) * _UNITS[unit] for unit, count in found.groupdict("0").items())


def say(count: int) -> str:
    """`count` milliseconds in Prometheus' notation."""
    return f"{count // 1000}s" if count % 1000 == 0 else f"{count}ms"


def scaled(text: str, scale: float) -> str:
    """The duration `text` divided by `scale`. Raises ValueError, saying why, where Prometheus could not tell the
    result from zero or from another duration."""
    real = milliseconds(text)
    exact = real / scale
    rounded = round(exact)
    if real and rounded < 1:
        raise ValueError(f"{text} / {scale:g} is below 1 ms, Prometheus' resolution")
    if abs(rounded - exact) > _LARGEST_SHIFT * exact:
        raise ValueError(f"{text} / {scale:g} is {exact:.3g} ms: rounded to whole milliseconds it would shift too much")
    return say(rounded)
