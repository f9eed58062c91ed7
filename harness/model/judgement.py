"""Judgement: what was concluded from one record, as plain data that a report can print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.model.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """One measured duration. `value_seconds_runbook` is `wall_seconds` times the time scale; `resolution_seconds`
    is how far off it may be either way, in runbook seconds. `said` tells a reader what was measured, in words:
    `from the outage to the alert firing`. `at` is the instant at which it ended (wall seconds since the epoch), where
    a picture can show it."""

    value_seconds_runbook: float
    wall_seconds: float
    resolution_seconds: float
    said: str
    at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All verdicts on one record; `outcome` is the worst of them.

    `times` are the measured durations by name, in the order in which a reader wants them. A name with a slash takes
    the time before the slash apart: `detection` is made up of `detection/user impact`, `detection/firing` and so on.
    `recovery` is the one whose end is the recovery. `findings` are what the runbook's own text failed to do, one
    sentence each.
    """

    scenario: str
    outcome: Outcome
    verdicts: tuple[Verdict, ...]
    times: Mapping[str, Time] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
