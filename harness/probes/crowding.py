"""Crowding: how burners and a service share a core right now, as the kernel tells."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import psutil

from harness.errors import SandboxError
from harness.model.units import say_ratio
from harness.probes.cpu import cores_used, of_pids, of_service
from harness.sandbox.base import CanLimit, CanSpawn, HasProcesses

# How much less than their fair share of what both use the burners may get, and what of the core in any case.
TOLERANCE, LEAST = 0.8, 0.25


class Crowdable(CanLimit, CanSpawn, HasProcesses, Protocol):
    """A sandbox whose services can be pinned, and looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowding:
    """`pinned` is where the service may run (None: not limited, or its processes differ), `running` how many
    processes it has. `burners` are pinned to the core that they share, `strays` are not. The shares are of one core."""

    pinned: frozenset[int] | None
    running: int
    burners: int
    strays: int
    burnt: float
    used: float

    @staticmethod
    def seen(sandbox: Crowdable, service: str, program: int | None) -> Crowding:
        """Look for half a second; `program` is the pid of the burners' parent. Raises SandboxError, psutil.Error."""
        cores = _affinities(program)
        before = _pinned(sandbox, service)
        shared = before if before is not None else next(iter(cores.values()), None)
        burnt, used = cores_used(lambda: of_pids(cores), lambda: of_service(sandbox, service))
        at_home = sum(len(core) == 1 and core == shared for core in cores.values())
        return Crowding(
            # A service that is just starting is pinned process by process: one of two looks has to find it so.
            pinned=before if before is not None else _pinned(sandbox, service),
            running=len(sandbox.processes(service)),
            burners=at_home,
            strays=len(cores) - at_home,
            burnt=burnt,
            used=used,
        )

    def as_intended(self, burners: int) -> bool:
        """Whether so many burners are on the service's one core and get their share of it. A service that is down for
        a restart has nothing to pin: its core is still burnt."""
        together = len(self.pinned or ()) == 1 or not self.running
        fair = burners / (burners + max(1, self.running))
        enough = self.burnt >= max(LEAST, TOLERANCE * fair * (self.burnt + self.used))
        return together and self.burners == burners and enough

    @property
    def shares(self) -> dict[str, float]:
        """What each used, in cores."""
        return {"burnt": round(self.burnt, 3), "used": round(self.used, 3)}

    def is_gone(self) -> bool:
        """Whether nothing burns and the service has more than one core."""
        return not self.burners and not self.strays and self.running > 0 and len(self.pinned or (0, 1)) > 1

    def __str__(self) -> str:
        where = f"on {len(self.pinned)} core(s)" if self.pinned is not None else "on all cores"
        service = (
            f"the service's {self.running} processes {where} {say_ratio(self.used)}" if self.running else "no service"
        )
        stray = f" ({self.strays} more elsewhere)" if self.strays else ""
        return f"{self.burners} burners{stray} use {say_ratio(self.burnt)} of a core, {service}"


def _affinities(program: int | None) -> dict[int, frozenset[int]]:
    """Where each live child of `program` may run."""
    found: dict[int, frozenset[int]] = {}
    if program is not None:
        for child in psutil.Process(program).children():
            with suppress(psutil.NoSuchProcess):
                if child.status() != psutil.STATUS_ZOMBIE:  # one that was killed is still a child
                    found[child.pid] = frozenset(child.cpu_affinity() or ())
    return found


def _pinned(sandbox: Crowdable, service: str) -> frozenset[int] | None:
    try:
        return sandbox.limits(service).cores
    except SandboxError:  # it does not run at this instant
        return None
