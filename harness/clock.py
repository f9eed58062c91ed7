"""Clock: the one door to time; knows the time scale.

Two kinds of time run side by side. *Wall time* is what this machine's clock shows, in seconds since the epoch.
*Runbook time* is what the runbook's authors mean by "5 minutes". The time scale is their ratio: at scale 60 one wall
second of observation stands for one runbook minute. Only observation is scaled; actions take the time they take.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Protocol

from harness.errors import UsageError


class Clock(Protocol):
    """Where now and waiting come from. `scale` is runbook seconds per wall second, 1 or more."""

    @property
    def scale(self) -> float: ...

    def now(self) -> float:
        """Wall time, in seconds since the epoch; never goes back while the process lives."""
        ...

    def sleep(self, wall: float) -> None:
        """Wait `wall` seconds of wall time."""
        ...

    def drift(self) -> float:
        """How far the machine's wall clock has moved against this one since the start, in seconds."""
        ...

    def every(self, wall: float, action: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `action` at once and then again `wall` seconds after it last returned, until the block ends."""
        ...


def checked_scale(scale: float) -> float:
    """Return `scale` if it can be used; raise UsageError otherwise."""
    if not 1 <= scale <= 1000:
        raise UsageError(
            f"time scale {scale:g} can't be used: it must be between 1 and 1000",
            hint="1 is real time; 30 or 60 suit CI",
        )
    return scale


class SystemClock:
    """The machine's clock. It reads the wall clock once and then follows the monotonic one, so that a step of the
    wall clock during a run can't bend a measured time; `drift()` tells how far the two have come apart."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = checked_scale(scale)
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return time.monotonic() + self._offset

    def sleep(self, wall: float) -> None:
        if wall > 0:
            time.sleep(wall)

    @contextmanager
    def every(self, wall: float, action: Callable[[], None]) -> Iterator[None]:
        over = threading.Event()

        def keep_calling() -> None:
            while not over.is_set():
                action()
                over.wait(wall)

        thread = threading.Thread(target=keep_calling, name=f"every {wall:g} s", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def drift(self) -> float:
        """How far the wall clock has moved against ours since the start, in seconds."""
        return time.time() - self.now()


def wall_seconds(runbook: timedelta, clock: Clock) -> float:
    """How long `runbook` time of observation takes on the wall, in seconds."""
    return runbook.total_seconds() / clock.scale
