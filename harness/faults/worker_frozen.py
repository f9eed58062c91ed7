"""Worker frozen: one of a service's several workers hangs, while the others go on."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from harness.errors import HarnessError, HealFailed, InjectFailed
from harness.faults.look import not_running, unseen
from harness.faults.wait import START, becomes
from harness.model.record import Receipt
from harness.probes.kernel import count_frozen, freeze, may_signal
from harness.sandbox.base import CanKill, HasProcesses, Process, Sandbox


class Staffed(Sandbox, CanKill, HasProcesses, Protocol):
    """What this fault asks of a sandbox."""


@dataclass(frozen=True, slots=True)
class WorkerFrozen:
    """SIGSTOP to one worker of `service`: of the children of its main process the one that has worked most. What it was
    answering is never answered. A main process that watches its workers replaces it after a while, which ends it."""

    service: str
    kind: Literal["worker-frozen"] = "worker-frozen"
    needs: ClassVar[tuple[type, ...]] = (Sandbox, CanKill, HasProcesses)
    curable: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"one worker of {self.service} frozen"

    def problems(self, sandbox: Staffed) -> Sequence[str]:
        if found := not_running(sandbox, self.service):
            return found
        workers = self._workers(sandbox)
        if not all(may_signal(worker.pid) for worker in workers):
            return [f"the workers of {self.service} are another user's: only root could freeze one"]
        return [] if len(workers) > 1 else [f"{self.service} has {len(workers)} workers: it takes two for one to go on"]

    def inject(self, sandbox: Staffed) -> None:
        try:
            freeze(max(self._workers(sandbox), key=lambda worker: worker.cpu_seconds).pid)
        except (HarnessError, ValueError) as cause:  # ValueError: there is none
            raise InjectFailed(f"{self}: no worker could be frozen", hint=str(cause)) from cause
        if not becomes(lambda: bool(self.receipt(sandbox, 0.0).in_force), within=START):  # a signal takes a moment
            raise InjectFailed(f"{self}: {self.receipt(sandbox, 0.0).measured}")

    def heal(self, sandbox: Staffed) -> None:
        try:
            if sandbox.processes(self.service):
                sandbox.kill(self.service, signal.SIGCONT)
        except HarnessError as cause:
            raise HealFailed(f"{self}: not thawed: {cause}", hint="gameday rollback ends the sandbox") from cause

    def receipt(self, sandbox: Staffed, at: float) -> Receipt:
        """How many of its workers the kernel shows as stopped, and how many of its processes: one of each."""
        try:
            everyone, workers = sandbox.processes(self.service), self._workers(sandbox)
        except HarnessError as cause:
            return unseen(self, at, cause)
        frozen, all_frozen = count_frozen(workers), count_frozen(everyone)
        one = len(workers) > 1 and frozen == all_frozen == 1
        in_force = True if one else False if everyone and not all_frozen else None
        measured = f"{frozen} of {len(workers)} workers frozen, {all_frozen} of {len(everyone)} processes"
        details = {"workers": len(workers), "frozen": frozen}
        return Receipt(at=at, in_force=in_force, intended=str(self), measured=measured, details=details)

    def traffic(self, sandbox: Staffed) -> int | None:
        return None

    def flush(self, sandbox: Staffed) -> None:
        pass

    def _workers(self, sandbox: Staffed) -> list[Process]:
        found = sandbox.processes(self.service)
        return [process for process in found[1:] if process.parent == found[0].pid]
