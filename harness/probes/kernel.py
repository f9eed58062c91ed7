"""Kernel: processes as the kernel has them, whatever they or the sandbox say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path

import psutil

from harness.errors import SandboxError
from harness.sandbox.base import Process
from harness.sandbox.cgroups import Cgroup


def count_frozen(processes: Sequence[Process]) -> int:
    """How many of them are stopped by SIGSTOP, or held by the freezer of their cgroup, as those of a paused container
    are; one that is gone or not ours to see does not count."""
    return sum(_state(process.pid) == psutil.STATUS_STOPPED or _is_held(process.pid) for process in processes)


def _is_held(pid: int) -> bool:
    group = Cgroup.of(pid)
    return group is not None and group.frozen()


def may_signal(pid: int) -> bool:
    """Whether we have the right to stop process `pid`: the processes of a container belong to others."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


def _state(pid: int) -> str:
    try:
        return psutil.Process(pid).status()
    except psutil.Error:
        return ""


def freeze(pid: int) -> None:
    """Stop one process, as SIGSTOP does. Raises SandboxError."""
    try:
        psutil.Process(pid).suspend()
    except psutil.Error as cause:
        raise SandboxError(f"process {pid} can't be stopped: {cause}") from cause


def same_limit(processes: Sequence[Process]) -> bool:
    """Whether all of them may hold the same number of files open; False where it can't be told."""
    try:
        return len({_most_files(process.pid) for process in processes}) == 1
    except (psutil.Error, OSError, AttributeError, StopIteration):  # gone, or a system that does not say
        return False


def _most_files(pid: int) -> str:
    try:
        return str(psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE)[0])
    except psutil.AccessDenied:  # another user's: proc(5) shows its limits to everybody
        lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
        return next(line.split()[3] for line in lines if line.startswith("Max open files"))


def may_limit(pid: int) -> bool:
    """Whether we have the right to change what process `pid` may hold open: prlimit(2) asks for as much to look."""
    try:
        psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE)
    except psutil.AccessDenied:
        return False
    except (psutil.Error, AttributeError):
        return True
    return True


def descriptors(pid: int) -> frozenset[int]:
    """The numbers of its open files and sockets (proc(5), so on Linux only); none where it is gone. Raises
    SandboxError."""
    try:
        return frozenset(int(number) for number in os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names are enough
    except (FileNotFoundError, ProcessLookupError) as cause:
        if Path("/proc/self/fd").is_dir():
            return frozenset()
        raise SandboxError("this system does not show a process's open files") from cause
    except OSError as cause:
        raise SandboxError(f"the open files of process {pid} can't be read: {cause.strerror}") from cause


def room_below(limit: int, held: frozenset[int]) -> int:
    """How many more descriptors a process can open that holds those numbers: `limit` is one above the highest number
    that may be given out (getrlimit(2)), and what is open above it takes no room."""
    return limit - sum(number < limit for number in held)


def limit_that_leaves(spare: int, held: frozenset[int]) -> int:
    """The limit that leaves room for `spare` more; where that is negative, as much lower than the one that leaves
    none."""
    free = (number for number in count() if number not in held)
    return next(islice(free, max(0, spare), None)) + min(0, spare)


def established(pid: int, port: int) -> int:
    """How many connections of process `pid` to `port` somewhere are open at both ends. Raises SandboxError."""
    try:
        found = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error as cause:
        raise SandboxError(f"the connections of process {pid} can't be read: {cause}") from cause
    return sum(one.status == psutil.CONN_ESTABLISHED and one.raddr[1:] == (port,) for one in found)
