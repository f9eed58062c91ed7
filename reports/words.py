"""Words: how a report says outcomes, durations and instants."""

from __future__ import annotations

from harness.model.judgement import Judgement, Time
from harness.model.record import Record
from harness.model.units import say_duration
from harness.model.verdict import Control, Outcome, Verdict

_MEANS = {
    Outcome.PASS: "Every claim holds.",
    Outcome.FAIL: "The system did not do what was claimed",
    Outcome.UNKNOWN: "Nothing is proven: evidence is missing or too little",
    Outcome.INVALID: "This was not the experiment that was intended",
    Outcome.ERROR: "The harness itself broke, so nothing is proven",
}

CONTROLS = {
    Control.NONE: "",
    Control.NO_FAULT: (
        "A control: the fault was left out on purpose. The claims that hang on it must turn red; one that stays green "
        "is vacuous."
    ),
    Control.NO_MITIGATION: (
        "A control: the runbook's steps were left out on purpose. The claims that hang on them must turn red; one "
        "that stays green is vacuous."
    ),
    Control.ABLATION: (
        "Steps of the runbook were left out, or performed in another order, on purpose: what came of it says what they "
        "are good for, and nothing of the runbook as it is."
    ),
}


def label(verdict: Verdict) -> str:
    """The word on a verdict's badge."""
    return "VACUOUS" if verdict.vacuous else verdict.outcome.value


def why(judgement: Judgement) -> str:
    """One sentence that says why the outcome is what it is."""
    if judgement.outcome is Outcome.PASS:
        count = len(judgement.verdicts)
        return f"All {count} claims hold." if count > 1 else _MEANS[Outcome.PASS]
    decisive = [verdict for verdict in judgement.verdicts if verdict.outcome is judgement.outcome]
    if not decisive:
        return f"{_MEANS[judgement.outcome]}."
    first, others = decisive[0], len(decisive) - 1
    more = f" (and {others} more)" if others else ""
    means = "A claim that can't turn red proves nothing" if first.vacuous else _MEANS[judgement.outcome]
    return f"{means}: {first.claim} — {first.observed.rstrip('.')}{more}."


def tally(judgement: Judgement) -> str:
    """How many verdicts there are of each outcome: `9 PASS, 1 FAIL`."""
    counts = {outcome: sum(v.outcome is outcome for v in judgement.verdicts) for outcome in Outcome}
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count) or "nothing was judged"


def say_time(time: Time) -> str:
    """`2 min 41 s ± 15 s runbook time = 2.68 s wall`; at time scale 1 the two are the same and one is said."""
    value = f"{say_duration(time.value_seconds_runbook)} ± {say_duration(time.resolution_seconds)}"
    if abs(time.value_seconds_runbook - time.wall_seconds) < 1e-9:
        return value
    return f"{value} runbook time = {say_duration(time.wall_seconds)} wall"


def say_instant(record: Record, at: float | None) -> str:
    """Runbook time since the run began, as a clock: `8:05`, `1:02:03`; tenths where a second is long."""
    if at is None:
        return "—"
    elapsed = (at - record.began) * record.time_scale
    sign = "-" if elapsed < 0 else ""
    tenths = round(abs(elapsed) * 10) if record.time_scale < 10 else round(abs(elapsed)) * 10
    whole, tenth = divmod(tenths, 10)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    return f"{sign}{clock}" + (f".{tenth}" if record.time_scale < 10 else "")


def say_span(record: Record, began: float | None, ended: float | None) -> str:
    """From one instant to another: `9:00 to 30:00`."""
    return f"{say_instant(record, began)} to {say_instant(record, ended)}"


def say_optional(seconds: float | None) -> str:
    """A duration in seconds that may not be known."""
    return "unknown" if seconds is None else say_duration(seconds)
