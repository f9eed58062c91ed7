"""Ablation: what each step of a runbook is good for, as a document for the runbook's owners."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.ablation import Ablation, Finding, Trial
from harness.model.units import say_duration, say_ratio
from reports import html as pages
from reports import markdown as texts

MEANS = {
    "matters": "without it users don't get what they must get",
    "helps": "fewer requests fail with it, and every objective is met without it too",
    "redundant": "it helps by itself; beside the others it changes nothing",
    "placebo": "nothing changes that can be seen",
    "harms": "users are better off without it",
    "unknown": "the runs don't tell",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One variant, in words."""

    name: str
    met: str
    failed: str
    recovery: str
    spoilt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All that the document says."""

    scenario: str
    findings: tuple[Finding, ...]
    lines: tuple[Line, ...]
    shortest: str
    legend: tuple[tuple[str, str], ...]
    took: str
    runs: int


def markdown(ablation: Ablation) -> str:
    """The ablation as Markdown."""
    return texts.tidy(texts.template("ablation.md.j2").render(sheet=_sheet(ablation)))


def html(ablation: Ablation) -> str:
    """The ablation as one page that asks nothing of any other file or server."""
    return pages.template("ablation.html.j2").render(sheet=_sheet(ablation)) + "\n"


def _sheet(ablation: Ablation) -> Sheet:
    return Sheet(
        scenario=ablation.scenario,
        findings=ablation.findings,
        lines=tuple(map(_line, ablation.trials)),
        shortest=_shortest(ablation),
        legend=tuple(MEANS.items()),
        took=say_duration(round(ablation.wall_seconds)),
        runs=sum(len(trial.runs) for trial in ablation.trials),
    )


def _shortest(ablation: Ablation) -> str:
    if ablation.shortest is None:
        return "No set of steps that was tried met every objective."
    if not ablation.shortest:
        return "Every objective is met without any step: users recover by themselves."
    if len(ablation.shortest) == len(ablation.steps):
        return "No smaller set of steps that was tried met every objective."
    return f"The shortest runbook that still met every objective: {', then '.join(ablation.shortest)}."


def _line(trial: Trial) -> Line:
    share = trial.failed
    met = {True: "yes", False: "no", None: "?"}[trial.met]
    failed = (
        "?"
        if share is None
        else f"{say_ratio(share.hits / share.count)} ({say_ratio(share.lower)} to {say_ratio(share.upper)})"
    )
    return Line(
        name=trial.variant.name,
        met=met,
        failed=failed,
        recovery="-" if trial.recovery is None else say_duration(round(trial.recovery, 1)),
        spoilt=trial.spoilt,
    )
