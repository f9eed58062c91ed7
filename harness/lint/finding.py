"""Finding: one thing that is wrong with a runbook, and the rule that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from harness.lint.subject import Subject

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a rule says of one place: `line` and `column` count from 1, `column` is 0 where it is not known. `severity`
    is empty where it is the rule's own; `file` is empty where it is the runbook itself."""

    line: int
    why: str
    mend: str
    column: int = 0
    severity: Severity | Literal[""] = ""
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `says` is what it finds, in one sentence; `bad` is a runbook in which it speaks, `good` the same one
    mended. `needs` is the option without which it is silent."""

    id: str
    severity: Severity
    says: str
    bad: str
    good: str
    check: Callable[[Subject], Iterator[Said]]
    needs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule said, with the rule's name: what is reported."""

    file: str
    line: int
    column: int
    rule: str
    severity: Severity
    why: str
    mend: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" + (f":{self.column}" if self.column else "")
        return f"{where}: {self.severity} {self.rule}: {self.why}\n    mend: {self.mend}"
