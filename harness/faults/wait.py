"""Wait: for what a fault does to take hold, for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from harness.model.units import seconds

PAUSE = 0.05  # wall seconds between two looks
# How long a service's start may take, with its restart policy's pause before it, if it does not hang.
START = seconds(8)


def becomes(true: Callable[[], bool], *, within: timedelta) -> bool:
    """Whether `true()` holds at some look in the next `within` of wall time (a fault is an action: it takes the time it
    takes, whatever the time scale)."""
    deadline = time.monotonic() + within.total_seconds()
    while not (held := true()) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return held
