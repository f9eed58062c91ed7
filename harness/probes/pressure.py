"""Pressure: what heavy work does to a service, measured on the service and not on whoever sends the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from harness.model.units import say_ratio
from harness.probes.cpu import cores_used, wanted_by
from harness.probes.lock_probe import HARM, is_wal, refused
from harness.sandbox.base import CanLimit, CanSpawn, HasFiles, HasProcesses, Sandbox

MEBIBYTE = 2**20
GAPS = 3  # of eight tries: between two transactions of a service nobody locks


class Usable(Sandbox, CanLimit, CanSpawn, HasFiles, HasProcesses, Protocol):
    """A sandbox whose services can be worked hard, and looked at."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """All its processes together want at least `cores` of CPU: what they use, and what their threads wait for. 1.5 is
    one and a half cores."""

    cores: float
    effect: Literal["cpu"] = "cpu"

    def __str__(self) -> str:
        return f"{self.cores:g} cores wanted"

    def problems(self) -> list[str]:
        return [] if self.cores > 0 else [f"{self.cores:g} cores are wanted by whoever does nothing"]

    def on(self, sandbox: Usable, service: str) -> tuple[bool, str]:
        """Whether it is so now, and what was measured, over half a second. Raises SandboxError."""
        [wanted] = cores_used(lambda: wanted_by(sandbox, service))
        return wanted >= self.cores, f"{wanted:.2f} cores wanted"


@dataclass(frozen=True, slots=True)
class Memory:
    """All its processes together hold at least this `share` of what its memory limit lets them."""

    share: float
    effect: Literal["memory"] = "memory"

    def __str__(self) -> str:
        return f"{say_ratio(self.share)} of its memory held"

    def problems(self) -> list[str]:
        return [] if 0 < self.share <= 1 else [f"a share of {self.share:g} of its memory is outside 0 .. 1"]

    def on(self, sandbox: Usable, service: str) -> tuple[bool, str]:
        """Whether it is so now, and what was measured. Without a limit it never is. Raises SandboxError."""
        held, limit = sum(process.resident for process in sandbox.processes(service)), sandbox.limits(service).memory
        if limit is None:
            return False, f"{held / MEBIBYTE:.0f} MiB held, without a limit"
        return held >= self.share * limit, f"{held / MEBIBYTE:.0f} of {limit / MEBIBYTE:.0f} MiB held"


@dataclass(frozen=True, slots=True)
class Locked:
    """Its SQLite database `file` (its path inside the service) refuses others what a long transaction of its own keeps
    from them: `writing` for a write; for a read `finishing` (commits, or a checkpoint)."""

    file: str
    against: Literal["finishing", "writing", "reading"] = "writing"
    effect: Literal["locked"] = "locked"

    def __str__(self) -> str:
        return f"{self.against} refused by {self.file}"

    def problems(self) -> list[str]:
        return [] if self.against in HARM[1:] else [f"against={self.against!r} is not one of {', '.join(HARM[1:])}"]

    def on(self, sandbox: Usable, service: str) -> tuple[bool, str]:
        """Whether it is so now, and what was measured. Raises SandboxError."""
        file = sandbox.path(service, self.file)
        found = refused(file, gaps=GAPS)
        return HARM.index(found) >= HARM.index(self.against), f"{found} is refused{' (WAL)' if is_wal(file) else ''}"


@dataclass(frozen=True, slots=True)
class Answered:
    """Nothing more than that the requests are taken: they are open at the service, and none was turned away."""

    effect: Literal["answered"] = "answered"

    def __str__(self) -> str:
        return "all of them open"

    def problems(self) -> list[str]:
        return []

    def on(self, sandbox: Usable, service: str) -> tuple[bool, str]:
        return False, ""


Pressure = Cpu | Memory | Locked | Answered
