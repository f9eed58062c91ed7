"""Fullness: how many more files and sockets the processes of a service can open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from harness.errors import SandboxError
from harness.faults.wait import START, becomes
from harness.probes.kernel import descriptors, limit_that_leaves, room_below, same_limit
from harness.sandbox.base import CanLimit, HasProcesses


class Limitable(CanLimit, HasProcesses, Protocol):
    """A sandbox whose services can be limited and looked at."""


@dataclass(frozen=True, slots=True)
class Fullness:
    """What each process may hold open, how many more the fullest can open, and how many of `processes` can open none
    at all."""

    limit: int
    room: int
    full: int
    processes: int


def fullness(sandbox: Limitable, service: str) -> Fullness | None:
    """How full the fullest process of `service` is; None where nothing limits them. One that is just being restarted is
    waited for. Raises SandboxError where it stays away, or where its processes do not all have the same limit."""
    found: list[Fullness | None] = []
    if not becomes(lambda: _look(sandbox, service, found), within=START):
        raise SandboxError(f"{service} does not run, or not all of its processes have the same limit of open files")
    return found[0]


def _look(sandbox: Limitable, service: str, found: list[Fullness | None]) -> bool:
    processes = sandbox.processes(service)
    if not processes:
        return False
    try:
        limit = sandbox.limits(service).open_files
    except SandboxError:  # it has ended since
        return False
    held = [descriptors(process.pid) for process in processes]
    if limit is not None:
        rooms = [room_below(limit, numbers) for numbers in held]
        found.append(Fullness(limit, room=min(rooms), full=sum(room <= 0 for room in rooms), processes=len(rooms)))
    elif same_limit(processes):
        found.append(None)
    return bool(found)


def limit_for(sandbox: Limitable, service: str, spare: int) -> int:
    """The limit that leaves the fullest process of `service` room for `spare` more (see `limit_that_leaves`). Raises
    SandboxError where it does not run."""
    found = [limit_that_leaves(spare, descriptors(process.pid)) for process in sandbox.processes(service)]
    if not found:
        raise SandboxError(f"{service} does not run")
    return max(found)
