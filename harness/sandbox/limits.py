"""Limits: what a service may use, put on its live processes and on those that it is started with later."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from harness.sandbox.base import Limits
from harness.sandbox.identity import Identity, parent_of

_LINUX = sys.platform.startswith("linux")
_ROUNDS = 8  # looks at a family that forks, or a process that starts threads, while it is being limited
_MAIN = 0  # stands for every thread that is not named

# What a process may map beyond its service's memory limit: threads' stacks and what allocators set aside untouched.
_UNTOUCHED = 512 * 2**20


@dataclass(frozen=True, slots=True)
class _Found:
    """What a process had before it was limited: the cores of its threads, and its soft limit of open files."""

    cores: Mapping[int, frozenset[int]]
    open_files: int


def own_cores() -> frozenset[int]:
    """The CPUs that this process, and so what it starts, may run on; empty where the system does not tell."""
    return frozenset(os.sched_getaffinity(0)) if _LINUX else frozenset()


def problems(limits: Limits) -> list[str]:
    """What of `limits` this machine does not have, in plain words."""
    found = []
    if not _LINUX and (limits.cores is not None or limits.open_files is not None):
        return ["this system can't limit the cores or the open files of a process that runs"]
    if limits.cores is not None and (not limits.cores or limits.cores - own_cores()):
        asked, there = (", ".join(map(str, sorted(cores))) or "none" for cores in (limits.cores, own_cores()))
        found.append(f"cores {asked}: the sandbox has {there}")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limits.open_files is not None and not 0 < limits.open_files <= _finite(most):
        found.append(f"{limits.open_files} open files: it must be between 1 and {_finite(most)}")
    if limits.memory is not None and limits.memory < 1:
        found.append(f"{limits.memory} bytes of memory: it must be 1 or more")
    return found


class Restraint:
    """The limits of one service. `members` gives the pids that are its own just now, `memory` is what its topology lets
    it use, in bytes.

    Only soft limits are touched. A process that raises its own while it starts (Go's runtime and Redis do) is limited
    anew once the service is ready: see `renew`. Memory is watched elsewhere (`harness.sandbox.memory`); each process
    is given a backstop for it here, RLIMIT_DATA, which is what setrlimit(2) knows of that real servers survive: they
    reserve far more address space than they ever touch, so that RLIMIT_AS ends them at once.
    """

    def __init__(self, members: Callable[[], set[int]], memory: int | None = None) -> None:
        self._members = members
        self._topologys_memory = memory
        self._before: dict[Identity, _Found] = {}
        self._ordered = Limits()

    @property
    def memory(self) -> int | None:
        """The bytes that all its processes may use together."""
        return self._topologys_memory if self._ordered.memory is None else self._ordered.memory

    def order(self, limits: Limits) -> None:
        """Put `limits` on every process; a kind that is None stays as it is. Raises OSError where a process refuses."""
        named = {kind: value for kind, value in asdict(limits).items() if value is not None}
        self._change(replace(self._ordered, **named))

    def lift(self, kinds: Iterable[str]) -> None:
        """Give every process back what it had of these kinds. Raises OSError where a process refuses."""
        self._change(replace(self._ordered, **dict.fromkeys(kinds)))

    def _change(self, limits: Limits) -> None:
        before, self._ordered = self._ordered, limits
        self._put_on_all(before)
        if limits.cores is None and limits.open_files is None:
            self._before.clear()

    def renew(self) -> None:
        """Put what is ordered on every process once more. Raises OSError where a process refuses."""
        if self._ordered != Limits():
            self._put_on_all(self._ordered)

    def at_birth(self) -> None:
        """In a freshly forked child: take on what is ordered. What the system refuses stays as it is; `in_force`
        tells."""
        if self._ordered.cores is not None:
            with contextlib.suppress(OSError, ValueError):
                os.sched_setaffinity(0, self._ordered.cores)
        files = self._ordered.open_files or _own(resource.RLIMIT_NOFILE)
        for kind, wanted in ((resource.RLIMIT_NOFILE, files), (resource.RLIMIT_DATA, self._data())):
            with contextlib.suppress(OSError, ValueError):
                hard = resource.getrlimit(kind)[1]
                resource.setrlimit(kind, (_infinite(min(wanted, _finite(hard))), hard))

    def in_force(self) -> Limits:
        """What the live processes say of themselves: `cores` where they may use fewer than we may, `open_files` where
        they may hold fewer than what we start may, or just as many as was ordered."""
        members = self._members()
        cores = {cores for pid in members for cores in _cores(pid).values()} if _LINUX else set()
        files = {files for pid in members if (files := _open_files(pid)) is not None}
        few = next(iter(files)) if len(files) == 1 else None
        unlimited = few is None or (few != self._ordered.open_files and few >= _own(resource.RLIMIT_NOFILE))
        return Limits(
            cores=next(iter(cores)) if len(cores) == 1 and cores != {own_cores()} else None,
            open_files=None if unlimited else few,
            memory=self.memory,
        )

    def _data(self) -> int:
        """The backstop of one process, in bytes."""
        own = _own(resource.RLIMIT_DATA)
        return own if self.memory is None else min(own, 2 * self.memory + _UNTOUCHED)

    def _put_on_all(self, inherited: Limits) -> None:
        """Look again until a look finds nobody new: what an unlimited process forked meanwhile is unlimited too."""
        done: set[Identity] = set()
        for _ in range(_ROUNDS):
            fresh = {identity for pid in self._members() if (identity := Identity.of(pid))} - done
            for identity in sorted(fresh, key=lambda one: one.pid):
                with contextlib.suppress(ProcessLookupError):
                    self._put_on(identity, inherited)
            if not fresh:
                return
            done |= fresh

    def _put_on(self, identity: Identity, inherited: Limits) -> None:
        if not _LINUX:
            return
        if identity not in self._before:
            self._before[identity] = self._had(identity, inherited)
        before = self._before[identity]
        _set_cores(identity.pid, lambda thread: self._ordered.cores or before.cores.get(thread, before.cores[_MAIN]))
        _set_soft(identity.pid, resource.RLIMIT_NOFILE, self._ordered.open_files or before.open_files)
        _set_soft(identity.pid, resource.RLIMIT_DATA, self._data())

    def _had(self, identity: Identity, inherited: Limits) -> _Found:
        """What a process had of its own. What it has from a limited parent is not its own: that is what its parent had,
        or what we give to whatever we start."""
        parent = Identity.of(parent_of(identity.pid))
        above = self._before.get(parent) if parent else None
        above = above or _Found({_MAIN: own_cores()}, _own(resource.RLIMIT_NOFILE))
        cores = {
            thread: above.cores[_MAIN] if cores == inherited.cores else cores
            for thread, cores in _cores(identity.pid).items()
        }
        files = _open_files(identity.pid)
        kept = above.open_files if files is None or files == inherited.open_files else files
        return _Found({**cores, _MAIN: cores.get(identity.pid, above.cores[_MAIN])}, kept)


def _own(kind: int) -> int:
    """Our own soft limit, which is that of whatever we start."""
    return _finite(resource.getrlimit(kind)[0])


def _finite(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def _infinite(limit: int) -> int:
    return resource.RLIM_INFINITY if limit == sys.maxsize else limit


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208 - names are all that is needed
    except OSError:
        return []


def _cores(pid: int) -> dict[int, frozenset[int]]:
    """On which CPUs each of its threads may run."""
    found = {}
    for thread in _threads(pid):
        with contextlib.suppress(OSError):
            found[thread] = frozenset(os.sched_getaffinity(thread))
    return found


def _set_cores(pid: int, wanted: Callable[[int], frozenset[int]]) -> None:
    done: set[int] = set()
    for _ in range(_ROUNDS):
        fresh = set(_threads(pid)) - done
        for thread in fresh:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread, wanted(thread))
        if not fresh:
            return
        done |= fresh


def _open_files(pid: int) -> int | None:
    try:
        return _finite(resource.prlimit(pid, resource.RLIMIT_NOFILE)[0])
    except (OSError, AttributeError):  # gone, another user's, or a system without prlimit(2)
        return None


def _set_soft(pid: int, kind: int, wanted: int) -> None:
    soft, hard = resource.prlimit(pid, kind)
    if _finite(soft) != min(wanted, _finite(hard)):
        resource.prlimit(pid, kind, (_infinite(min(wanted, _finite(hard))), hard))
