"""Upstream misbehaves: a fake upstream is up and answers badly: refuses, errs, is late, stops or talks nonsense."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

from harness.errors import HarnessError, HealFailed, InjectFailed, SandboxError
from harness.faults.look import status_of, unseen
from harness.model.record import Receipt
from harness.probes.http_probe import HttpProbe
from harness.probes.misbehaviour import Misbehaviour, Way
from harness.probes.stub import Stub, StubGone
from harness.sandbox.base import Sandbox


@dataclass(frozen=True, slots=True)
class UpstreamMisbehaves:
    """Tell the stub `upstream`, by its own port, to misbehave in the way `how` (see `Misbehaviour`)."""

    upstream: str
    how: Way
    probe: HttpProbe
    share: float = 1.0
    retry_after: timedelta = timedelta(seconds=5)
    delay: timedelta = timedelta(seconds=3)
    kind: Literal["upstream-misbehaves"] = "upstream-misbehaves"
    needs: ClassVar[tuple[type, ...]] = (Sandbox,)
    curable: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"{self.upstream} {self._way}"

    @property
    def _way(self) -> Misbehaviour:
        return Misbehaviour(how=self.how, share=self.share, retry_after=self.retry_after, delay=self.delay)

    def problems(self, sandbox: Sandbox) -> Sequence[str]:
        found = self._way.problems(self.probe)
        try:
            self._stub(sandbox).state()
        except HarnessError as cause:
            found.append(str(cause))
        return found

    def inject(self, sandbox: Sandbox) -> None:
        try:
            state = self._stub(sandbox).misbehave(self._way.order())
        except HarnessError as cause:
            raise InjectFailed(f"{self}: the stub could not be told", hint=str(cause)) from cause
        if not self._way.is_admitted(state):
            raise InjectFailed(f"{self}: the stub does something else: {dict(state)}")

    def heal(self, sandbox: Sandbox) -> None:
        try:
            with suppress(StubGone):  # it misbehaves in memory: a new one does not
                self._stub(sandbox).behave()
        except HarnessError as cause:
            raise HealFailed(f"{self}: the stub could not be told to stop", hint=str(cause)) from cause

    def receipt(self, sandbox: Sandbox, at: float) -> Receipt:
        """What the stub says of itself, and what `probe`, a request as the system sends it, meets: both must agree."""
        try:
            stub = self._stub(sandbox)
            state = stub.state()
            met, reply = self._way.met_by(self.probe, stub.address)
        except HarnessError as cause:
            return unseen(self, at, cause)
        how, served = state.get("how"), state.get("served")
        well = how == "normal" and self.probe.finds_well(reply) and not met
        in_force = True if met and self._way.is_admitted(state) else False if well else None
        measured = f"a caller meets {reply}; the stub says {how}, {served} answers so"
        details = {"how": str(how), "served": served if isinstance(served, int) else None}
        return Receipt(at=at, in_force=in_force, intended=str(self), measured=measured, details=details)

    def traffic(self, sandbox: Sandbox) -> int | None:
        answered = self._stub(sandbox).state().get("answered")
        return answered if isinstance(answered, int) else None

    def flush(self, sandbox: Sandbox) -> None:
        pass  # the stub counts at once

    def _stub(self, sandbox: Sandbox) -> Stub:
        status = status_of(sandbox, self.upstream)
        if status is None or len(status.addresses) != 1:
            raise SandboxError(f"{self.upstream!r} is no service with one port, by which a stub could be told")
        return Stub(next(iter(status.addresses.values())))
