"""Judge: a record in, a judgement out. Pure: the same record gives the same verdicts on any machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from harness.alerts.checks import Delivered, Fires, Resolves, StaysQuiet
from harness.alerts.detection import detections
from harness.benchmark.checks import BenchmarkMet
from harness.census.unchanged import Unchanged
from harness.checkpoint import BegunWithin
from harness.faults.gone import FaultGone
from harness.faults.in_force import FaultInForce
from harness.levels.checks import LevelKept, LevelWent
from harness.load.checks import LoadKeptUp
from harness.logs.checks import LogLacks, LogShows
from harness.mitigations.checks import StepWorked
from harness.model.check import Check
from harness.model.judgement import Judgement, Time
from harness.model.record import Record, StepRecord
from harness.model.units import say_duration
from harness.model.verdict import Control, Outcome, Verdict, worst
from harness.slo.objective import During, RecoveredWithin
from harness.slo.smoke import SmokePassed

# A wall clock that moved more than this during a run makes Prometheus' instants incomparable with ours (seconds).
LARGEST_DRIFT = 0.5

AnyCheck = Annotated[
    Fires
    | Delivered
    | Resolves
    | StaysQuiet
    | LogShows
    | LogLacks
    | During
    | RecoveredWithin
    | SmokePassed
    | LevelKept
    | LevelWent
    | BenchmarkMet
    | BegunWithin
    | FaultInForce
    | FaultGone
    | LoadKeptUp
    | StepWorked
    | Unchanged,
    Field(discriminator="kind"),
]
ABANDONED = "run.abandoned"
CLAIMED = "run.claimed"
REORDERED = "steps.reordered"
RECOVERED = "slo.recovered_within"
OBJECTIVES = "slo."  # how the kinds of checks begin that speak of users
# A machine was crowded while nothing of it was left and others than the run used so much of it (shares of all cores); a
# run in which it was so for this share of the time can't say FAIL.
ALL_OF_IT = 0.95
OTHERS_AT_LEAST = 0.25
CROWDED_FOR = 0.05
STEP_RESOLUTION = 0.05  # how often a step looks for its effect (wall seconds)
_CHECK: TypeAdapter[Check] = TypeAdapter(AnyCheck)


def encode_check(check: Check) -> Mapping[str, Any]:
    """A check as JSON values, with its `kind`: what a record keeps."""
    plain: Mapping[str, Any] = TypeAdapter(type(check)).dump_python(check, mode="json")
    return plain


def fingerprint(checks: Sequence[Mapping[str, Any]]) -> str:
    """The sha256 of claims in their JSON form: it tells whether those in a record are those that were made."""
    plain = [dict(check) for check in checks]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def judge(record: Record) -> Judgement:
    """Judge every claim of `record`: first those that every run makes (the experiment was sound), then its own."""
    verdicts = [_verdict(check, record) for check in _soundness(record)]
    verdicts += _conduct(record)
    verdicts += [_decoded(plain, record) for plain in record.checks]
    if record.error:
        verdicts.append(Verdict(claim="the run went through", outcome=Outcome.ERROR, observed=record.error))
    elif not record.checks:
        nothing = "the scenario never called run.verify with a claim"
        verdicts.append(Verdict(claim="something was claimed", outcome=Outcome.UNKNOWN, observed=nothing))
    if any(verdict.outcome is Outcome.FAIL for verdict in verdicts):
        verdicts += _crowded(record)
    return Judgement(
        scenario=record.scenario.name,
        outcome=worst(verdict.outcome for verdict in verdicts),
        verdicts=tuple(verdicts),
        times=times(record),
        findings=tuple(_finding(step) for step in record.steps if step.finding),
    )


def verdict_on(plain: Mapping[str, Any], record: Record) -> Verdict:
    """The verdict on one claim in its JSON form, whatever else is claimed."""
    return _decoded(plain, record)


def own_claims(record: Record) -> tuple[str, ...]:
    """What the scenario itself claims, without what every run does."""
    found = ((_decoded_check(plain), plain) for plain in record.checks)
    return tuple(str(plain.get("kind", "?")) if isinstance(check, str) else check.claim for check, plain in found)


def kinds_of_claims(record: Record) -> Mapping[str, str]:
    """The kind of each claim that the scenario itself makes."""
    return {claim: str(plain.get("kind", "?")) for claim, plain in zip(own_claims(record), record.checks, strict=True)}


def objectives(record: Record) -> tuple[Verdict, ...]:
    """The verdicts of `record` on what users must get, whatever else is claimed."""
    return tuple(_decoded(plain, record) for plain in record.checks if str(plain.get("kind")).startswith(OBJECTIVES))


def crowded(record: Record, began: float, ended: float) -> bool:
    """Whether strangers left the run too little of the machine, from `began` to `ended`, to say that the system failed
    in it."""
    machine = record.machine
    if machine is None:
        return False
    looks = tuple(look for look in machine.looks if began < look.at and look.at - look.seconds < ended)
    part = replace(record, machine=replace(machine, looks=looks), began=began, ended=ended)
    return next(_crowded(part), None) is not None


def _soundness(record: Record) -> Iterator[Check]:
    for fault in record.faults:
        if not (fault.skipped and record.control is Control.NO_FAULT):
            yield FaultInForce(window=fault.window)
            yield FaultGone(window=fault.window)
    for load in record.loads:
        yield LoadKeptUp(window=load.window)
    for step in record.steps:
        left_out = step.skipped and record.control in (Control.NO_MITIGATION, Control.ABLATION)
        not_here = step.not_here and step.commands and all(command.refused for command in step.commands)
        if not left_out and not not_here:
            yield StepWorked(window=step.window)
    if record.census_before is not None and not record.error:
        yield Unchanged()


def _verdict(check: Check, record: Record) -> Verdict:
    try:
        verdict = check.judge(record)
    except Exception as problem:  # a check that breaks has proven nothing, and must not take the others with it
        return Verdict(claim=check.claim, outcome=Outcome.ERROR, observed=f"the check itself broke: {problem!r}")
    if verdict.outcome is Outcome.PASS and record.control in check.red_under(record):
        said = f"stayed green under --control {record.control}: this claim can't fail ({verdict.observed})"
        return replace(verdict, outcome=Outcome.INVALID, observed=said, vacuous=True)
    return verdict


def _decoded(plain: Mapping[str, Any], record: Record) -> Verdict:
    check = _decoded_check(plain)
    if isinstance(check, str):
        return Verdict(claim=str(plain.get("kind", "?")), outcome=Outcome.ERROR, observed=check)
    return _verdict(check, record)


def _decoded_check(plain: Mapping[str, Any]) -> Check | str:
    """The check, or why it is none."""
    try:
        return _CHECK.validate_python(dict(plain))
    except ValidationError as problem:
        return f"not a check known to this version: {problem.errors()[0]['msg']}"


def _finding(step: StepRecord) -> str:
    """What the runbook's own text failed to do; of a known finding its reason: the step's commands tell the rest."""
    return f"{step.name} ({step.source}): " + (f"known: {step.accepted}" if step.accepted else step.finding)


def _conduct(record: Record) -> Iterator[Verdict]:
    """What went wrong with the run itself, if anything did."""
    if not abs(record.clock_drift) <= LARGEST_DRIFT:
        yield Verdict(
            claim="the machine's clock ran evenly",
            outcome=Outcome.UNKNOWN,
            observed=f"it moved by {say_duration(abs(record.clock_drift))}",
            limit=say_duration(LARGEST_DRIFT),
        )
    for event in record.events:
        if event.kind == ABANDONED:
            claim = "the story was told to its end"
            yield Verdict(claim=claim, outcome=Outcome.UNKNOWN, observed=f"it was cut short: {event.subject}")
    if (untold := list(_untold(record))) and not record.error:
        yield Verdict(claim="the record is whole", outcome=Outcome.UNKNOWN, observed="; ".join(untold))
    left_out = any(fault.skipped for fault in record.faults) or any(step.skipped for step in record.steps)
    changed = left_out or any(event.kind == REORDERED for event in record.events)
    if record.control is not Control.NONE and not changed and not record.error:
        said = f"the control {record.control} had nothing to leave out"
        yield Verdict(claim="the control changed the story", outcome=Outcome.INVALID, observed=said)


def _crowded(record: Record) -> Iterator[Verdict]:
    """A system that starved beside strangers was not the one that the scenario is about: its FAIL says nothing of it. A
    PASS beside them stands."""
    if record.machine is None:
        return
    cores = record.machine.cores
    crowded = [
        look
        for look in record.machine.looks
        if look.busy >= ALL_OF_IT * cores and look.busy - look.ours >= OTHERS_AT_LEAST * cores
    ]
    lasted = sum(look.seconds for look in crowded)
    if crowded and lasted >= CROWDED_FOR * (record.ended - record.began):
        theirs = sum((look.busy - look.ours) * look.seconds for look in crowded) / lasted
        yield Verdict(
            claim="the machine had room for the run",
            outcome=Outcome.INVALID,
            observed=f"for {say_duration(lasted)} it had none; other programs used {theirs:.1f} of its {cores} cores",
            limit=f"for less than {CROWDED_FOR:.0%} of the run, where a claim failed",
        )


def _untold(record: Record) -> Iterator[str]:
    """What the record's own timeline tells of and has no account of: it was not over, or somebody took it out."""
    accounts = {
        "fault": {fault.window for fault in record.faults},
        "load": {load.window for load in record.loads},
        "step": {step.window for step in record.steps},
    }
    for span in record.windows:
        if span.ended is None:
            yield f"{span.name} was not over"
        elif span.kind in accounts and span.name not in accounts[span.kind]:
            yield f"there is no account of the {span.kind} {span.name}"
    for event in record.events:
        if event.kind == CLAIMED and event.details.get("sha256") != fingerprint(record.checks):
            yield f"{event.subject} were made, and these are not they"


def times(record: Record) -> Mapping[str, Time]:
    """The chain's times that this record can tell, in the order of the chain: detection, mitigation, recovery."""
    found: dict[str, Time] = {}
    by_alert = detections(record)
    for detection in by_alert:
        found.update(detection.times("detection" if len(by_alert) == 1 else f"detection by {detection.alert}"))
    found.update(_mitigation(record))
    for recovery in recoveries(record):
        time = recovery.time(record)
        if time is not None:
            found["recovery" if "recovery" not in found else recovery.claim] = time
    return found


def recoveries(record: Record) -> tuple[RecoveredWithin, ...]:
    """The claims of `record` that users recovered, in their order."""
    found = (_decoded_check(plain) for plain in record.checks if plain.get("kind") == RECOVERED)
    return tuple(check for check in found if isinstance(check, RecoveredWithin))


def _mitigation(record: Record) -> Mapping[str, Time]:
    """How long the mitigating steps took until their last effect. They are actions: their time is real, not scaled."""
    done = [step for step in record.steps if step.purpose == "mitigate" and not step.skipped and step.effects]
    spans = [(step, record.window(step.window), max(effect.at for effect in step.effects)) for step in done]
    took = [(step.name, span.began, ended) for step, span, ended in spans if span is not None]
    if not took:
        return {}
    whole = _real("from the first mitigating step to the last effect", took[0][1], max(ended for _, _, ended in took))
    return {
        "mitigation": whole,
        **{f"mitigation/{name}": _real(f"performing {name}", began, ended) for name, began, ended in took},
    }


def _real(said: str, began: float, ended: float) -> Time:
    wall = ended - began
    return Time(value_seconds_runbook=wall, wall_seconds=wall, resolution_seconds=STEP_RESOLUTION, said=said, at=ended)
