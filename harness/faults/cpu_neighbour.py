"""CPU neighbour: other processes burn the CPU that a service runs on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import psutil

from harness.errors import HarnessError, HealFailed, InjectFailed
from harness.faults.look import unseen
from harness.faults.program import Program
from harness.model.record import Receipt
from harness.model.units import seconds
from harness.probes.crowding import Crowdable, Crowding
from harness.sandbox.base import CanLimit, CanSpawn, HasProcesses, Limits

SPREADS = seconds(10)


@dataclass(frozen=True, slots=True)
class CpuNeighbour:
    """Pin `service` to one core, and let `burners` processes use all that they get of the same core. The other cores
    stay to whoever makes load and measures. Against n busy processes they get burners / (burners + n) of it, more where
    the kernel shares by session (sched(7), autogroup), as each has its own.
    """

    service: str
    burners: int = 8
    kind: Literal["cpu-neighbour"] = "cpu-neighbour"
    needs: ClassVar[tuple[type, ...]] = (CanLimit, CanSpawn, HasProcesses)
    curable: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"{self.burners} burners on the one core of {self.service}"

    @property
    def _program(self) -> Program:
        return Program("burn", self.service)

    def problems(self, sandbox: Crowdable) -> Sequence[str]:
        found = [] if 1 <= self.burners <= 64 else [f"{self.burners} burners are outside 1 .. 64"]
        if not hasattr(os, "sched_getaffinity"):
            return [*found, "this system can't pin a process to a core"]
        if len(os.sched_getaffinity(0)) < 2:
            found.append("there is one core only: burners on it would starve the load generator and the probes too")
        try:
            if not sandbox.processes(self.service):
                found.append(f"{self.service} does not run")
            elif len(sandbox.limits(self.service).cores or ()) == 1:
                found.append(f"{self.service} is pinned to one core already")
        except HarnessError as cause:
            found.append(str(cause))
        return found

    def inject(self, sandbox: Crowdable) -> None:
        core = max(os.sched_getaffinity(0))
        try:
            sandbox.limit(self.service, Limits(cores=frozenset({core})))
        except HarnessError as cause:
            raise InjectFailed(f"{self}: it could not be pinned to core {core}", hint=str(cause)) from cause
        self._program.start(sandbox, {"core": core, "burners": self.burners})
        self._program.until_in_force(self, sandbox, within=SPREADS)

    def heal(self, sandbox: Crowdable) -> None:
        try:
            self._program.end(sandbox)
        finally:  # burners that can't be ended must not keep the service pinned beside them
            try:
                sandbox.lift(self.service, "cores")
            except HarnessError as cause:
                raise HealFailed(f"{self.service} is still pinned", hint=str(cause)) from cause

    def receipt(self, sandbox: Crowdable, at: float) -> Receipt:
        """Where burners and service are pinned, and the CPU that each used in half a second, as the kernel tells."""
        try:
            seen = Crowding.seen(sandbox, self.service, self._program.pid(sandbox))
        except (HarnessError, psutil.Error, OSError) as cause:
            return unseen(self, at, cause)
        in_force = True if seen.as_intended(self.burners) else False if seen.is_gone() else None
        return Receipt(at=at, in_force=in_force, intended=str(self), measured=str(seen), details=seen.shares)

    def traffic(self, sandbox: Crowdable) -> int | None:
        return None

    def flush(self, sandbox: Crowdable) -> None:
        pass
