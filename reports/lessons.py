"""Lessons: the five whys as far as the evidence goes, and what follows for next time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from harness.model.impact import Incident
from harness.model.judgement import Judgement, Time
from harness.model.record import Record
from harness.model.units import say_duration, say_ratio
from harness.model.verdict import Outcome
from reports.cost import incident, load_links, rows_counted, users
from reports.document import Block, Link, Said, Section, listed, paragraph, record, said, verdict
from reports.reconciliation import reconcile
from reports.story import NOT_KNOWN, failed, fired, worked
from reports.words import say_time

# How runbooks word it where they speak of growing and shrinking by itself: autoscaling_enabled, scale-workers, HPA.
_SCALING = ("scal", "hpa")


def whys(run: Record, judgement: Judgement) -> Section:
    """The five questions that follow an incident. Where the evidence ends the answer says so."""
    asked = (
        ("Why did 503s spike?", _why_503(run)),
        ("Why were the servers overloaded?", _why_overloaded(run)),
        ("Why did auto-scaling not start earlier?", _why_not_scaled(run)),
        ("Why did monitoring not see it sooner?", _why_unseen(run, judgement)),
        ("Why is there no better capacity plan?", _why_no_plan(run)),
    )
    blocks: list[Block] = []
    for number, (question, answers) in enumerate(asked, start=1):
        first, *more = answers
        blocks.append(paragraph(Said((f"{number}. {question} {first.text}",), first.links), *more))
    return Section("Five whys", "whys", tuple(blocks))


def _why_503(run: Record) -> Iterator[Said]:
    found = incident(run)
    if found is None:
        yield said("They did not: there was no incident.", record("faults"), record("alerts", "states"))
        return
    counts, counted = users(run), rows_counted(run)
    if counts is not None:
        logged = f" (the request log counts {counted[0].count})" if counted and counted[0].count is not None else ""
        links = (*load_links(run), *((counted[1],) if logged and counted else ()))
        what = f"{counts.refused} of {counts.planned} requests of users got one{logged}"
        yield said(f"{what}." if counts.refused else f"They did not: {what}.", *links)
    else:
        yield said(f"Whether they did is {NOT_KNOWN}.", *load_links(run))
    causes = [(n, fault) for n, fault in enumerate(run.faults) if fault.injected_at is not None]
    for number, fault in causes:
        may = ", and one that a mitigation may end" if fault.curable else ""
        held = sum(receipt.in_force is True for receipt in fault.during)
        yield said(
            f"The cause put in was {fault.description}, in force in {held} of {len(fault.during)} probes{may}.",
            record("faults", number, "during"),
        )
    if not causes:
        yield said(f"The cause is {NOT_KNOWN}: none was put in.", record("faults"))


def _why_overloaded(run: Record) -> Iterator[Said]:
    found, machine = incident(run), run.machine
    if machine is None or found is None:
        yield said(f"Whether they were is {NOT_KNOWN}: nobody looked how busy they were.", Link("record"))
        return
    looks = [look for look in machine.looks if found.began <= look.at <= found.ended]
    if not looks:
        yield said(f"Whether they were is {NOT_KNOWN}: nobody looked meanwhile.", record("machine", "looks"))
        return
    total = sum(look.seconds for look in looks) or 1.0
    busy = sum(look.busy * look.seconds for look in looks) / total
    yield said(
        f"The machine on which all of it ran used {busy:.2g} of its {machine.cores} cores on average during the "
        f"incident, and {max(look.busy for look in looks):.2g} at most.",
        record("machine", "looks"),
    )
    yield said(
        f"How that was shared between servers, and whether one was overloaded, is {NOT_KNOWN}.", record("machine")
    )


def _why_not_scaled(run: Record) -> Iterator[Said]:
    settings = [(name, value) for name, value in (run.census_before or {}).items() if _of_scaling(name)]
    for name, value in settings:
        after = (run.census_after or {}).get(name)
        links = [record("census_before", name)]
        then = ""
        if after is not None:
            links.append(record("census_after", name))
            then = f" and {after} after it"
        yield said(f"{name} was {value} before the run{then}.", *links)
    steps = [(number, step) for number, step in enumerate(run.steps) if _of_scaling(step.name) and not step.skipped]
    for number, step in steps:
        seen = "had its effect" if worked(step) else "was not seen to have its effect"
        yield said(f"The step {step.name} was performed and {seen}.", record("steps", number))
    end = "more than that" if settings or steps else "the record holds nothing about scaling"
    text = f"Beyond that it is {NOT_KNOWN}." if settings or steps else f"{NOT_KNOWN.capitalize()}: {end}."
    yield said(text, record("steps"), record("census_before"))


def _of_scaling(name: str) -> bool:
    return any(word in name.lower() for word in _SCALING)


def _why_unseen(run: Record, judgement: Judgement) -> Iterator[Said]:
    if incident(run) is None:
        yield said("There was nothing to see.", record("faults"), record("alerts", "states"))
        return
    if not run.alerts.read:
        yield said(f"{NOT_KNOWN.capitalize()}: Prometheus was not read.", record("alerts", "read"))
        return
    whole = judgement.times.get("detection")
    longest = _longest(judgement.times)
    if whole is not None:
        yield said(f"It took {say_time(whole)} {whole.said}.", verdict("times", "detection"))
    if whole is not None and longest is not None:
        name, part = longest
        share = f", {say_ratio(part / whole.wall_seconds)} of it" if whole.wall_seconds else ""
        yield said(f"The longest part was the one until {name}{share}.", verdict("times", f"detection/{name}"))
    if not fired(run):
        yield said("No alert fired: there is no rule that sees this cause, or not within its time.", *_rule_links(run))
    for number, rule in _rules(run):
        hold = f"{say_duration(rule[1] * run.time_scale)} of runbook time"
        yield said(
            f"The condition of {rule[0]} must hold for {hold} before it fires.", record("alerts", "rules", number)
        )
    if whole is None and fired(run):
        yield said(f"How long each part of it took is {NOT_KNOWN}.", verdict("times"))


def _rules(run: Record) -> Iterator[tuple[int, tuple[str, float]]]:
    """The rules of the alerts that fired."""
    names = {sample.name for _, sample in fired(run).values()}
    for number, rule in enumerate(run.alerts.rules or ()):
        if rule.name in names:
            yield number, (rule.name, rule.hold)


def _rule_links(run: Record) -> tuple[Link, ...]:
    return (record("alerts", "states"), record("alerts", "rules"))


def _longest(times: Mapping[str, Time]) -> tuple[str, float] | None:
    """The longest part of the detection and its wall seconds. Its parts are all counted from the same instant."""
    parts = [
        (name.partition("/")[2], time.wall_seconds) for name, time in times.items() if name.startswith("detection/")
    ]
    if not parts:
        return None
    parts.sort(key=lambda part: part[1])
    own = [(parts[0][0], parts[0][1]), *((b[0], b[1] - a[1]) for a, b in pairwise(parts))]
    return max(own, key=lambda part: part[1])


def _why_no_plan(run: Record) -> Iterator[Said]:
    for number, load in enumerate(run.loads):
        yield said(f"This run came with {load.plan}.", record("loads", number, "plan"))
    where = load_links(run) if run.loads else (record("loads"),)
    yield said(f"How much more the system could have taken is {NOT_KNOWN}: its capacity was not measured.", *where)


# -- prevention ----------------------------------------------------------------------------------------------------


def prevention(run: Record, judgement: Judgement) -> Section:
    """What follows from the findings, the times and what was not seen: each action with its evidence."""
    actions = [
        *_mend_runbook(run),
        *_mend_queries(run),
        *_see_sooner(run, judgement),
        *_keep_promises(judgement),
        *_prove(run, judgement, incident(run)),
    ]
    none = said("Nothing in this run calls for an action.", verdict("findings"), verdict("checks"))
    return Section("Prevention", "prevention", (listed(*(actions or [none])),))


def _mend_runbook(run: Record) -> Iterator[Said]:
    for number, step in enumerate(run.steps):
        if step.finding and not step.skipped:
            yield said(
                f"Runbook: mend {step.source} ({step.name}), which does not work as written.",
                record("steps", number, "finding"),
                Link("report", "steps"),
            )
        if step.no_undo and not step.skipped:
            lacks = f"Runbook: write down the way back from {step.name}: {step.no_undo}"
            yield said(lacks if lacks.endswith(".") else f"{lacks}.", record("steps", number, "no_undo"))
        if not step.skipped and not worked(step):
            yield said(
                f"Runbook: {step.name} was not seen to have its effect; leave it out or mend it.",
                record("steps", number, "effects"),
            )


def _mend_queries(run: Record) -> Iterator[Said]:
    evidence, done = run.impact, reconcile(run)
    if evidence is None:
        return
    for number, query in enumerate(evidence.queries):
        stored = [answer for answer in query.answers if answer.form == "as-stored"][-1:]
        for at, answer in enumerate(query.answers):
            place = record("impact", "queries", number, "answers", at)
            if answer.problem:
                yield said(f"Runbook: mend the query at {query.source}: {answer.problem}.", place)
            elif stored and answer.form == "iso-8601" and answer.rows != stored[0].rows:
                filled = " and ".join(stored[0].parameters.values())
                yield said(f"Runbook: say at {query.source} that the bounds are written like {filled}, in UTC.", place)
    if done is not None and done.never_reached:
        yield said(
            f"Runbook: count what the proxy sees too: {done.never_reached} failures of users are in no request log.",
            *load_links(run),
        )
    if done is not None and done.of_others:
        places = [record("impact", "logged", evidence.logged.index(other)) for other in done.others]
        yield said("Runbook: leave health checks and probes out of the count of 503s.", *places)
    if done is not None and done.unexplained:
        places = [record("impact", "logged"), *load_links(run)]
        yield said(f"Find out where {done.unexplained} 503s come from that nothing accounts for.", *places)


def _see_sooner(run: Record, judgement: Judgement) -> Iterator[Said]:
    if incident(run) and run.alerts.read and not fired(run):
        yield said("Alerts: write a rule that sees this cause; none fired.", *_rule_links(run))
    whole, longest = judgement.times.get("detection"), _longest(judgement.times)
    if whole is not None and longest is not None and whole.wall_seconds and longest[1] > whole.wall_seconds / 2:
        yield said(
            f"Alerts: shorten the way to {longest[0]}, more than half of the time until people knew.",
            verdict("times", f"detection/{longest[0]}"),
        )
    for number, gap in enumerate(run.alerts.gaps):
        yield said(f"Monitoring: find out why {gap.source} did not answer.", record("alerts", "gaps", number))


def _keep_promises(judgement: Judgement) -> Iterator[Said]:
    for number in failed(judgement):
        checked = judgement.verdicts[number]
        place = verdict("checks", number)
        if checked.outcome is Outcome.FAIL:
            yield said(f"System: this was claimed and does not hold: {checked.claim} ({checked.observed}).", place)
        else:
            lacks = f"{checked.claim} ({checked.outcome.value}: {checked.observed})"
            yield said(f"Evidence: run it again so that this can be judged: {lacks}.", place)


def _prove(run: Record, judgement: Judgement, found: Incident | None) -> Iterator[Said]:
    time = judgement.times.get("recovery")
    cured = [(n, f) for n, f in enumerate(run.faults) if f.injected_at is not None and f.healed_at is not None]
    late = [(n, f) for n, f in cured if time and time.at is not None and f.healed_at and time.at > f.healed_at]
    if found and late:
        yield said(
            "Runbook: find a step that helps against this cause; users recovered only when it had ended.",
            verdict("times", "recovery"),
            *(record("faults", number, "healed_at") for number, _ in late),
        )
