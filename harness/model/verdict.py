"""Verdict: what we conclude about one claim, and why. Only PASS is a pass; the worst one wins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a claim fared, from best to worst.

    FAIL is a statement about the system, so it needs sound evidence. What spoils the evidence is therefore worse
    than FAIL: we may not say more than we know.
    """

    PASS = "PASS"  # noqa: S105 - an outcome, not a password
    FAIL = "FAIL"  # the system did not do what was claimed
    UNKNOWN = "UNKNOWN"  # evidence is missing or too little
    INVALID = "INVALID"  # the experiment was not the one intended: no fault in force, or our load was the bottleneck
    ERROR = "ERROR"  # we broke

    @property
    def exit_code(self) -> int:
        """The exit status that stands for it (2 is taken by usage errors)."""
        return {"PASS": 0, "FAIL": 1, "UNKNOWN": 3, "INVALID": 4, "ERROR": 5}[self.value]


class Control(StrEnum):
    """A run with something left out on purpose, to see that the assertions which depend on it turn red."""

    NONE = "none"
    NO_FAULT = "no-fault"
    NO_MITIGATION = "no-mitigation"
    ABLATION = "ablation"  # some of the runbook's steps left out, or in another order: what each is good for


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One claim, judged.

    `observed`, `limit` and `resolution` are said in words with units; `evidence` names where in the record a doubter
    can look. `vacuous` is set when the claim should have turned red under this run's control and did not.
    """

    claim: str
    outcome: Outcome
    observed: str
    limit: str = ""
    resolution: str = ""
    evidence: tuple[str, ...] = ()
    vacuous: bool = False

    def __str__(self) -> str:
        label = "VACUOUS" if self.vacuous else self.outcome.value
        return f"{label:8} {self.claim} - {self.observed}"


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst of `outcomes`. Nothing judged is UNKNOWN: an empty list proves nothing."""
    order = list(Outcome)
    found = [order.index(outcome) for outcome in outcomes]
    return order[max(found)] if found else Outcome.UNKNOWN
