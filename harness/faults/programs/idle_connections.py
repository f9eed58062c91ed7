"""Idle connections: keep `count` connections open and say nothing, until SIGTERM or for `at_most` seconds.

Its order, JSON in the environment: {"host", "port", "count", "at_most"}. One that is closed on us is opened again:
soon where it lasted, later and later where it was turned away at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys

# Beside the connections: our output, the event loop's own, what we inherited.
OTHER_FILES = 32
# How many may be on the way at once: a listen queue is short.
OPENING = 64
# Seconds. The longest is a compromise between taking a place that falls free and being a load of our own.
SOONEST, LATEST, LASTED = 0.05, 2.0, 1.0


class Silent(asyncio.Protocol):
    """One connection: what is said to it is not even read out."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()


async def keep_one(host: str, port: int, opening: asyncio.Semaphore) -> None:
    """Keep one connection open."""
    loop = asyncio.get_running_loop()
    pause = SOONEST
    while True:
        began = loop.time()
        with contextlib.suppress(OSError):
            async with opening:
                _, silent = await loop.create_connection(Silent, host, port)
            began = loop.time()
            await silent.over.wait()
        pause = SOONEST if loop.time() - began > LASTED else min(2 * pause, LATEST)
        await asyncio.sleep(pause)


async def keep_all(host: str, port: int, count: int, at_most: float) -> None:
    """Keep them all open."""
    opening = asyncio.Semaphore(OPENING)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(at_most):
            await asyncio.gather(*(keep_one(host, port, opening) for _ in range(count)))


def main() -> int:
    """Hold the connections; returns the exit status."""
    order = json.loads(os.environ["GAMEDAY_ORDER"])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the system closes what is open
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = order["count"] + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    asyncio.run(keep_all(order["host"], order["port"], order["count"], order["at_most"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
