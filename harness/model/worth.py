"""Worth: what users got from one step of a runbook, told by a run with it and a run without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# helps: what the step claims to improve is better with it. redundant: it helps by itself, and beside the other steps it
# changes nothing. no-effect: no difference that can be seen. harms: users are worse off with it. unknown: the runs
# don't tell. not-compared: there is no run without it, or none in an incident.
Gain = Literal["helps", "redundant", "no-effect", "harms", "unknown", "not-compared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What the step claims to improve, in one run: `estimate` within bounds of 95 % each. `unit` is `share` (of the
    requests, 0 to 1) or `s`."""

    what: str
    unit: Literal["share", "s"]
    lower: float
    estimate: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWorth:
    """What one step was worth in the incident of `scenario`, whose root cause is `cause`. `with_it` and `without` are
    what was compared over the same stretch from the step on, None where nothing was; `runs` are the run ids. `again`
    says that the same runs once more may tell what these did not."""

    step: str
    scenario: str
    gain: Gain
    why: str
    cause: str = ""
    with_it: Measure | None = None
    without: Measure | None = None
    runs: tuple[str, ...] = ()
    again: bool = False
