"""Postmortem: what a team writes after an incident, told from the record of a run alone.

Every sentence names its evidence in the run's folder. What the record does not hold is said to be not known.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.judgement import Judgement
from harness.model.record import Record
from harness.model.verdict import Control, Outcome
from reports.cost import both, hurt, impact, incident, load_links, rows_counted, users, users_counted, utc
from reports.document import Document, Link, Said, Section, as_html, as_markdown, paragraph, record, said, verdict
from reports.lessons import prevention, whys
from reports.story import NOT_KNOWN, detection, fired, mitigation, nothing, old, timeline, worked
from reports.words import CONTROLS, why


def postmortem(run: Record, judgement: Judgement) -> Document:
    """The document. The same record and judgement give the same document, on any machine."""
    return Document(
        kind="postmortem",
        title=judgement.scenario,
        word=judgement.outcome.value,
        when=utc(run.began),
        sections=(
            Section("Summary", "summary", (paragraph(*_summary(run, judgement)),)),
            impact(run),
            timeline(run, judgement),
            detection(run, judgement),
            mitigation(run, judgement),
            nothing(run, judgement),
            whys(run, judgement),
            prevention(run, judgement),
        ),
    )


def render_markdown(run: Record, judgement: Judgement) -> str:
    """The postmortem as Markdown."""
    return as_markdown(postmortem(run, judgement))


def render_html(run: Record, judgement: Judgement) -> str:
    """The postmortem as one page."""
    return as_html(postmortem(run, judgement))


def _summary(run: Record, judgement: Judgement) -> Iterator[Said]:
    """One paragraph for somebody who was not there."""
    found = incident(run)
    if run.error:
        yield said(f"The harness itself broke in this run, so little of it is known: {run.error}.", record("error"))
    if run.control is not Control.NONE:
        yield said(CONTROLS[run.control], record("control"))
    if found is None:
        yield said(
            "Nothing happened in this run: no cause was put in and no alert fired.",
            record("faults"),
            record("alerts", "states"),
        )
    else:
        causes = [(n, fault) for n, fault in enumerate(run.faults) if fault.injected_at is not None]
        what = (
            " and ".join(fault.description for _, fault in causes)
            or f"an alert without a cause of ours ({found.began_by})"
        )
        yield said(
            f"On {utc(found.began)} an incident began: {what}.",
            *(record("faults", number, "injected_at") for number, _ in causes or []),
            *([] if causes else [record("alerts", "states")]),
        )
        yield from _cost(run)
        yield from _known(run)
        yield from _helped(run, judgement)
    place = Link("report", "claims")
    worse = judgement.outcome in (Outcome.UNKNOWN, Outcome.INVALID, Outcome.ERROR)
    caution = " What follows is therefore to be read with caution." if worse else ""
    yield said(
        f"The verdict on the run is {judgement.outcome.value}: {why(judgement)}{caution}", verdict("outcome"), place
    )


def _cost(run: Record) -> Iterator[Said]:
    counts, worst = users(run), hurt(run)
    if counts is None:
        yield said(f"What it cost users is {NOT_KNOWN}.", *load_links(run))
        return
    bad = counts.planned - counts.right
    lasted = f", over {both(run, worst[1].planned - worst[0].planned)}" if worst else ""
    counted, people = rows_counted(run), users_counted(run)
    logged = []
    links = list(load_links(run))
    if counted is not None and counted[0].count is not None:
        logged.append(f"{counted[0].count} answers of 503")
        links.append(counted[1])
    if people is not None and people[0].count is not None:
        logged.append(f"{people[0].count} users")
        links.append(people[1])
    by_log = f"; the request log counts {' and '.join(logged)}" if logged else ""
    yield said(f"Of {counts.planned} requests {bad} were not answered rightly{lasted}{by_log}.", *links)


def _known(run: Record) -> Iterator[Said]:
    found, alerts = incident(run), fired(run)
    if not run.alerts.read:
        yield said(f"Whether an alert saw it is {NOT_KNOWN}.", record("alerts", "read"))
    elif not alerts:
        yield said("No alert fired.", record("alerts", "states"))
    elif found is not None:
        fresh = [each for each in alerts.items() if not old(run, each[1][1])]
        if not fresh:
            yield said("No alert fired that was not pending before.", record("alerts", "states"))
            return
        name, (number, sample) = fresh[0]
        place = record("alerts", "states", number)
        yield said(f"The first alert, {name}, fired {both(run, sample.at - found.began)} later.", place)


def _helped(run: Record, judgement: Judgement) -> Iterator[Said]:
    tried = [(n, s) for n, s in enumerate(run.steps) if s.purpose == "mitigate" and not s.skipped]
    held = [(n, s) for n, s in tried if worked(s)]
    if tried:
        places = [record("steps", number) for number, _ in tried]
        yield said(f"{len(held)} of the {len(tried)} mitigating steps performed had their effect.", *places)
    else:
        yield said("No mitigating step was performed.", record("steps"))
    time = judgement.times.get("recovery")
    if time is None or time.at is None:
        yield said(f"Whether and when users recovered is {NOT_KNOWN}.", verdict("times"))
        return
    ends = [fault.healed_at for fault in run.faults if fault.injected_at is not None]
    before = bool(ends) and all(end is None or time.at <= end for end in ends)
    when = (
        "before the cause was taken out" if before else "after the cause had been taken out" if ends else "in the end"
    )
    yield said(f"Users were well again {when}, at {utc(time.at)}.", verdict("times", "recovery"))
