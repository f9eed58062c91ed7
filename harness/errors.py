"""Every error that we raise, and what its reader should do next.

* HarnessError              carries `.hint` (what to do next) and `.exit_code`
  + UsageError              exit 2: settings, files or names that can't work; lists all problems at once
    - PartMissing           a server that the sandbox needs can't be found or had
  + SandboxError            exit 5: the sandbox did not do what we need of it
    - NotReady              a service did not become ready; carries its last log lines
    - Unsupported           this sandbox lacks an ability that was asked for
  + FaultError              exit 5
    - InjectFailed          the fault could not be put in
    - HealFailed            the sandbox is dirty; it is thrown away, never used again
  + LoadError               exit 5: the load process could not be started or stopped
  + EvidenceMissing         exit 3: something that a verdict needs could not be read; a judge turns it into UNKNOWN

An expectation that the system did not meet is no error: it is a Verdict.
"""

from __future__ import annotations

from collections.abc import Sequence


class HarnessError(Exception):
    """Something we could not do; `hint` says what the reader can do about it."""

    exit_code = 5

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n  hint: {self.hint}" if self.hint else message


class UsageError(HarnessError):
    """Settings, files or names that can't work. `problems` has them all, each fit to stand alone, so that
    one run can show them together with those of other files."""

    exit_code = 2

    def __init__(self, message: str, *, problems: Sequence[str] = (), hint: str = "") -> None:
        super().__init__("\n".join([message, *(f"  - {problem}" for problem in problems)]), hint=hint)
        self.problems = tuple(f"{message}: {problem}" for problem in problems) or (message,)


class PartMissing(UsageError):
    """A server that the sandbox needs is not on this machine and can't be had from here."""


class SandboxError(HarnessError):
    """The sandbox did not do what we need of it."""


class NotReady(SandboxError):
    """A service did not become ready in time."""


class Unsupported(SandboxError):
    """This sandbox lacks an ability that was asked for."""


class FaultError(HarnessError):
    """A fault could not be put in, or could not be taken out."""


class InjectFailed(FaultError):
    """The fault could not be put in."""


class HealFailed(FaultError):
    """The fault could not be taken out: the sandbox is dirty and must be thrown away."""


class LoadError(HarnessError):
    """The load process could not be started, or did not stop."""


class EvidenceMissing(HarnessError):
    """Something that a verdict needs could not be read."""

    exit_code = 3
