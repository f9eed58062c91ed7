"""Findings: what each command line of a runbook does, for the runbook's owners."""

from __future__ import annotations

from harness.model.findings import LineFinding, LineOutcome, RunbookFindings
from harness.model.worth import Gain
from reports import markdown as texts

MEANS: dict[LineOutcome, str] = {
    "works": "it ran as written and had the effect on the system that it claims",
    "no-effect": "it ran and reported success, and did not have its effect",
    "fails": "it said itself that it failed",
    "not-here": "this system has nothing that it could act on, so it was refused",
    "dangerous": "refused as well: it would destroy more than an operator under stress may mean to",
    "unknown": "it ran, and its effect could not be seen",
    "not-run": "no recorded run performed it",
}
GAINS: dict[Gain, str] = {
    "helps": "what the step claims to improve is better than without it",
    "redundant": "it helps by itself, and beside the other steps of its incident it changes nothing",
    "no-effect": "no difference that can be seen",
    "harms": "users are better off without it",
    "unknown": "the runs don't tell",
    "not-compared": "there is no pair of runs to compare in an incident",
}


def markdown(found: RunbookFindings) -> str:
    """The findings as Markdown."""
    counts = [(outcome, found.count(outcome), meaning) for outcome, meaning in MEANS.items() if found.count(outcome)]
    gains = {one.gain for one in found.worths}
    return texts.tidy(
        texts.template("findings.md.j2").render(
            found=found,
            counts=counts,
            faulty=[line for line in found.lines if line.outcome in ("no-effect", "fails")],
            gains=[(gain, meaning) for gain, meaning in GAINS.items() if gain in gains],
            says={(line.id, line.step): said(line) for line in found.lines},
        )
    )


def said(line: LineFinding) -> str:
    """What users got from a line's step: of one that does not work as written, from what was run in its place."""
    if not line.gain or line.outcome in ("not-here", "dangerous", "not-run", "unknown"):
        return ""
    words = {"no-effect": "no visible difference", "not-compared": "not compared"}.get(line.gain, line.gain)
    return words if line.outcome == "works" else f"corrected: {words}"
