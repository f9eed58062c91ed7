"""Usage: what a process uses just now, read from the system."""

from __future__ import annotations

import contextlib
import os
import sys

import psutil

from harness.sandbox.base import Process
from harness.sandbox.identity import Identity

_LINUX = sys.platform.startswith("linux")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def look(identity: Identity) -> Process | None:
    """The process as it is now; None where it is gone, or another has its pid by now."""
    try:
        process = psutil.Process(identity.pid)
        with process.oneshot():
            parent, words, times = process.ppid(), process.cmdline() or [process.name()], process.cpu_times()
    except psutil.Error:
        return None
    held: int | None = None
    with contextlib.suppress(psutil.Error):
        held = process.num_fds()
    seen = Process(
        pid=identity.pid,
        started=identity.started,
        parent=parent,
        command=" ".join(words),
        resident=share(identity.pid),
        cpu_seconds=times.user + times.system,
        open_files=held,
    )
    return seen if identity.alive else None


def resident(pid: int) -> int:
    """Its resident set in bytes, what it shares with others counted in full; 0 where it is gone. Cheap: statm of
    proc(5)."""
    try:
        if not _LINUX:
            return int(psutil.Process(pid).memory_info().rss)
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:  # noqa: PTH123 - read several times a second for
            return int(file.read(256).split()[1]) * _PAGE  # every process of the sandbox: see identity._stat
    except (OSError, IndexError, psutil.Error):
        return 0


def share(pid: int) -> int:
    """Its proportional set in bytes: a page that n processes share counts 1/n for each (smaps_rollup of proc(5)). Where
    that can't be read, its resident set."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123 - as above
            return next(int(line.split()[1]) for line in file if line.startswith(b"Pss:")) * 1024
    except (OSError, StopIteration):
        return resident(pid)


def newest_process() -> int:
    """The pid given out last on this machine: as long as it stays the same, nothing was forked (loadavg of proc(5)); 0
    where that can't be told."""
    try:
        with open("/proc/loadavg", "rb", buffering=0) as file:  # noqa: PTH123 - as above
            return int(file.read(128).split()[4])
    except (OSError, ValueError, IndexError):
        return 0
