"""Ablation: what each step of a runbook is good for, told by runs that leave steps out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.model.verdict import Outcome

# matters: without it users don't get what they must get. helps: fewer requests fail with it. redundant: it helps by
# itself, and beside the others it changes nothing. placebo: nothing that can be seen. harms: users are better off
# without it. unknown: the runs don't tell.
Worth = Literal["matters", "helps", "redundant", "placebo", "harms", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A way to perform a story's steps: some `left_out`, or those that one call names in another `order`."""

    name: str
    left_out: tuple[str, ...] = ()
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of requests, `hits` of `count`, with bounds of 95 % each."""

    hits: int
    count: int
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one variant, in one run or in several with their requests taken together.

    `objectives` has the worst outcome of each claim about users. `failed` is the share of requests that were not
    answered rightly from the first mitigating step to the end of the last fault, None where that can't be told.
    `recovery` is in runbook seconds from the instant that `recovery_of` names. `spoilt` says why the runs prove
    nothing; empty where they do.
    """

    variant: Variant
    runs: tuple[str, ...]
    objectives: Mapping[str, Outcome]
    failed: Share | None = None
    recovery: float | None = None
    spoilt: str = ""

    @property
    def met(self) -> bool | None:
        """Whether users got all that they must get; None where that is not known."""
        outcomes = set(self.objectives.values())
        if self.spoilt or not outcomes:
            return None
        if Outcome.FAIL in outcomes:
            return False
        return True if outcomes == {Outcome.PASS} else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one step is good for, and why that is said."""

    step: str
    worth: Worth
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """All of it for one scenario. `shortest` is the smallest set of steps tried that still met every objective, None
    where none did; `wall_seconds` is how long the runs took."""

    scenario: str
    steps: tuple[str, ...]
    trials: tuple[Trial, ...]
    findings: tuple[Finding, ...]
    shortest: tuple[str, ...] | None
    wall_seconds: float
