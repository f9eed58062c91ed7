"""Idle connections: clients that connect to a service and say nothing, as slow clients and leaking pools do."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from harness.errors import HarnessError, InjectFailed, UsageError
from harness.faults.look import PATIENCE, unseen
from harness.faults.program import Program
from harness.model.record import Receipt
from harness.model.units import seconds
from harness.probes.kernel import established
from harness.probes.probe import ask
from harness.sandbox.base import CanSpawn, Sandbox, direct

MOST, OTHER_FILES = 20_000, 64  # of the kernel's 28 000 outgoing ports to one address; beside the connections
OPENED = seconds(10)
ALMOST_ALL, FULL = 0.9, 0.5  # one may just have been closed, and is about to be opened again


class Reachable(Sandbox, CanSpawn, Protocol):
    """What this fault asks of a sandbox."""


@dataclass(frozen=True, slots=True)
class IdleConnections:
    """Hold `count` connections to the container port `port` of `service` open and say nothing. One that it closes is
    opened again, so a restart ends them for a moment only. In force where nine in ten are held, or where half are and
    one more caller gets no answer: it is full, and others have the rest of its places."""

    service: str
    port: int
    count: int
    kind: Literal["idle-connections"] = "idle-connections"
    needs: ClassVar[tuple[type, ...]] = (Sandbox, CanSpawn)
    curable: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"{self.count} idle connections to {self.service}:{self.port}"

    @property
    def _program(self) -> Program:
        return Program("idle_connections", f"{self.service}-{self.port}")

    def problems(self, sandbox: Reachable) -> Sequence[str]:
        found = []
        try:
            sandbox.address(self.service, self.port)
        except UsageError as cause:
            found.append(str(cause))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        most = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard - OTHER_FILES)
        if not 1 <= self.count <= most:
            found.append(f"a count of {self.count} is outside 1 .. {most}, what one process here may hold open")
        return found

    def inject(self, sandbox: Reachable) -> None:
        try:
            address = direct(sandbox, self.service, self.port)
        except HarnessError as cause:
            raise InjectFailed(f"{self}: it has no such address", hint=str(cause)) from cause
        self._program.start(sandbox, {"host": address.host, "port": address.port, "count": self.count})
        self._program.until_in_force(self, sandbox, within=OPENED)

    def heal(self, sandbox: Reachable) -> None:
        self._program.end(sandbox)

    def receipt(self, sandbox: Reachable, at: float) -> Receipt:
        """The connections that the kernel shows as established, and what one more caller meets."""
        try:
            address = direct(sandbox, self.service, self.port)
            pid = self._program.pid(sandbox)
            held = established(pid, address.port) if pid else 0
        except HarnessError as cause:
            return unseen(self, at, cause)
        caller = ask(address, patience=PATIENCE)
        full = caller.reply != "answered" and held >= FULL * self.count
        measured = f"{held} of {self.count} held; one more caller: {caller}"
        in_force = held >= ALMOST_ALL * self.count or full
        return Receipt(at=at, in_force=in_force, intended=str(self), measured=measured, details={"held": held})

    def traffic(self, sandbox: Reachable) -> int | None:
        return None

    def flush(self, sandbox: Reachable) -> None:
        pass
