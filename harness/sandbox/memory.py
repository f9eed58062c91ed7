"""Memory: each service kept within its limit as a container or systemd's MemoryMax keeps it: past it, one is killed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.sandbox.identity import Identity, families
from harness.sandbox.supervised import Event, Supervised
from harness.sandbox.usage import newest_process, resident, share

# Wall seconds.
_LOOK = 0.2  # between two looks at what the known processes hold
_CENSUS = 1.0  # between two looks for processes that are new, and at what is shared


@dataclass(slots=True)
class _Seen:
    """A service's processes as the last census found them, what they held then, each counted in full, and what they
    held with what they share counted once."""

    members: tuple[Identity, ...] = ()
    full: int = 0
    shared_once: int = 0


@dataclass(slots=True)
class MemoryWatch:
    """Looks at every service that has a limit, five times a second.

    What is bounded: each service's processes together, their shares of shared pages included, up to what they can
    take in between two looks (a process is counted a second after its birth at the latest); and each process by
    itself, at any speed and however late the looks are, by the backstop that it is born with (`Restraint`): twice the
    limit and 512 MiB of private writable memory. What is not: the page cache, files in a memory file system that
    nobody maps, and what a service's processes take that left its session and its descendants.
    """

    services: Mapping[str, Supervised]
    event: Event
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _victims: dict[str, Identity] = field(default_factory=dict)
    _next_census: float = 0.0
    _newest: int = 0

    async def keep(self) -> None:
        """Look until cancelled."""
        while True:
            self.look(time.monotonic())
            await asyncio.sleep(_LOOK)

    def look(self, now: float) -> None:
        """Look once, at the monotonic instant `now`."""
        running = {
            name: service.child.pid
            for name, service in self.services.items()
            if service.limits.memory is not None and service.child is not None and service.child.running
        }
        if now >= self._next_census:
            self._next_census = now + _CENSUS
            self._count(self._changed(running))
        for name, pid in running.items():
            seen, limit = self._seen.get(name, _Seen()), self.services[name].limits.memory or 0
            full = sum(resident(one.pid) for one in seen.members)
            if (victim := self._victims.get(name)) and victim.alive:
                continue  # as the kernel does: what it held is about to be free
            # What they share only ever lowers the sum, so the cheap one tells enough nearly always.
            if full > limit and seen.shared_once + full - seen.full > limit:
                self._count({name: pid})
                if self._seen[name].shared_once > limit:
                    self._kill_largest(self.services[name], limit)

    def _changed(self, running: Mapping[str, int]) -> Mapping[str, int]:
        """Those of `running` that may have processes that we don't know, or that hold too much unless they share."""
        before, self._newest = self._newest, newest_process()
        if self._newest == 0 or self._newest != before:
            return running
        return {
            name: pid
            for name, pid in running.items()
            if name not in self._seen or self._seen[name].full > (self.services[name].limits.memory or 0)
        }

    def _count(self, running: Mapping[str, int]) -> None:
        if not running:
            return
        grown = families(running.values())
        for name, pid in running.items():
            members = tuple(identity for one in grown[pid] if (identity := Identity.of(one)))
            full = sum(resident(one.pid) for one in members)
            over = full > (self.services[name].limits.memory or 0)
            self._seen[name] = _Seen(members, full, sum(share(one.pid) for one in members) if over else full)

    def _kill_largest(self, service: Supervised, limit: int) -> None:
        """Do as the kernel's OOM killer does: end the process that frees most, and say so in the service's log."""
        shares = {one: share(one.pid) for one in self._seen[service.plan.name].members}
        victim = max(shares, key=lambda one: shares[one])
        line = _epitaph(victim.pid)
        if not victim.send(signal.SIGKILL):
            return
        self._victims[service.plan.name] = victim
        _append(service.plan.log, line)
        together = sum(shares.values())
        self.event("service.oom-killed", service.plan.name, pid=victim.pid, resident=together, limit=limit)


def _epitaph(pid: int) -> str:
    """What the kernel writes of a process that its OOM killer ends (__oom_kill_process in mm/oom_kill.c)."""
    fields = {"Name": "?", **_status(pid)}

    def kb(names: Iterable[str]) -> list[str]:
        return [f"{fields.get(name, '0 kB').split()[0]}kB" for name in names]

    total, anonymous, file, shared, tables = kb(("VmSize", "RssAnon", "RssFile", "RssShmem", "VmPTE"))
    user = fields.get("Uid", "0").split()[0]
    return (
        f"Memory cgroup out of memory: Killed process {pid} ({fields['Name']}) total-vm:{total}, anon-rss:{anonymous}, "
        f"file-rss:{file}, shmem-rss:{shared}, UID:{user} pgtables:{tables} oom_score_adj:0\n"
    )


def _status(pid: int) -> dict[str, str]:
    """The fields of /proc/<pid>/status (proc(5)); none where it can't be read."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
        return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    return {}


def _append(log: str, line: str) -> None:
    with contextlib.suppress(OSError), Path(log).open("a", encoding="utf-8") as file:
        file.write(line)
