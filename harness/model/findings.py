"""Findings: what recorded runs say of each command line of a runbook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.model.worth import Gain, StepWorth

# works: it ran as written and had the effect on the system that it claims. no-effect: it ran, reported success, and did
# not have it. fails: it said itself that it failed. not-here: this system has nothing that it could act on. dangerous:
# the same, and what it would destroy elsewhere is more than an operator may mean to. not-run: no recorded run performed
# it. unknown: it ran, and its effect could not be seen.
LineOutcome = Literal["works", "no-effect", "fails", "not-here", "dangerous", "not-run", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFinding:
    """One command line as one step performs it, in a run of `scenario`. `said` is what it printed or missed, `because`
    the reason; `corrected` is what has the effect in its place, `proven` whether a run saw that (None: there is no
    correction). `gain` is what users got from the step, its correction included; empty where the step is not there for
    them."""

    id: str
    line: int
    text: str
    step: str
    outcome: LineOutcome
    said: str = ""
    because: str = ""
    corrected: str = ""
    proven: bool | None = None
    scenario: str = ""
    gain: Gain | Literal[""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingLine:
    """A step that the runbook lacks: its commands `corrected` belong behind line `after`. `proven` says whether a run
    of `scenario` saw them have their effect, None where none can."""

    step: str
    after: int
    because: str
    corrected: str
    proven: bool | None
    scenario: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """Lines `text` of the runbook, from `line` on, that are to read `put`: no run proves it, somebody has read it."""

    line: int
    text: str
    put: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookFindings:
    """All command lines of one runbook, in its order, what it lacks, and what its mitigations are worth; `patch` is a
    unified diff with every correction that a run has proven, and with those that were reviewed."""

    source: str
    lines: tuple[LineFinding, ...]
    patch: str
    missing: tuple[MissingLine, ...] = ()
    reviewed: tuple[Reviewed, ...] = ()
    worths: tuple[StepWorth, ...] = ()

    def count(self, outcome: LineOutcome) -> int:
        """How many command lines have this outcome."""
        return len({finding.id for finding in self.lines if finding.outcome == outcome})
