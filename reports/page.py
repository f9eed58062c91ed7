"""Page: what a report says of a run, in words, ready for a template to lay out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.model.judgement import Judgement, Time
from harness.model.record import EffectRecord, FaultRecord, LoadRecord, Receipt, Record, StepRecord
from harness.model.units import say_duration, say_ratio
from harness.model.verdict import Outcome, Verdict
from reports.bins import Bin, summed
from reports.chain import Link, chain
from reports.words import CONTROLS, label, say_instant, say_optional, say_span, say_time, tally, why

LONGEST_OUTPUT = 4000  # characters of a command's output; the record has it all
MOST_EVENTS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRow:
    at: str
    link: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRow:
    """`from_share` and `share` are where a part begins in its whole and how much of it it takes, in percent, for a
    bar; `parts` takes a time apart."""

    name: str
    said: str
    value: str
    from_share: float = 0.0
    share: float = 0.0
    parts: tuple[TimeRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    variant: str
    text: str
    result: str
    worked: bool
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRow:
    claim: str
    variant: str
    change: str
    held: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    number: int
    step: StepRecord
    at: str
    state: str
    took: str
    commands: tuple[CommandRow, ...]
    effects: tuple[EffectRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    word: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    when: str
    in_force: str
    right: bool
    intended: str
    measured: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    fault: FaultRecord
    span: str
    summary: str
    receipts: tuple[ReceiptRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRow:
    name: str
    span: str
    counts: Bin
    failed_share: str
    p50: str
    p95: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All facts of one report. Tables are pairs of words, in the order in which they are shown."""

    record: Record
    judgement: Judgement
    word: str
    why: str
    tally: str
    control: str
    when: str
    chain: tuple[ChainRow, ...]
    times: tuple[TimeRow, ...]
    checks: tuple[CheckRow, ...]
    steps: tuple[StepRow, ...]
    new_findings: tuple[str, ...]
    windows: tuple[WindowRow, ...]
    loads: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    faults: tuple[FaultRow, ...]
    watchers: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    events: tuple[tuple[str, str, str], ...]
    events_left_out: int
    versions: tuple[tuple[str, str], ...]
    logs: tuple[tuple[str, str], ...]


def page(record: Record, judgement: Judgement, logs: Mapping[str, str]) -> Page:
    """Everything that a report of this run says."""
    return Page(
        record=record,
        judgement=judgement,
        word=judgement.outcome.value,
        why=why(judgement),
        tally=tally(judgement),
        control=CONTROLS[record.control],
        when=datetime.fromtimestamp(record.began, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        chain=tuple(ChainRow(at=say_instant(record, link.at), link=link) for link in chain(record, judgement)),
        times=tuple(_times(judgement.times)),
        checks=tuple(
            CheckRow(word=label(verdict), verdict=verdict)
            for verdict in sorted(judgement.verdicts, key=lambda verdict: verdict.outcome is Outcome.PASS)
        ),
        steps=tuple(_step(record, number, step) for number, step in enumerate(record.steps, start=1)),
        new_findings=tuple(f"{s.name}: {s.finding}" for s in record.steps if s.finding and not s.accepted),
        windows=tuple(_windows(record)),
        loads=tuple((load.window, tuple(_load(load))) for load in record.loads),
        faults=tuple(_fault(record, fault) for fault in record.faults),
        watchers=tuple(_watchers(record)),
        problems=tuple(_problems(record)),
        events=tuple((say_instant(record, e.at), e.kind, e.subject) for e in record.events[:MOST_EVENTS]),
        events_left_out=max(0, len(record.events) - MOST_EVENTS),
        versions=tuple(record.versions.items()),
        logs=tuple(logs.items()),
    )


def _times(times: Mapping[str, Time]) -> Iterator[TimeRow]:
    """The times that stand by themselves, each with those that take it apart."""
    for name, time in times.items():
        whole, _, rest = name.partition("/")
        if rest and whole in times:
            continue
        parts: list[TimeRow] = []
        reached = 0.0
        for part, own in times.items():
            if part.startswith(f"{name}/"):
                began, ended = _place(time, own)
                parts.append(_time(part.removeprefix(f"{name}/"), own, max(reached, began), ended))
                reached = ended
        yield _time(name, time, parts=tuple(parts))


def _place(whole: Time, part: Time) -> tuple[float, float]:
    """Where `part` stands in `whole`, in percent: by its own end where that is known, else counted from the start."""
    if whole.wall_seconds <= 0:
        return 0.0, 0.0
    until = part.wall_seconds
    if whole.at is not None and part.at is not None:
        until = whole.wall_seconds - (whole.at - part.at)
    began, ended = (min(100.0, max(0.0, 100 * t / whole.wall_seconds)) for t in (until - part.wall_seconds, until))
    return began, ended


def _time(name: str, time: Time, began: float = 0.0, ended: float = 0.0, parts: tuple[TimeRow, ...] = ()) -> TimeRow:
    return TimeRow(
        name=name, said=time.said, value=say_time(time), from_share=began, share=max(0.0, ended - began), parts=parts
    )


def _step(record: Record, number: int, step: StepRecord) -> StepRow:
    span = record.window(step.window)
    began = span.began if span else min((command.began for command in step.commands), default=None)
    held = [effect.at for effect in step.effects if effect.held]
    claims = {effect.claim for effect in step.effects}
    proven = bool(claims) and {effect.claim for effect in step.effects if effect.held} == claims
    if step.skipped:
        state = "left out"
    elif step.problem:
        state = step.problem
    elif proven:
        state = "effect seen"
    else:
        state = "effect not seen" if claims else "no effect is claimed for it"
    took = f"{say_duration(max(held) - began)} real time to its effect" if proven and began is not None else ""
    return StepRow(
        number=number,
        step=step,
        at=say_instant(record, began),
        state=state,
        took=took,
        commands=tuple(_commands(step)),
        effects=tuple(map(_effect, step.effects)),
    )


def _commands(step: StepRecord) -> Iterator[CommandRow]:
    for command in step.commands:
        if command.refused:
            result = f"refused: {command.refused}"
        elif command.exit_status is None:
            result = f"stopped after {say_duration(command.ended - command.began)}"
        else:
            result = f"exit {command.exit_status} after {say_duration(command.ended - command.began)}"
        output = command.output
        if len(output) > LONGEST_OUTPUT:
            output = f"{output[:LONGEST_OUTPUT]}\n… {len(output) - LONGEST_OUTPUT} more characters in record.json"
        yield CommandRow(
            variant=command.variant.replace("-", " "),
            text=command.text,
            result=result,
            worked=command.exit_status == 0 and not command.refused,
            output=output.rstrip("\n"),
        )


def _effect(effect: EffectRecord) -> EffectRow:
    before = "unreadable" if effect.before is None else effect.before
    after = "unreadable" if effect.after is None else effect.after
    held = {True: "held", False: "did not hold", None: "could not be observed"}[effect.held]
    return EffectRow(
        claim=effect.claim, variant=effect.variant.replace("-", " "), change=f"{before} → {after}", held=held
    )


def _windows(record: Record) -> Iterator[WindowRow]:
    """What users got in each observed window, and while each fault was in."""
    spans = [span for span in record.windows if span.kind in ("observe", "fault")]
    for span in sorted(spans, key=lambda span: span.began):
        samples = record.during([span])
        ended = span.ended if span.ended is not None else record.ended
        counts = summed(samples, span.began, ended, len(samples))
        bad = counts.planned - counts.right
        yield WindowRow(
            name=span.name,
            span=say_span(record, span.began, span.ended),
            counts=counts,
            failed_share=say_ratio(bad / counts.planned) if counts.planned else "—",
            p50=say_optional(counts.p50),
            p95=say_optional(counts.p95),
        )


def _load(load: LoadRecord) -> Iterator[tuple[str, str]]:
    yield "plan", load.plan
    yield "target", load.target
    yield "planned arrivals", f"{load.planned}"
    share = f" ({say_ratio(load.sent / load.planned)})" if load.planned else ""
    yield "sent", f"{load.sent}{share}"
    yield "answered", f"{load.finished}"
    yield "in flight at the end", f"{load.in_flight}"
    yield "dropped by our own bound", f"{load.dropped}"
    yield "sent too late by", f"p99 {say_optional(load.lateness_p99)}, at most {say_optional(load.lateness_max)}"
    yield "generator's CPU", "unknown" if load.generator_cpu is None else f"{say_ratio(load.generator_cpu)} of one core"
    signed = "yes" if load.complete else "no: it did not end by itself"
    yield "signed off", f"{signed}{': ' + load.problem if load.problem else ''}"
    yield "samples", f"{load.samples_count} in {load.samples_file or 'no file'}, sha256 {load.sha256[:16] or 'unknown'}"


def _fault(record: Record, fault: FaultRecord) -> FaultRow:
    if fault.skipped:
        return FaultRow(fault=fault, span="left out", summary="left out by the control", receipts=())
    rows = [
        *(_receipt(record, receipt, wanted=False) for receipt in fault.before),
        *(_receipt(record, receipt, wanted=True) for receipt in fault.during),
        *(_receipt(record, receipt, wanted=False) for receipt in fault.after),
    ]
    held = sum(receipt.in_force is True for receipt in fault.during)
    gone = sum(receipt.in_force is False for receipt in fault.after)
    summary = f"in force in {held} of {len(fault.during)} probes, gone in {gone} of {len(fault.after)} afterwards"
    span = say_span(record, fault.injected_at, fault.healed_at)
    return FaultRow(fault=fault, span=span, summary=summary, receipts=tuple(rows))


def _receipt(record: Record, receipt: Receipt, *, wanted: bool) -> ReceiptRow:
    return ReceiptRow(
        when=say_instant(record, receipt.at),
        in_force={True: "in force", False: "not in force", None: "could not tell"}[receipt.in_force],
        right=receipt.in_force is wanted,
        intended=receipt.intended,
        measured=receipt.measured,
    )


def _watchers(record: Record) -> Iterator[tuple[str, str]]:
    alerts = record.alerts
    yield "Prometheus' own record", "read" if alerts.read else "NOT read"
    yield "notifications", f"{len(alerts.notifications)} delivered" if alerts.notifications_read else "NOT read"
    real = "wall time"
    if alerts.scrape_interval:
        yield "scraped every", f"{say_duration(alerts.scrape_interval)} {real}"
    if alerts.evaluation_interval:
        yield "rules evaluated every", f"{say_duration(alerts.evaluation_interval)} {real}"
    for rule in alerts.rules or ():
        yield f"rule {rule.name}", f"{rule.expr}, held {say_duration(rule.hold)} ({real}), health {rule.health}"
    if alerts.rules is None:
        yield "rules", "could not be read"
    elif alerts.rules != alerts.rules_at_end:
        yield "rules at the end", "NOT the same as at the start" if alerts.rules_at_end is not None else "not read"
    for gap in alerts.gaps:
        span = say_span(record, gap.began, gap.ended)
        yield f"no answer from {gap.source}", f"{span}: {gap.problem}"


def _problems(record: Record) -> Iterator[str]:
    """What went wrong on our own side."""
    if record.error:
        yield record.error
    yield from (f"{load.window}: {load.problem}" for load in record.loads if load.problem)
    yield from (f"{fault.description}: {fault.problem}" for fault in record.faults if fault.problem)
    yield from record.alerts.problems
