"""Cost: what an incident cost its users, by the runbook's queries and by the load generator, and how the two agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from harness.model.impact import ImpactEvidence, ImpactQuery, Incident, LoggedRequests, QueryAnswer
from harness.model.incident import incident_of
from harness.model.load import Sample
from harness.model.record import Record
from harness.model.timeline import Span
from harness.model.units import say_duration
from reports.bins import Bin, summed
from reports.document import Block, Link, Said, Section, listed, paragraph, record, row, said
from reports.reconciliation import REFUSED, Compared, Reconciliation, reconcile, whole_run

ALL = "all"
FORMS = {"as-stored": "as the table has it", "whole-seconds": "in whole seconds", "iso-8601": "in ISO 8601"}
_ROWS = re.compile(rf"count\s*\(\s*\*\s*\).*\b{REFUSED}\b", re.IGNORECASE | re.DOTALL)
_USERS = re.compile(r"count\s*\(\s*distinct\b", re.IGNORECASE)


def incident(run: Record) -> Incident | None:
    """The incident of `run`: as it was when the queries were asked, or told anew where nobody asked."""
    return run.impact.incident if run.impact else incident_of(run.faults, run.alerts, run.ended)


def utc(at: float) -> str:
    """An instant as a person reads it: `2026-01-02 03:04:05.678 UTC`."""
    return datetime.fromtimestamp(round(at, 3), UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def both(run: Record, wall: float) -> str:
    """A duration in runbook time, and in wall time where that is another."""
    own = say_duration(wall)
    return own if run.time_scale == 1 else f"{say_duration(wall * run.time_scale)} of runbook time ({own} wall)"


def load_links(run: Record) -> tuple[Link, ...]:
    """Where the load generator's account is; the empty list where there is none."""
    return tuple(record("loads", number) for number in range(len(run.loads))) or (record("loads"),)


def users(run: Record) -> Bin | None:
    """What became of the requests planned within the incident; None without an incident or samples."""
    found = incident(run)
    if found is None or not run.samples:
        return None
    samples = run.during([Span(name="incident", kind="fault", began=found.began, ended=found.ended)])
    return summed(samples, found.began, found.ended, len(samples))


def hurt(run: Record) -> tuple[Sample, Sample] | None:
    """The first and the last request, planned since the incident began, that was not answered rightly."""
    found = incident(run)
    bad = [s for s in run.samples if found and s.planned >= found.began and not (s.ok and s.ended is not None)]
    return (min(bad, key=lambda s: s.planned), max(bad, key=lambda s: s.planned)) if bad else None


def rows_counted(run: Record) -> tuple[QueryAnswer, Link] | None:
    """What the runbook's own count of 503s came to, and where that stands."""
    return _counted(run, _ROWS)


def users_counted(run: Record) -> tuple[QueryAnswer, Link] | None:
    """What the runbook's own count of users came to, and where that stands."""
    return _counted(run, _USERS)


def _counted(run: Record, wanted: re.Pattern[str]) -> tuple[QueryAnswer, Link] | None:
    for number, query in enumerate(run.impact.queries if run.impact else ()):
        stored = [(at, answer) for at, answer in enumerate(query.answers) if answer.form == "as-stored"]
        if wanted.search(query.text) and stored:
            at, answer = stored[-1]  # of all databases, where there are several
            return answer, record("impact", "queries", number, "answers", at)
    return None


def impact(run: Record) -> Section:
    """The section on impact."""
    found = incident(run)
    if found is None:
        nothing = said(
            "There was no incident in this run: no fault was put in and no alert fired, so there is nothing to count.",
            record("faults"),
            record("alerts", "states"),
        )
        return Section("Impact", "impact", (paragraph(nothing), listed(*_not_read(run))))
    blocks = [paragraph(_bounds(run, found), *_by_load(run))]
    if run.impact is not None and run.impact.queries:
        blocks += [_answers(run.impact), *_reconciled(run, run.impact)]
    return Section("Impact", "impact", (*blocks, listed(*_not_read(run), *_traps(run))))


def _bounds(run: Record, found: Incident) -> Said:
    began, ended = (record("alerts", "states"),) * 2
    for number, fault in enumerate(run.faults):
        began = record("faults", number, "injected_at") if fault.injected_at == found.began else began
        ended = record("faults", number, "healed_at") if fault.healed_at == found.ended else ended
    return said(
        f"The incident is counted from {utc(found.began)} ({found.began_by}) to {utc(found.ended)} "
        f"({found.ended_by}): {both(run, found.ended - found.began)}.",
        began,
        record("ended") if found.ended == run.ended else ended,
    )


def _by_load(run: Record) -> Iterator[Said]:
    counts, links = users(run), load_links(run)
    if counts is None:
        why = "the samples are not here" if run.loads else "no load was on"
        yield said(f"What users would have got is not known from this run: {why}.", *links)
        return
    yield said(
        f"Of the {counts.planned} requests that the load generator planned within it, {counts.right} were answered "
        f"rightly, {counts.refused} got a 503, {counts.failed} failed in another way and {counts.unanswered} were "
        "never answered.",
        *links,
    )
    worst = hurt(run)
    if worst is None:
        yield said("No request failed since it began.", *links)
        return
    first, last = worst
    lasted = both(run, last.planned - first.planned)
    yield said(f"Requests failed from {utc(first.planned)} on, the last of them planned {lasted} later.", *links)


def _not_read(run: Record) -> Iterator[Said]:
    """What the request log could not tell, and why."""
    if run.impact is None:
        yield said(
            "What the system's own request log says is not known from this run: nobody read it (`impact` in the "
            "topology's x-gameday says where it is).",
            Link("record"),
        )
        return
    for number, problem in enumerate(run.impact.problems):
        yield said(f"The request log could not be read in full: {problem}.", record("impact", "problems", number))
    if run.impact.incident and not run.impact.queries and not run.impact.problems:
        yield said("The runbook has no SQL that asks for the impact of an incident.", record("impact", "queries"))
    if run.impact.left_out:
        left = f"{run.impact.left_out} rows of the run are of kinds that the record does not keep"
        yield said(f"{left}, so no count of rows here is whole.", record("impact", "left_out"))


def _answers(evidence: ImpactEvidence) -> Block:
    rows = [
        row(
            f"{number + 1} ({query.source})",
            "all of them together" if answer.database == ALL else answer.database,
            " to ".join(answer.parameters.values()),
            FORMS[answer.form],
            _answered(answer),
            of=(record("impact", "queries", number, "answers", at),),
        )
        for number, query in enumerate(evidence.queries)
        for at, answer in enumerate(query.answers)
    ]
    return Block("table", tuple(rows), ("query of the runbook", "asked of", "bounds", "written", "answer"))


def _answered(answer: QueryAnswer) -> str:
    if answer.problem:
        return f"error: {answer.problem}"
    return "; ".join(", ".join("NULL" if cell is None else str(cell) for cell in cells) for cells in answer.rows)


# -- the two counts held against each other ----------------------------------------------------------------------


def _reconciled(run: Record, evidence: ImpactEvidence) -> Iterator[Block]:
    done = reconcile(run)
    if done is None:
        missing = "No row of the request log could be read, so the counts can't be held against each other."
        yield listed(said(missing, record("impact", "logged")))
        return
    yield listed(*_agreement(run, done))
    links = (record("impact", "logged"), *load_links(run))
    if not run.samples:
        yield listed(said("There are no samples of the load generator to hold the log against.", *links))
        return
    rows = [
        row(each.name, str(each.logged), str(each.planned), _expected(each), _why(each, done), of=links)
        for each in done.compared
        if each.logged or each.planned or each.inside or each.edge
    ]
    rows += [
        row(f"{o.method} {o.path}", str(o.in_incident), "0", "0", "not asked by users", of=(_at(evidence, o),))
        for o in done.others
    ]
    head = ("503s on", "rows in the log", "planned by the load", "of which in the log must be", "the difference")
    yield Block("table", tuple(rows), head)
    yield listed(*_conclusion(run, done, links))


def _at(evidence: ImpactEvidence, one: LoggedRequests) -> Link:
    return record("impact", "logged", evidence.logged.index(one))


def _expected(each: Compared) -> str:
    return str(each.inside) if not each.edge else f"{each.inside} to {each.inside + each.edge}"


def _why(each: Compared, done: Reconciliation) -> str:
    parts = []
    if each.edge:
        parts.append(f"{each.edge} were under way at one end of the incident")
    if each.turned_away:
        parts.append(f"{each.turned_away} never reached a service: the proxy answered them itself")
    if each.in_no_row and done.in_no_row <= done.lost:
        parts.append(f"{each.in_no_row} that users got are in no row: services say that they lost {done.lost} rows")
    elif each.in_no_row:
        parts.append(f"UNEXPLAINED: {each.in_no_row} that users got are in no row, and no proxy says that it gave them")
    if each.given_up:
        parts.append(f"{each.given_up} may have been for users who had given up, or got a 502 or 504, by then")
    if each.for_nobody:
        parts.append(f"UNEXPLAINED: {each.for_nobody} rows are for nobody that the record knows")
    return "; ".join(parts) or "none"


def _agreement(run: Record, done: Reconciliation) -> Iterator[Said]:
    """Whether the runbook's query counts what is in the table."""
    counted = rows_counted(run)
    if counted is None:
        yield said("None of the runbook's queries counts 503s.", record("impact", "queries"))
        return
    answer, link = counted
    links = (link, record("impact", "logged"))
    if answer.count is None:
        yield said(f"The runbook's count of 503s is not known: {answer.problem or 'no number came back'}.", *links)
    elif answer.count == done.logged:
        yield said(f"The runbook's query counts {answer.count} 503s, exactly the rows that the log has.", *links)
    else:
        yield said(
            f"The runbook's query counts {answer.count} 503s, but the log has {done.logged} rows of them.", *links
        )


def _conclusion(run: Record, done: Reconciliation, links: tuple[Link, ...]) -> Iterator[Said]:
    yield said(
        f"Of the {done.logged} logged 503s {done.logged - done.of_others} were on requests that users make and "
        f"{done.of_others} on others; {done.planned} requests that the load planned within the incident got one.",
        *links,
    )
    turned = sum(each.turned_away for each in done.compared)
    if turned:
        yield said(
            f"{turned} of the load generator's 503s never reached a service, and no query of its log can count them.",
            record("impact", "turned_away"),
            *load_links(run),
        )
    if done.not_kept:
        yield said(
            f"{done.not_kept} of the load generator's 503s may be among the {done.lost} rows that services say they "
            "could not keep: no query of a log counts what the log had lost.",
            record("impact", "lost"),
            *load_links(run),
        )
    left = f"{done.unexplained} 503s are left unexplained." if done.unexplained else "No 503 is left unexplained."
    yield said(left, *links)
    whole = whole_run(run)
    if whole is not None:
        rest = f"{whole.unexplained}" if whole.unexplained else "none"
        yield said(f"Over the whole run, where no request is cut by a bound, {rest} of them is unexplained.", *links)


# -- what the queries, right as they are, don't tell ---------------------------------------------------------------


def _traps(run: Record) -> Iterator[Said]:
    evidence, done = run.impact, reconcile(run)
    if evidence is None or done is None:
        return
    for number, query in enumerate(evidence.queries):
        yield from _forms(number, query)
    if done.of_others:
        yield said(
            f"The count of 503s is not one of users' requests alone: {done.of_others} of them were on requests that no "
            "user makes (health checks, probes, operators, faults).",
            *(_at(evidence, other) for other in done.others),
        )
    nobody = [each for each in evidence.logged if each.nobody and each.status >= 500]
    if nobody:
        yield said(
            f"{sum(each.nobody for each in nobody)} rows with a status of 500 or more name no user, and "
            "COUNT(DISTINCT) leaves them out: the number of users is a lower bound.",
            *(_at(evidence, each) for each in nobody),
        )
    if done.never_reached:
        yield said(
            f"{done.never_reached} requests of users within the incident were refused, cut, or ended by a proxy with "
            "502 or 504: such an end is in no row, so no query of the log counts it.",
            *load_links(run),
        )
    if len(evidence.databases) > 1:
        yield said(
            f"There are {len(evidence.databases)} request logs, and the runbook does not say which to ask; here they "
            "were asked one by one and all together.",
            record("impact", "databases"),
        )


def _forms(number: int, query: ImpactQuery) -> Iterator[Said]:
    """What the same query says where an operator writes the same bounds in another way."""
    stored = [(at, answer) for at, answer in enumerate(query.answers) if answer.form == "as-stored"]
    for at, answer in enumerate(query.answers):
        if not stored or answer.form == "as-stored" or answer.rows == stored[-1][1].rows:
            continue
        place = ("impact", "queries", number, "answers")
        yield said(
            f"The runbook does not say how to write the bounds: with the same instants {FORMS[answer.form]} query "
            f"{number + 1} answers {_answered(answer)} and not {_answered(stored[-1][1])}, without an error.",
            record(*place, at),
            record(*place, stored[-1][0]),
        )
