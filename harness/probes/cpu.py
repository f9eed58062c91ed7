"""CPU: how much of a core processes use or want, measured by us over a short while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil

from harness.model.units import seconds
from harness.sandbox.base import HasProcesses

# The kernel tells in ticks of 10 ms: over this long one process is off by 2 % of a core at most.
WINDOW = seconds(0.5)

Used = Mapping[str, float]  # CPU seconds since it began, by process


def cores_used(*looks: Callable[[], Used], over: timedelta | None = None) -> list[float]:
    """For each look, the cores that its processes used on average over the same while (`WINDOW`): 0.5 is half a core.
    One that began or ended meanwhile does not count. Takes that long. Raises as the looks do."""
    began, first = time.monotonic(), [look() for look in looks]
    time.sleep((over or WINDOW).total_seconds())
    ended, last = time.monotonic(), [look() for look in looks]
    elapsed = max(ended - began, 1e-6)
    return [
        sum(after[key] - before[key] for key in before.keys() & after.keys()) / elapsed
        for before, after in zip(first, last, strict=True)
    ]


def of_service(sandbox: HasProcesses, service: str) -> Used:
    """What the processes of a service have used."""
    return {f"{process.pid}@{process.started}": process.cpu_seconds for process in sandbox.processes(service)}


def wanted_by(sandbox: HasProcesses, service: str) -> Used:
    """What the processes of a service have used, and what their threads have waited for a CPU: on a busy machine one
    that has too much to do gets less than it wants. The wait is the second number of /proc/PID/task/TID/schedstat,
    in nanoseconds (kernel.org, scheduler/sched-stats); where there is none it is left out. Raises SandboxError."""
    wanted = dict(of_service(sandbox, service))
    for process in sandbox.processes(service):
        for file in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            with suppress(OSError, ValueError, IndexError):  # the thread has ended
                wanted[f"{file}@{process.started}"] = int(file.read_text(encoding="ascii").split()[1]) / 1e9
    return wanted


def of_pids(pids: Iterable[int]) -> Used:
    """What these processes have used; one that is gone is left out."""
    used = {}
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            continue
        used[str(pid)] = times.user + times.system
    return used
