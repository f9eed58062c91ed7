"""Burn: processes that do nothing but use one core, until SIGTERM or for `at_most` seconds.

The order, JSON in the environment: {"core", "burners", "at_most"}.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from contextlib import suppress

STRETCH = 100_000  # rounds between two looks: some milliseconds


def main() -> int:
    """Keep the burners until it is time; returns the exit status."""
    order = json.loads(os.environ["GAMEDAY_ORDER"])
    deadline = time.monotonic() + order["at_most"]
    parent = os.getpid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    gc.freeze()  # what is there stays shared between the burners
    burners: list[int] = []
    try:
        for _ in range(order["burners"]):
            if (pid := os.fork()) == 0:
                burn(order["core"], parent, deadline)
            burners.append(pid)
        time.sleep(max(0.0, deadline - time.monotonic()))
    finally:
        for pid in burners:
            with suppress(ProcessLookupError):  # somebody else ended it
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
    return 0


def burn(core: int, parent: int, deadline: float) -> None:
    """Use `core` while `parent` lives; never returns."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()  # where the kernel shares by session (sched(7), autogroup), one for all would count as one process
        os.sched_setaffinity(0, {core})
        while os.getppid() == parent and time.monotonic() < deadline:
            for _ in range(STRETCH):
                pass
    finally:
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
