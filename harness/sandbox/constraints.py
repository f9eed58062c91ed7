"""Constraints: what a sandbox's containers may use: ordered of the engine, read back from the kernel."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness.errors import SandboxError, UsageError
from harness.sandbox.base import LimitKind, Limits, Throttling
from harness.sandbox.cgroups import Cgroup
from harness.sandbox.fleet import Fleet
from harness.sandbox.limits import own_cores, problems

_PERIOD = 100_000  # microseconds: the kernel's own
_UNLIMITED = 0  # of memory, in the engine's HostConfig
_OWN_FILES = 2**20  # an open-files limit from which on it counts as none


class Constraints:
    """What was ordered of the services of one fleet, and what is in force."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._ordered: dict[str, Limits] = {}
        self._rations: dict[str, float] = {}
        self._files_before: dict[str, tuple[int, int]] = {}
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def order(self, service: str, limits: Limits) -> None:
        """Raises UsageError for what this machine does not have, SandboxError where the engine refuses."""
        if odd := problems(limits):
            raise UsageError(f"{service} can't be limited to {'; '.join(odd)}")
        known = self._ordered.get(service, Limits())
        given = {kind: value for kind in ("cores", "open_files", "memory") if (value := getattr(limits, kind))}
        self._put_on(service, limits)
        self._ordered[service] = replace(known, **given)

    def lift(self, service: str, kinds: Iterable[LimitKind]) -> None:
        ordered = self._ordered.get(service, Limits())
        for kind in kinds:
            ordered = replace(ordered, **{kind: None})
        self._ordered[service] = ordered
        settings: dict[str, object] = {}
        if "cores" in kinds:
            settings["CpusetCpus"] = ",".join(map(str, sorted(own_cores())))
        if "memory" in kinds:
            settings |= _memory(self._fleet.facts[service].memory or _UNLIMITED)
        if settings:
            with self._fleet.engine() as engine:
                engine.update(self._fleet.of(service).id, settings)
        if "open_files" in kinds and (before := self._files_before.pop(service, None)):
            for process in self._fleet.processes(service):
                with suppress(OSError):
                    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)

    def throttle(self, service: str, cores: float | None) -> None:
        """Raises UsageError where the compose file rations it already."""
        with self._fleet.engine() as engine:
            container = self._fleet.of(service).id
            if engine.inspect(container)["HostConfig"].get("NanoCpus"):
                raise UsageError(
                    f"{service} has `cpus` in the compose file, which the engine keeps from being changed",
                    hint="say `cpu_quota` and `cpu_period` there",
                )
            engine.update(container, {"CpuPeriod": _PERIOD, "CpuQuota": round(cores * _PERIOD) if cores else -1})
        if cores:
            self._rations[service] = cores
        else:
            self._rations.pop(service, None)

    def throttling(self, service: str) -> Throttling:
        """Raises SandboxError where it does not run, or where the kernel does not say."""
        group = self._fleet.cgroup(service)
        held_back = group.counters().throttled if group else None
        if group is None or held_back is None:
            raise SandboxError(f"{service} does not run" if group is None else "the kernel does not count throttling")
        return Throttling(cores=group.quota(), held_back=held_back)

    def renew(self, service: str) -> None:
        """After a start: a container made anew knows nothing of what was ordered, nor a process of its limits."""
        if (cores := self._rations.get(service)) is not None:
            self.throttle(service, cores)
        if (ordered := self._ordered.get(service)) and ordered != Limits():
            self._put_on(service, ordered)

    def in_force(self, service: str) -> Limits:
        """Raises SandboxError where it does not run."""
        processes = self._fleet.processes(service)
        group = Cgroup.of(processes[0].pid) if processes else None
        if group is None:
            raise SandboxError(f"{service} does not run")
        cores = {mine for process in processes if (mine := _affinity(process.pid))}
        files = {found for process in processes if (found := _open_files(process.pid)) is not None}
        few = next(iter(files)) if len(files) == 1 else None
        ordered = self._ordered.get(service, Limits()).open_files
        return Limits(
            cores=next(iter(cores)) if len(cores) == 1 and cores != {own_cores()} else None,
            open_files=few if few is not None and (few == ordered or few < _own_files()) else None,
            memory=group.memory_limit(),
        )

    def cpu_seconds(self) -> float:
        """What all containers have used; one that has ended counts with what was last seen of it."""
        with suppress(SandboxError):
            for service in self._fleet.facts:
                group = self._fleet.cgroup(service)
                if group and (used := group.counters().cpu) is not None:
                    with self._lock:
                        self._used[str(group.paths)] = used
        with self._lock:
            return sum(self._used.values())

    def _put_on(self, service: str, limits: Limits) -> None:
        settings: dict[str, object] = {}
        if limits.cores is not None:
            settings["CpusetCpus"] = ",".join(map(str, sorted(limits.cores)))
        if limits.memory is not None:
            settings |= _memory(limits.memory)
        if settings:
            with self._fleet.engine() as engine:
                engine.update(self._fleet.of(service).id, settings)
        if limits.open_files is not None:
            self._limit_files(service, limits.open_files)

    def _limit_files(self, service: str, most: int) -> None:
        for process in self._fleet.processes(service):
            try:
                soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
                self._files_before.setdefault(service, (soft, hard))
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (min(most, hard), hard))
            except PermissionError as odd:
                raise UsageError(
                    f"{service} can't be limited to {most} open files: its processes are another user's",
                    hint="that takes CAP_SYS_RESOURCE; or use --runtime processes",
                ) from odd
            except ProcessLookupError:
                continue


def _memory(limit: int) -> dict[str, object]:
    """Swap is not given on top: where the memory is full, a process is killed."""
    return {"Memory": limit, "MemorySwap": limit}


def _affinity(pid: int) -> frozenset[int]:
    try:
        return frozenset(os.sched_getaffinity(pid))
    except OSError:
        return frozenset()


def _open_files(pid: int) -> int | None:
    """From proc(5), which shows the limits of others too; None where it is gone, or unlimited."""
    try:
        lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    soft = next((line.split()[3] for line in lines if line.startswith("Max open files")), "")
    return int(soft) if soft.isdigit() else None


def _own_files() -> int:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _OWN_FILES if soft == resource.RLIM_INFINITY else min(soft, _OWN_FILES)
