"""Heavy requests: a service is kept busy through its own API by work that it takes and can't bear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from harness.errors import HarnessError, InjectFailed
from harness.faults.look import unseen
from harness.faults.program import Program
from harness.model.record import Receipt
from harness.model.units import seconds
from harness.probes.kernel import established
from harness.probes.pressure import Answered, Pressure, Usable
from harness.sandbox.base import CanLimit, CanSpawn, HasFiles, HasProcesses, Sandbox, direct

MOST, LARGEST = 200, 64 * 1024  # requests at once; characters of a body
BUILDS_UP, HALF = seconds(30), 0.5  # of the requests: the others are just being sent again, or were turned away


@dataclass(frozen=True, slots=True)
class HeavyRequests:
    """Keep `at_once` requests open at the container port `port` of `service`, each sent again once it is answered;
    `{number}` in `body` is another one in each, so that no cache answers them."""

    service: str
    port: int
    path: str
    at_once: int
    until: Pressure
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    kind: Literal["heavy-requests"] = "heavy-requests"
    needs: ClassVar[tuple[type, ...]] = (Sandbox, CanSpawn, HasProcesses, CanLimit, HasFiles)
    curable: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"{self.at_once} x {self.method} {self.path} at {self.service}"

    @property
    def _program(self) -> Program:
        return Program("keep_asking", f"{self.service}-{self.port}{self.path}")

    def problems(self, sandbox: Usable) -> Sequence[str]:
        found = [] if 1 <= self.at_once <= MOST else [f"{self.at_once} requests at once are outside 1 .. {MOST}"]
        if len(self.body) > LARGEST:
            found.append(f"a body of {len(self.body)} characters is longer than {LARGEST}")
        try:
            sandbox.address(self.service, self.port)
            self.until.on(sandbox, self.service)
        except HarnessError as cause:
            found.append(str(cause))
        return [*found, *self.until.problems()]

    def inject(self, sandbox: Usable) -> None:
        try:
            at = direct(sandbox, self.service, self.port)
        except HarnessError as cause:
            raise InjectFailed(f"{self}: it has no such address", hint=str(cause)) from cause
        order = {"host": at.host, "port": at.port, "tls": at.scheme == "https", "method": self.method}
        order |= {"path": self.path, "headers": dict(self.headers), "body": self.body, "at_once": self.at_once}
        self._program.start(sandbox, order)
        self._program.until_in_force(self, sandbox, within=BUILDS_UP)

    def heal(self, sandbox: Usable) -> None:
        self._program.end(sandbox)

    def receipt(self, sandbox: Usable, at: float) -> Receipt:
        """Half of the requests, open by the kernel's word, and the effect on the service that `until` names."""
        try:
            pid, port = self._program.pid(sandbox), direct(sandbox, self.service, self.port).port
            there, measured = self.until.on(sandbox, self.service)
            opened = established(pid, port) if pid else 0
        except HarnessError as cause:
            return unseen(self, at, cause)
        enough = opened >= HALF * self.at_once
        if isinstance(self.until, Answered):
            there = enough
        # The effect without the requests is somebody else's, or theirs that lasts: nobody can tell.
        in_force = there if enough == there else None if there else False
        said = f"{opened} of {self.at_once} requests open; {measured}".rstrip("; ")
        return Receipt(at=at, in_force=in_force, intended=f"{self}, {self.until}", measured=said)

    def traffic(self, sandbox: Usable) -> int | None:
        return None

    def flush(self, sandbox: Usable) -> None:
        pass
