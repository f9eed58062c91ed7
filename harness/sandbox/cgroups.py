"""Cgroups: what the kernel counts and limits for the processes of one container, read from outside of it.

Both hierarchies of cgroups(7) are read; the names of files are those of the kernel's own documents
(admin-guide/cgroup-v1, admin-guide/cgroup-v2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_NO_LIMIT = 2**60  # version 1 writes the largest number of pages that it can count


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """CPU seconds used, seconds in which it was kept from running by its quota, and processes that the kernel killed
    because its memory was full; None where the kernel does not say."""

    cpu: float | None
    throttled: float | None
    oom_kills: int | None


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The cgroup of one process. `unified` is whether it is of version 2; `paths` are by controller, with the empty one
    for version 2."""

    unified: bool
    paths: dict[str, Path]

    @staticmethod
    def of(pid: int, root: Path = ROOT, proc: Path = Path("/proc")) -> Cgroup | None:
        """The cgroup that process `pid` is in; None where it is gone."""
        try:
            lines = (proc / str(pid) / "cgroup").read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return None
        written = [line.split(":", 2) for line in lines]
        if (root / "cgroup.controllers").exists():
            inside = next((path for number, _, path in written if number == "0"), "/")
            return Cgroup(True, {"": root / inside.lstrip("/")})
        found = {name: root / name / path.lstrip("/") for _, names, path in written for name in names.split(",")}
        return Cgroup(False, found)

    def pids(self) -> Sequence[int]:
        """The processes in it now."""
        text = self._read("pids", "cgroup.procs") or self._read("memory", "cgroup.procs")
        return [int(word) for word in text.split()]

    def memory_limit(self) -> int | None:
        """In bytes; None where nothing limits it."""
        said = self._read("memory", "memory.max" if self.unified else "memory.limit_in_bytes").strip()
        return int(said) if said.isdigit() and int(said) < _NO_LIMIT else None

    def quota(self) -> float | None:
        """The cores that it may use on average; None where nothing rations them."""
        if self.unified:
            given, _, period = self._read("cpu", "cpu.max").strip().partition(" ")
        else:
            given, period = (self._read("cpu", f"cpu.cfs_{what}_us").strip() for what in ("quota", "period"))
        return int(given) / int(period) if given.isdigit() and period.isdigit() and int(period) else None

    def frozen(self) -> bool:
        """Whether the freezer holds all of it."""
        if self.unified:
            return self._fields("", "cgroup.events").get("frozen") == 1
        return self._read("freezer", "freezer.state").strip() == "FROZEN"

    def counters(self) -> Counters:
        stat = self._fields("cpu", "cpu.stat")
        if self.unified:
            used, waited = stat.get("usage_usec"), stat.get("throttled_usec")
            kills = self._fields("memory", "memory.events").get("oom_kill")
            return Counters(cpu=_scaled(used, 1e6), throttled=_scaled(waited, 1e6), oom_kills=kills)
        nanoseconds = self._read("cpuacct", "cpuacct.usage").strip()
        kills = self._fields("memory", "memory.oom_control").get("oom_kill")
        return Counters(
            cpu=_scaled(int(nanoseconds) if nanoseconds.isdigit() else None, 1e9),
            throttled=_scaled(stat.get("throttled_time"), 1e9),
            oom_kills=kills,
        )

    def _read(self, controller: str, name: str) -> str:
        folder = self.paths.get("" if self.unified else controller)
        try:
            return (folder / name).read_text(encoding="ascii") if folder else ""
        except OSError:
            return ""

    def _fields(self, controller: str, name: str) -> dict[str, int]:
        """A file of lines `name number`."""
        pairs = (line.split() for line in self._read(controller, name).splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _scaled(count: int | None, per_second: float) -> float | None:
    return None if count is None else count / per_second
