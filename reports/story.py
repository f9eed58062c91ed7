"""Story: what happened in an incident and when; what detected it, what mitigated it, and what did nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.model.judgement import Judgement, Time
from harness.model.record import AlertSample, Record, StepRecord
from harness.model.units import say_duration
from harness.model.verdict import Outcome
from reports.cost import both, hurt, incident, load_links, utc
from reports.document import Block, Link, Said, Section, listed, record, row, said, verdict
from reports.words import say_instant, say_time

NOT_KNOWN = "not known from this run"
PENDING_RESOLUTION = 1.0  # seconds: Prometheus keeps the instant since which an alert is pending in whole ones


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instant:
    at: float
    what: str
    links: tuple[Link, ...]


def timeline(run: Record, judgement: Judgement) -> Section:
    """The section with everything that happened, oldest first, in three clocks."""
    found = incident(run)
    start = found.began if found else run.began
    instants = [
        _Instant(at=run.began, what="the run began", links=(record("began"),)),
        *_faults(run),
        *_users(run),
        *_alerts(run),
        *(each for number in range(len(run.steps)) for each in _step(run, judgement, number)),
        *_well(judgement),
        _Instant(at=run.ended, what="the run ended", links=(record("ended"),)),
    ]
    rows = [
        row(utc(each.at), say_instant(run, each.at), _since(each.at - start), each.what, of=each.links)
        for each in sorted(instants, key=lambda each: each.at)
    ]
    head = ("when", "runbook time", "wall, since it began", "what")
    return Section("Timeline", "timeline", (Block("table", tuple(rows), head), listed(*_unseen(run, judgement))))


def _since(seconds: float) -> str:
    return f"{seconds:+.3f} s"


def _faults(run: Record) -> Iterator[_Instant]:
    for number, fault in enumerate(run.faults):
        if fault.injected_at is not None:
            link = record("faults", number, "injected_at")
            yield _Instant(at=fault.injected_at, what=f"the cause was put in: {fault.description}", links=(link,))
        if fault.injected_at is not None and fault.healed_at is not None:
            link = record("faults", number, "healed_at")
            yield _Instant(at=fault.healed_at, what=f"the cause was taken out: {fault.description}", links=(link,))


def _users(run: Record) -> Iterator[_Instant]:
    worst = hurt(run)
    if worst:
        for sample, which in zip(worst, ("first", "last"), strict=True):
            got = f"status {sample.status}" if sample.status else sample.error or "no answer"
            what = f"the {which} request of a user that failed was due: {sample.name}, {got}"
            yield _Instant(at=sample.planned, what=what, links=load_links(run))


def fired(run: Record) -> Mapping[str, tuple[int, AlertSample]]:
    """The first firing sample of each alert since the incident began, and its place, by the alert's name and labels."""
    found = incident(run)
    firsts: dict[str, tuple[int, AlertSample]] = {}
    for number, sample in enumerate(run.alerts.states):
        if sample.state == "firing" and found and sample.at >= found.began:
            name = _named(sample.name, sample.labels)
            if name not in firsts or sample.at < firsts[name][1].at:
                firsts[name] = (number, sample)
    return dict(sorted(firsts.items(), key=lambda each: (each[1][1].at, each[0])))


def old(run: Record, sample: AlertSample) -> bool:
    """Whether the alert was pending before the incident began, so that it tells of something else."""
    found = incident(run)
    late = run.alerts.evaluation_interval + PENDING_RESOLUTION
    return bool(found and sample.active_since is not None and sample.active_since < found.began - late)


def _named(name: str, labels: Mapping[str, str]) -> str:
    shown = ", ".join(f"{k}={v}" for k, v in sorted(labels.items()) if k not in ("alertname", "__name__"))
    return f"{name} {{{shown}}}" if shown else name


def _alerts(run: Record) -> Iterator[_Instant]:
    for name, (number, sample) in fired(run).items():
        link = record("alerts", "states", number)
        if sample.active_since is not None:
            yield _Instant(at=sample.active_since, what=f"alert pending: {name}", links=(link,))
        yield _Instant(at=sample.at, what=f"alert firing: {name}", links=(link,))
        for at, status, place in told(run, sample):
            what = "alert delivered" if status == "firing" else "alert resolved, notification delivered"
            yield _Instant(at=at, what=f"{what}: {name}", links=(place,))


def told(run: Record, sample: AlertSample) -> Iterator[tuple[float, str, Link]]:
    """When people were first told that the alert of `sample` fires, and last that it has resolved."""
    own = [
        (notice.at, notice.status, record("alerts", "notifications", number))
        for number, notice in enumerate(run.alerts.notifications)
        if notice.name == sample.name
        and notice.at >= sample.at
        and all(notice.labels.get(k, v) == v for k, v in sample.labels.items())
    ]
    firing = [each for each in own if each[1] == "firing"]
    resolved = [each for each in own if each[1] == "resolved"]
    yield from firing[:1] and [min(firing, key=lambda each: each[0])]
    yield from resolved[:1] and [max(resolved, key=lambda each: each[0])]


def _step(run: Record, judgement: Judgement, number: int) -> Iterator[_Instant]:
    step = run.steps[number]
    span = run.window(step.window)
    began = span.began if span else min((command.began for command in step.commands), default=None)
    if began is None or step.skipped:
        return
    link = record("steps", number)
    yield _Instant(at=began, what=f"step begun: {step.name} ({step.purpose}, {step.source})", links=(link,))
    if worked(step):
        what = f"effect of {step.name} seen:{_in_time(step)}"
        yield _Instant(at=max(effect.at for effect in step.effects if effect.held), what=what, links=(link,))


def worked(step: StepRecord) -> bool:
    """Whether every effect that the step claims was seen in the end, after its text or its correction."""
    claims = {effect.claim for effect in step.effects}
    return bool(claims) and {effect.claim for effect in step.effects if effect.held} == claims


def as_written(step: StepRecord) -> bool:
    """Whether the runbook's own text had the effect, without any correction."""
    return worked(step) and all(effect.variant == "as-written" for effect in step.effects)


def _in_time(step: StepRecord) -> str:
    """Whether it met its deadline, the runbook's own waits counted in full as its operators would sit through them."""
    if step.deadline is None or not step.commands:
        return " no deadline is set for it"
    saved = sum(command.saved for command in step.commands)
    took = max(effect.at for effect in step.effects) - step.commands[0].began + saved
    met = "within" if took <= step.deadline else "MISSED"
    return f" after {say_duration(took)} (real), {met} its deadline of {say_duration(step.deadline)}"


def _well(judgement: Judgement) -> Iterator[_Instant]:
    time = judgement.times.get("recovery")
    if time is not None and time.at is not None:
        yield _Instant(at=time.at, what=f"users were well again ({time.said})", links=(verdict("times", "recovery"),))


def _unseen(run: Record, judgement: Judgement) -> Iterator[Said]:
    """The links of the chain that this run does not have, each with why."""
    if not [fault for fault in run.faults if fault.injected_at is not None]:
        left = "it was left out by the control" if any(fault.skipped for fault in run.faults) else "the story has none"
        yield said(f"No cause was put in: {left}.", record("faults"))
    if incident(run) and not fired(run):
        why = "no alert fired" if run.alerts.read else "whether an alert fired is not known: Prometheus was not read"
        yield said(f"{why.capitalize()}.", record("alerts", "states"), record("alerts", "read"))
    for number, step in enumerate(run.steps):
        if step.skipped:
            yield said(f"The step {step.name} was left out of this run.", record("steps", number, "skipped"))
    if not run.steps:
        yield said("No step of the runbook was performed.", record("steps"))
    if "recovery" not in judgement.times:
        yield said("When users were well again was not measured in this run.", verdict("times"))
    if incident(run) and run.samples and hurt(run) is None:
        yield said("No request of a user failed.", *load_links(run))


# -- what detected it ----------------------------------------------------------------------------------------------


def detection(run: Record, judgement: Judgement) -> Section:
    """The section on what detected the incident."""
    return Section("What detected it", "detected", (listed(*_detected(run, judgement)),))


def _detected(run: Record, judgement: Judgement) -> Iterator[Said]:
    found = incident(run)
    if found is None:
        yield said("There was nothing to detect.", record("faults"), record("alerts", "states"))
        return
    if not run.alerts.read:
        yield said(
            f"What detected it is {NOT_KNOWN}: Prometheus' own record could not be read.", record("alerts", "read")
        )
    alerts = fired(run)
    if run.alerts.read and not alerts:
        yield said("Nothing detected it: no alert fired from its beginning to its end.", record("alerts", "states"))
    for name, (number, sample) in alerts.items():
        place = record("alerts", "states", number)
        before = ", but was pending before it, so it tells of something else" if old(run, sample) else ""
        yield said(f"{name} fired {both(run, sample.at - found.began)} after the incident began{before}.", place)
        if not run.alerts.notifications_read:
            lost = f"Whether anybody was told of it is {NOT_KNOWN}: the receiver was not read."
            yield said(lost, record("alerts", "notifications_read"))
        elif first := next((each for each in told(run, sample) if each[1] == "firing"), None):
            yield said(f"People were told {both(run, first[0] - found.began)} after the incident began.", first[2])
        else:
            yield said("Nobody was told of it.", record("alerts", "notifications"))
    for name, time in judgement.times.items():
        if name == "detection" or name.startswith("detection/"):
            yield said(f"Measured {time.said}: {say_time(time)}.", verdict("times", name))
    for number, gap in enumerate(run.alerts.gaps):
        lost = f"{gap.source} did not answer for {both(run, gap.ended - gap.began)}: {gap.problem}"
        yield said(f"For a while nobody looked: {lost}.", record("alerts", "gaps", number))


# -- what mitigated it, and what did nothing -----------------------------------------------------------------------


def mitigation(run: Record, judgement: Judgement) -> Section:
    """The section on what brought users back."""
    return Section("What mitigated it", "mitigated", (listed(*_mitigated(run, judgement)),))


def _mitigated(run: Record, judgement: Judgement) -> Iterator[Said]:
    tried = [(n, step) for n, step in enumerate(run.steps) if step.purpose == "mitigate" and not step.skipped]
    held = [(n, step) for n, step in tried if worked(step)]
    if not tried:
        yield said("No mitigating step was performed.", record("steps"))
    for number, step in held:
        text = "as the runbook writes it" if as_written(step) else "only after its text had been corrected"
        yield said(f"{step.name} had its effect on the system, {text};{_in_time(step)}.", record("steps", number))
    yield from _brought_back(run, judgement.times.get("recovery"), held)


def _brought_back(run: Record, time: Time | None, held: list[tuple[int, StepRecord]]) -> Iterator[Said]:
    """Whether users recovered after the steps and before the cause went by itself."""
    if time is None or time.at is None:
        if incident(run):
            yield said(f"Whether and when users recovered is {NOT_KNOWN}: it was not measured.", verdict("times"))
        return
    recovered, link = time.at, verdict("times", "recovery")
    ends = [(n, fault.healed_at) for n, fault in enumerate(run.faults) if fault.injected_at is not None]
    before = bool(ends) and all(healed is None or recovered <= healed for _, healed in ends)
    healed_links = tuple(record("faults", number, "healed_at") for number, _ in ends)
    when = f"Users recovered at {utc(recovered)}"
    if not ends:
        yield said(
            f"{when}; there was no cause of ours whose end could have brought them back.", link, record("faults")
        )
    elif not before:
        yield said(
            f"{when}, after the cause had been taken out: nothing shows that a step did it.", link, *healed_links
        )
    elif not held:
        yield said(f"{when}, before the cause was taken out and without any step that worked.", link, *healed_links)
    else:
        # A step's last effect and the recovery are told from different clocks' ticks: what began before counts.
        earlier = [(n, s) for n, s in held if _began(run, s) is not None and (_began(run, s) or 0.0) <= recovered]
        names = ", ".join(step.name for _, step in earlier) or "no step"
        places = tuple(record("steps", number) for number, _ in earlier)
        yield said(f"{when}, after {names} had begun and before the cause was taken out.", link, *healed_links, *places)
        yield said(
            "That one came after the other does not prove that it came of it: a run without these steps tells.",
            *places,
            link,
        )


def _began(run: Record, step: StepRecord) -> float | None:
    span = run.window(step.window)
    return span.began if span else min((command.began for command in step.commands), default=None)


def nothing(run: Record, judgement: Judgement) -> Section:
    """The section on what had no effect."""
    return Section("What did nothing", "nothing", (listed(*_without_effect(run, judgement)),))


def _without_effect(run: Record, judgement: Judgement) -> Iterator[Said]:
    performed = [(n, step) for n, step in enumerate(run.steps) if not step.skipped]
    if not performed:
        yield said("No step was performed, so nothing can be said of any.", record("steps"))
        return
    quiet = True
    for number, step in performed:
        if step.finding:
            quiet = False
            known = f"known and accepted: {step.accepted}" if step.accepted else "a new finding"
            place = (record("steps", number, "finding"), record("steps", number, "accepted"))
            yield said(f"{step.name} as written ({step.source}): {step.finding} ({known}).", *place)
        if step.not_here:
            yield said(
                f"{step.name} has no place in this system: {step.not_here}.", record("steps", number, "not_here")
            )
            continue
        if step.problem:
            quiet = False
            yield said(f"{step.name} could not be performed: {step.problem}.", record("steps", number, "problem"))
        elif not worked(step):
            quiet = False
            seen = [e for e in step.effects if e.held is False]
            what = f"its effect was not seen ({seen[0].claim})" if seen else f"whether it had an effect is {NOT_KNOWN}"
            yield said(f"{step.name}: {what}.", record("steps", number, "effects"))
    if quiet:
        yield said("Every step that was performed had its effect as written.", record("steps"))
    for number, checked in enumerate(judgement.verdicts):
        if checked.vacuous:
            yield said(f"This claim can't turn red: {checked.claim}.", verdict("checks", number))


def failed(judgement: Judgement) -> list[int]:
    """Where the claims stand that did not hold."""
    return [number for number, each in enumerate(judgement.verdicts) if each.outcome is not Outcome.PASS]
