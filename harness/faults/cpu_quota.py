"""CPU quota: a service gets less CPU time than it needs, as in a container whose limit is set too low."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from harness.errors import HarnessError, HealFailed, InjectFailed
from harness.faults.look import not_running, unseen
from harness.model.record import Receipt
from harness.sandbox.base import CanThrottle, HasProcesses, Sandbox

NEAR = 0.01  # of a quota, which the kernel counts in microseconds


class Throttleable(Sandbox, CanThrottle, HasProcesses, Protocol):
    """What this fault asks of a sandbox."""


@dataclass(frozen=True, slots=True)
class CpuQuota:
    """All processes of `service` together get at most `cores` of CPU time, on whatever cores they run: once they have
    used their share of a tenth of a second, the kernel holds them back for the rest of it. A restart does not end it.
    """

    service: str
    cores: float
    kind: Literal["cpu-quota"] = "cpu-quota"
    needs: ClassVar[tuple[type, ...]] = (Sandbox, CanThrottle, HasProcesses)
    curable: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"{self.service} with {self.cores:g} cores of CPU time"

    def problems(self, sandbox: Throttleable) -> Sequence[str]:
        if found := not_running(sandbox, self.service):
            return found
        if not 0.01 <= self.cores <= 64:
            return [f"{self.cores:g} cores are outside 0.01 .. 64"]
        try:
            has = sandbox.throttling(self.service).cores
        except HarnessError as cause:
            return [str(cause)]
        return [] if has is None or has > self.cores else [f"{self.service} has {has:g} cores as it is"]

    def inject(self, sandbox: Throttleable) -> None:
        try:
            sandbox.throttle(self.service, self.cores)
        except HarnessError as cause:
            raise InjectFailed(f"{self}: it could not be throttled", hint=str(cause)) from cause
        if not self.receipt(sandbox, 0.0).in_force:
            raise InjectFailed(f"{self}: {self.receipt(sandbox, 0.0).measured}")

    def heal(self, sandbox: Throttleable) -> None:
        try:
            sandbox.throttle(self.service, None)
        except HarnessError as cause:
            raise HealFailed(f"{self} still: {cause}", hint="gameday rollback ends the sandbox") from cause

    def receipt(self, sandbox: Throttleable, at: float) -> Receipt:
        """The quota that the kernel has for the service, and how long it has held its threads back so far."""
        try:
            seen = sandbox.throttling(self.service)
        except HarnessError as cause:
            return unseen(self, at, cause)
        near = seen.cores is not None and abs(seen.cores - self.cores) <= NEAR * self.cores
        in_force = True if near else False if seen.cores is None else None
        has = "no quota" if seen.cores is None else f"a quota of {seen.cores:.3g} cores"
        measured = f"{has}, held back for {seen.held_back:.2f} s so far"
        details = {"cores": seen.cores, "held_back": round(seen.held_back, 3)}
        return Receipt(at=at, in_force=in_force, intended=str(self), measured=measured, details=details)

    def traffic(self, sandbox: Throttleable) -> int | None:
        return None

    def flush(self, sandbox: Throttleable) -> None:
        pass
