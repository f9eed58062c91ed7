"""Fault: something bad that can be done to a sandbox, proven to be in force, and undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from harness.model.record import Receipt


class Fault(Protocol):
    """Settings only (a frozen dataclass); the sandbox comes in with every call.

    `kind` is a Literal that names the class, so that the journal can bring the fault back after a crash.
    `needs` lists the abilities of `harness.sandbox.base` that a sandbox must have. A `curable` fault is one that a
    mitigation may end by itself (a restart thaws a frozen process): it has to be in force until the first runbook step
    that is performed after its injection, any other until it is healed.
    """

    needs: ClassVar[tuple[type, ...]]
    curable: ClassVar[bool]

    @property
    def kind(self) -> str: ...

    def problems(self, sandbox: Any) -> Sequence[str]:
        """Everything that keeps this fault from working on `sandbox`, in plain words; empty if nothing does."""
        ...

    def inject(self, sandbox: Any) -> None:
        """Put it in. Raises InjectFailed."""
        ...

    def heal(self, sandbox: Any) -> None:
        """Take it out. Safe to call twice, and after an inject that failed half-way. Raises HealFailed."""
        ...

    def receipt(self, sandbox: Any, at: float) -> Receipt:
        """What an independent probe sees now: in force or not, and its size against the intention. Never raises."""
        ...

    def traffic(self, sandbox: Any) -> int | None:
        """A count that grows while the system under test uses what this fault breaks (bytes on a link, say), or
        None where no such count exists. It is up to date after `inject` and after `flush`. Raises SandboxError."""
        ...

    def flush(self, sandbox: Any) -> None:
        """Bring the count of `traffic` up to date; may disturb the system, so only once nobody uses it any more."""
        ...
