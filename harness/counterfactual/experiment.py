"""Experiment: the run as it would have been seen, had its faults or steps not done what they are there for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.counterfactual.base import Counterfactual
from harness.model.record import AlertEvidence, FaultRecord, Record, StepRecord
from harness.model.timeline import Moment
from harness.model.verdict import Outcome

LEFT = "something that the story left"
BEGUN = "checkpoint.begun"


def _never_in(record: Record) -> Record | None:
    """What the probe saw while a fault had to be in force is what it saw before."""
    faults = tuple(
        replace(fault, during=tuple(replace(fault.before[-1], at=one.at) for one in fault.during))
        if fault.before
        else fault
        for fault in record.faults
    )
    return replace(record, faults=faults) if faults != record.faults else None


def _never_gone(record: Record) -> Record | None:
    """What the probe saw once a fault was healed is what it saw while it was in force."""
    faults = tuple(_staying(fault) for fault in record.faults)
    return replace(record, faults=faults) if faults != record.faults else None


def _staying(fault: FaultRecord) -> FaultRecord:
    seen = [one for one in fault.during if one.in_force]
    if not seen or not fault.after:
        return fault
    last = replace(fault.after[-1], in_force=True, measured=seen[-1].measured)
    return replace(fault, after=(*fault.after[:-1], last))


def _without_effect(record: Record) -> Record | None:
    """What was read after each step is what was read before it, of which its effect was then known not to hold."""
    steps = tuple(
        replace(
            step,
            effects=tuple(
                replace(effect, after=effect.before, held=False) if effect.held else effect for effect in step.effects
            ),
        )
        for step in record.steps
    )
    return replace(record, steps=steps) if steps != record.steps else None


def _not_taken_back(record: Record) -> Record | None:
    """Everything counted is in the end what the steps had made of it."""
    before, after = record.census_before, record.census_after
    if not before or not after:
        return None
    made = {
        name: effect.after
        for step in record.steps
        if not step.no_undo
        for effect in step.effects
        if effect.held and effect.after is not None
        for name in before
        if effect.claim.startswith(f"{name} ") and before[name] != effect.after
    }
    return replace(record, census_after={**after, **made}) if made else None


def _left_behind(record: Record) -> Record | None:
    if not record.census_before or not record.census_after:
        return None
    return replace(record, census_after={**record.census_after, LEFT: "there"})


def _nothing(record: Record) -> Record | None:
    """The story without any evidence of what came of it."""
    return replace(
        record,
        samples=(),
        alerts=AlertEvidence(),
        logs=(),
        faults=tuple(replace(fault, before=(), during=(), after=()) for fault in record.faults),
        steps=tuple(_unseen(step) for step in record.steps),
        census_after=None,
        benchmarks=(),
        levels=(),
    )


def _unseen(step: StepRecord) -> StepRecord:
    return replace(step, effects=tuple(replace(one, after=None, held=None) for one in step.effects))


def _looked_too_late(record: Record) -> Record | None:
    """Each round of checks was begun a minute of the runbook after its limit."""
    begun = {}
    for plain in record.checks:
        if plain.get("kind") == BEGUN:
            of = record.instant(Moment(**plain["of"]))
            if of is not None:
                begun[plain["window"]] = of + (plain["within"] + 60) / record.time_scale
    windows = tuple(
        replace(span, began=begun[span.name], ended=None) if span.name in begun else span for span in record.windows
    )
    return replace(record, windows=windows) if begun else None


def of_the_experiment() -> Iterator[Counterfactual]:
    """What faults and steps might have been, and a run that left no evidence."""
    yield Counterfactual(name="faults never in force", grade="moved", of=_never_in, red=Outcome.INVALID)
    yield Counterfactual(name="faults never gone", grade="moved", of=_never_gone, red=Outcome.ERROR)
    yield Counterfactual(name="steps without effect", grade="moved", of=_without_effect)
    yield Counterfactual(name="steps never taken back", grade="moved", of=_not_taken_back)
    yield Counterfactual(name="something left behind", grade="made up", of=_left_behind)
    yield Counterfactual(
        name="checks begun too late",
        grade="made up",
        of=_looked_too_late,
        red=Outcome.UNKNOWN,  # nobody knows how it was in time
        concerns=frozenset({BEGUN}),
    )
    # When checks were begun is told by the story itself, which stays.
    yield Counterfactual(name="no evidence", grade="taken away", of=_nothing, spares=frozenset({BEGUN}))
