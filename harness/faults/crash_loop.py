"""Crash loop: a bad deploy: a service is restarted with settings with which it ends at once, again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from harness.errors import HarnessError, HealFailed, InjectFailed, NotReady
from harness.faults.look import RUNNING, call, not_running, status_of, unseen
from harness.faults.wait import START, becomes
from harness.model.record import Receipt
from harness.sandbox.base import CanRestart, HasProcesses, Process, Sandbox


class Restartable(Sandbox, CanRestart, HasProcesses, Protocol):
    """What this fault asks of a sandbox."""


@dataclass(frozen=True, slots=True)
class CrashLoop:
    """Restart `service` with `environment` laid over its own, with which it must end before it is ready; its restart
    policy keeps starting it. A start with settings that work ends it; the heal gives the topology's own back."""

    service: str
    environment: Mapping[str, str]
    kind: Literal["crash-loop"] = "crash-loop"
    needs: ClassVar[tuple[type, ...]] = (Sandbox, CanRestart, HasProcesses)
    curable: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"{self.service} in a crash loop"

    def problems(self, sandbox: Restartable) -> Sequence[str]:
        found = not_running(sandbox, self.service)
        return found if self.environment else [*found, "no setting is named with which it would end at once"]

    def inject(self, sandbox: Restartable) -> None:
        try:
            before = status_of(sandbox, self.service).starts
            sandbox.restart(self.service, self.environment)
        except NotReady:
            if becomes(lambda: status_of(sandbox, self.service).starts > before + 1, within=START):
                return
            raise InjectFailed(
                f"{self}: nothing starts it again", hint="it must end, not hang, and have a restart policy"
            ) from None
        except HarnessError as cause:
            raise InjectFailed(f"{self}: it could not be restarted", hint=str(cause)) from cause
        raise InjectFailed(f"{self}: it came up all the same", hint="choose settings that it can't start with")

    def heal(self, sandbox: Restartable) -> None:
        try:
            sandbox.restart(self.service, dict.fromkeys(self.environment))
        except HarnessError as cause:
            raise HealFailed(f"{self}: it is not back: {cause}", hint="gameday rollback ends the sandbox") from cause

    def receipt(self, sandbox: Restartable, at: float) -> Receipt:
        """Every port is called, once its latest start has ended, and its state and its starts are read."""
        try:
            met = call(sandbox, self.service)
            ended = not met.all("answered") and self._ends(sandbox)
            met = call(sandbox, self.service) if ended else met
            status = status_of(sandbox, self.service)
        except HarnessError as cause:
            return unseen(self, at, cause)
        measured = f"{met}; {status.state} {status.detail}".rstrip() + f"; starts: {status.starts}"
        looping = ended and not met.any("answered") and status.state != "stopped"
        up = met.all("answered") and status.state in RUNNING
        in_force = True if looping else False if up else None
        details = {"state": status.state, "starts": status.starts}
        return Receipt(at=at, in_force=in_force, intended=str(self), measured=measured, details=details)

    def traffic(self, sandbox: Restartable) -> int | None:
        return None

    def flush(self, sandbox: Restartable) -> None:
        pass

    def _ends(self, sandbox: Restartable) -> bool:
        """Whether its latest start has ended or ends soon, instead of hanging."""
        first = _identities(sandbox.processes(self.service)[:1])
        return becomes(lambda: not first & _identities(sandbox.processes(self.service)), within=START)


def _identities(processes: Sequence[Process]) -> set[tuple[int, str]]:
    return {(process.pid, process.started) for process in processes}
