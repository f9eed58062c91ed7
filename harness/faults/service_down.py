"""Service down: all processes of one service are killed, or frozen so that its port is taken and nobody answers."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from harness.errors import HarnessError, HealFailed, InjectFailed
from harness.faults.look import addresses_of, call, not_running, speaks, unseen
from harness.faults.wait import START, becomes
from harness.model.record import Receipt
from harness.probes.kernel import count_frozen
from harness.sandbox.base import CanKill, CanRestart, HasProcesses, Sandbox


class Killable(Sandbox, CanKill, CanRestart, HasProcesses, Protocol):
    """What this fault asks of a sandbox."""


@dataclass(frozen=True, slots=True)
class ServiceDown:
    """`killed`: SIGKILL to every process of `service`, and its restart policy does not bring it back. `frozen`: SIGSTOP
    to every process: connections are taken, and nothing is ever answered.

    Whoever starts or restarts the service ends either of them.
    """

    service: str
    how: Literal["killed", "frozen"] = "killed"
    kind: Literal["service-down"] = "service-down"
    needs: ClassVar[tuple[type, ...]] = (Sandbox, CanKill, CanRestart, HasProcesses)
    curable: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"{self.service} {self.how}"

    def problems(self, sandbox: Killable) -> Sequence[str]:
        found = not_running(sandbox, self.service)
        if self.how not in {"killed", "frozen"}:
            found.append(f"how={self.how!r} is not one of killed, frozen")
        elif not found and self.how == "frozen" and not any(map(speaks, addresses_of(sandbox, self.service))):
            found.append(f"{self.service} speaks no protocol in which it could be seen to be silent (http, redis)")
        return found

    def inject(self, sandbox: Killable) -> None:
        number = signal.SIGKILL if self.how == "killed" else signal.SIGSTOP
        try:
            sandbox.kill(self.service, number, stay_down=self.how == "killed")
        except HarnessError as cause:
            raise InjectFailed(f"{self}: the signal could not be sent", hint=str(cause)) from cause
        if not becomes(lambda: self._has_hit(sandbox), within=START):  # a signal takes a moment
            raise InjectFailed(f"{self}: not all of its processes took the signal, or its ports live on")

    def heal(self, sandbox: Killable) -> None:
        with suppress(HarnessError):  # it may be gone; whether it is well again is seen next
            sandbox.kill(self.service, signal.SIGCONT)
        try:
            sandbox.start(self.service)  # one that runs is only waited for
        except HarnessError as cause:
            raise HealFailed(f"{self}: it is not back: {cause}", hint="gameday rollback ends the sandbox") from cause

    def receipt(self, sandbox: Killable, at: float) -> Receipt:
        """Every port is called, and its processes are counted: how many there are, how many of them are stopped."""
        try:
            met, processes = call(sandbox, self.service), sandbox.processes(self.service)
        except HarnessError as cause:
            return unseen(self, at, cause)
        frozen = count_frozen(processes)
        killed = not processes and met.all("refused")
        down = killed if self.how == "killed" else 0 < frozen == len(processes) and met.all("silent")
        up = met.all("answered") and bool(processes) and not frozen
        measured = f"{met}; processes: {len(processes)}, frozen: {frozen}"
        details = {"processes": len(processes), "frozen": frozen}
        said = down if down or up else None
        return Receipt(at=at, in_force=said, intended=str(self), measured=measured, details=details)

    def traffic(self, sandbox: Killable) -> int | None:
        return None

    def flush(self, sandbox: Killable) -> None:
        pass

    def _has_hit(self, sandbox: Killable) -> bool:
        if processes := sandbox.processes(self.service):
            return self.how == "frozen" and count_frozen(processes) == len(processes)
        # Until the kernel has taken down the sockets of the dead, a caller is reset and not refused.
        return not call(sandbox, self.service).any("reset")
