"""Findings: what recorded runs say of each command line of a runbook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# works: it ran as written and had the effect that it claims. no-effect: it ran, reported success, and did not have it.
# fails: it said itself that it failed. not-here: this system has nothing that it could act on. not-run: no recorded run
# performed it. unknown: it ran, and its effect could not be seen.
LineOutcome = Literal["works", "no-effect", "fails", "not-here", "not-run", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFinding:
    """One command line as one step performs it, in a run of `scenario`. `said` is what it printed or missed, `because`
    the reason; `corrected` is what has the effect in its place, `proven` whether a run saw that (None: there is no
    correction)."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookFindings:
    """All command lines of one runbook, in its order; `patch` is a unified diff with every proven correction."""

    source: str
    lines: tuple[LineFinding, ...]
    patch: str

    def count(self, outcome: LineOutcome) -> int:
        """How many command lines have this outcome."""
        return len({finding.id for finding in self.lines if finding.outcome == outcome})
