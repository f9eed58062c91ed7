"""Findings: what each command line of a runbook does, for the runbook's owners."""

from __future__ import annotations

from harness.model.findings import LineOutcome, RunbookFindings
from reports import markdown as texts

MEANS: dict[LineOutcome, str] = {
    "works": "it ran as written and had the effect that it claims",
    "no-effect": "it ran and reported success, and did not have its effect",
    "fails": "it said itself that it failed",
    "not-here": "this system has nothing that it could act on, so it was refused",
    "unknown": "it ran, and its effect could not be seen",
    "not-run": "no recorded run performed it",
}


def markdown(found: RunbookFindings) -> str:
    """The findings as Markdown."""
    counts = [(outcome, found.count(outcome), meaning) for outcome, meaning in MEANS.items() if found.count(outcome)]
    faulty = [line for line in found.lines if line.outcome in ("no-effect", "fails")]
    return texts.tidy(texts.template("findings.md.j2").render(found=found, counts=counts, faulty=faulty))
