"""Descriptors: a service may open hardly any more files and sockets, as where its limit is set too low."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from harness.errors import HarnessError, HealFailed, InjectFailed
from harness.faults.fullness import fullness, limit_for
from harness.faults.look import not_running, unseen
from harness.model.record import Receipt
from harness.probes.kernel import may_limit
from harness.sandbox.base import CanLimit, CanRestart, HasProcesses, Limits, Sandbox

COME_AND_GO = 64  # so many files that were open at the injection may have been closed since, with their requests


class Limitable(Sandbox, CanLimit, CanRestart, HasProcesses, Protocol):
    """What this fault asks of a sandbox."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Lower the open-files limit (the soft RLIMIT_NOFILE) of each process of `service` so far that the fullest of them
    can open `spare` more (negative: none until some are closed), or to `at_most`: what is open varies with the load, so
    that alone is repeatable. A restart does not end it."""

    service: str
    spare: int = 0
    at_most: int | None = None
    kind: Literal["descriptors"] = "descriptors"
    needs: ClassVar[tuple[type, ...]] = (Sandbox, CanLimit, CanRestart, HasProcesses)
    curable: ClassVar[bool] = False

    def __str__(self) -> str:
        room = f"{self.spare} files to spare" if self.at_most is None else f"at most {self.at_most} files"
        return f"{self.service} with {room}"

    def problems(self, sandbox: Limitable) -> Sequence[str]:
        if found := not_running(sandbox, self.service):
            return found
        if not all(may_limit(process.pid) for process in sandbox.processes(self.service)):
            return [f"the processes of {self.service} are another user's: their limits take CAP_SYS_RESOURCE to change"]
        try:
            wanted, limit = self._limit(sandbox), sandbox.limits(self.service).open_files
        except HarnessError as cause:
            return [str(cause)]
        lowers = wanted > 0 and (limit is None or wanted < limit)
        return [] if lowers else [f"{self} has a limit of {wanted}, and {limit or 'none'} as it is"]

    def inject(self, sandbox: Limitable) -> None:
        try:
            sandbox.limit(self.service, Limits(open_files=self._limit(sandbox)))
        except HarnessError as cause:
            raise InjectFailed(f"{self}: it could not be limited", hint=str(cause)) from cause

    def heal(self, sandbox: Limitable) -> None:
        try:
            sandbox.lift(self.service, "open_files")
            sandbox.start(self.service)  # so short of files it may not have come back from a restart
        except HarnessError as cause:
            raise HealFailed(f"{self}: it is not back: {cause}", hint="gameday rollback ends the sandbox") from cause

    def receipt(self, sandbox: Limitable, at: float) -> Receipt:
        """The limit that each of its processes really has, how many of them it keeps from opening anything at all, and
        how many more the fullest can open below it."""
        try:
            full = fullness(sandbox, self.service)
        except HarnessError as cause:
            return unseen(self, at, cause)
        if full is None:
            return Receipt(at=at, in_force=False, intended=str(self), measured="no limit of its own")
        bites = f"keeps {full.full} of {full.processes} processes from opening any"
        measured = f"a limit of {full.limit} on each {bites}; the fullest has room for {full.room} more"
        in_force = full.limit == self.at_most if self.at_most else full.room <= max(0, self.spare) + COME_AND_GO
        size = {"limit": full.limit, "room": full.room, "full": full.full}
        return Receipt(at=at, in_force=in_force, intended=str(self), measured=measured, details=size)

    def traffic(self, sandbox: Limitable) -> int | None:
        return None

    def flush(self, sandbox: Limitable) -> None:
        pass

    def _limit(self, sandbox: Limitable) -> int:
        return limit_for(sandbox, self.service, self.spare) if self.at_most is None else self.at_most
