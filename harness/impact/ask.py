"""Ask: the runbook's own queries, put to the system's request logs at the end of a run."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from harness.clock import Clock
from harness.errors import HarnessError
from harness.impact.door import Door, turned_away
from harness.impact.log import ALL, Columns, answer, kinds, newest, opened, steady
from harness.impact.stamps import ISO_8601, Form, form_of
from harness.model.impact import ImpactEvidence, ImpactQuery, Incident, LoggedRequests, QueryAnswer
from harness.sandbox.base import HasFiles, HasLogs

# Logs are written behind the answers, in batches: they are read once they have stopped growing. Wall seconds.
APART = 0.5
AT_MOST = 5.0
# How far from the run the newest row may lie; anything further is another time zone than UTC, or another day's log.
STALE = 900.0
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}|\$(\w+)")


class Query(Protocol):
    """A statement of the runbook and its place."""

    @property
    def text(self) -> str: ...

    @property
    def source(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of whom: `databases` are files inside services, by `SERVICE:/PATH`; `began` and `ended` are what
    the queries call the incident's bounds. Queries that name neither are not about an incident. `door` is a proxy that
    may answer without any of the services (None: there is none, or it does not say). `lost` finds, with the group
    `rows`, the lines in which a service says how many rows it could not keep (empty: it never says so)."""

    databases: Mapping[str, tuple[str, str]]
    columns: Columns
    queries: Sequence[Query]
    began: str
    ended: str
    door: Door | None = None
    lost: str = ""


def ask(
    sandbox: object, clock: Clock, question: Question, incident: Incident | None, run: tuple[float, float]
) -> ImpactEvidence:
    """The evidence for the incident of a run that lasted from `run[0]` to `run[1]`. Call it when the load has ended.
    Never raises: what can't be read is said in `problems`, in the answers, or both."""
    empty = ImpactEvidence(incident=incident, databases=tuple(question.databases))
    if not isinstance(sandbox, HasFiles):
        return replace(empty, problems=("this sandbox has no files to read",))
    try:
        files = {name: sandbox.path(*place) for name, place in question.databases.items()}
    except HarnessError as problem:
        return replace(empty, problems=(str(problem.args[0]),))
    problems: list[str] = []
    form, files = _form(files, question.columns, run, problems)
    if form is None:
        return replace(empty, problems=tuple(problems))
    bounds = (incident.began, incident.ended) if incident else (run[1], run[0])  # the wrong way round: holds no row
    spans = (form.write(run[0]), form.write(run[1])), (form.write(bounds[0]), form.write(bounds[1]))
    settled, before = steady(lambda: _kinds(files, question.columns, spans), clock.sleep, apart=APART, at_most=AT_MOST)
    queries = tuple(_asked(files, question, form, incident)) if incident else ()
    after = _kinds(files, question.columns, spans)
    if not settled or after != before:
        problems.append(f"rows of this run were still being written {AT_MOST:g} s after its end")
    turned, trouble = turned_away(sandbox, question.door, run, bounds) if question.door else ((), "")
    if trouble and question.door:
        problems.append(f"what {question.door.service} answered by itself is not known: {trouble}")
    gone = dict(_lost(sandbox, question, problems))
    began, ended = (form.read(stamp) if incident else None for stamp in spans[1])
    return replace(
        empty,
        began=began,
        ended=ended,
        resolution=form.resolution,
        queries=queries,
        logged=after.rows,
        turned_away=turned,
        lost=gone,
        left_out=after.left_out,
        problems=(*problems, *after.problems),
    )


def _lost(sandbox: object, question: Question, problems: list[str]) -> Iterator[tuple[str, int]]:
    """How many rows of each database its service says it could not keep; none where nobody would say so."""
    for name, (service, _) in question.databases.items() if question.lost else ():
        try:
            log = sandbox.log(service) if isinstance(sandbox, HasLogs) else None
        except HarnessError:
            log = None
        if log is None:
            problems.append(f"{name}: whether rows were lost is not known: {service} has no log to read")
        else:
            yield name, sum(int(found["rows"]) for found in re.finditer(question.lost, log, re.MULTILINE))


def _form(
    files: Mapping[str, Path], columns: Columns, run: tuple[float, float], problems: list[str]
) -> tuple[Form | None, dict[str, Path]]:
    """The one form of all logs' timestamps, and the logs that have it; None, with the reason, where they can't be
    filled in with certainty."""
    forms: dict[str, Form] = {}
    for name, path in files.items():
        try:
            with opened({name: path}, columns) as connection:
                stamp = newest(connection, columns)
        except sqlite3.Error as error:
            problems.append(f"{name}: {error}")
            continue
        if stamp is None:
            problems.append(f"{name}: {columns.table} holds no row")
            continue
        form = form_of(stamp)
        if form is None:
            problems.append(f"{name}: {stamp!r} in {columns.at} is no instant in a form that is known")
        elif not run[0] - STALE < form.read(str(stamp)) < run[1] + STALE:
            problems.append(f"{name}: the newest row is stamped {stamp}, which in UTC is far from this run")
        else:
            forms[name] = form
    if len(set(forms.values())) > 1:
        problems.append("the request logs keep their instants in different forms")
        return None, {}
    return next(iter(forms.values()), None), {name: path for name, path in files.items() if name in forms}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One look at all logs."""

    rows: tuple[LoggedRequests, ...]
    left_out: int
    problems: tuple[str, ...]


def _kinds(files: Mapping[str, Path], columns: Columns, spans: tuple[tuple[str, str], tuple[str, str]]) -> _Seen:
    found: list[LoggedRequests] = []
    problems: list[str] = []
    left = 0
    for name, path in files.items():
        try:
            with opened({name: path}, columns) as connection:
                own, more = kinds(connection, columns, name, *spans)
        except sqlite3.Error as error:
            problems.append(f"{name}: {error}")
            continue
        found += own
        left += more
    return _Seen(rows=tuple(found), left_out=left, problems=tuple(problems))


def _asked(files: Mapping[str, Path], question: Question, form: Form, incident: Incident) -> Iterator[ImpactQuery]:
    """Every query that names a bound, asked of each database; where there are several, of all of them together too.
    Of the whole it is asked once more for each other form in which an operator may fill in an instant."""
    asked = {name: {name: path} for name, path in files.items()}
    if len(files) > 1:
        asked[ALL] = dict(files)
    others: dict[Literal["whole-seconds", "iso-8601"], Form] = {
        "whole-seconds": replace(form, digits=0),
        "iso-8601": ISO_8601,
    }

    def filled(by: Form) -> dict[str, str]:
        return {question.began: by.write(incident.began), question.ended: by.write(incident.ended)}

    for query in question.queries:
        if not {question.began, question.ended} & _named(query.text):
            continue
        text = query.text
        answers = [_answer(name, which, question, text, "as-stored", filled(form)) for name, which in asked.items()]
        last = list(asked)[-1]
        for called, other in others.items():
            if not form.per_second and other != form:
                answers.append(_answer(last, asked[last], question, text, called, filled(other)))
        yield ImpactQuery(text=query.text, source=query.source, answers=tuple(answers))


def _answer(
    name: str,
    files: Mapping[str, Path],
    question: Question,
    text: str,
    form: Literal["as-stored", "whole-seconds", "iso-8601"],
    parameters: Mapping[str, str],
) -> QueryAnswer:
    """The query with its parameters filled in as a shell would, and what came back."""
    empty = QueryAnswer(database=name, form=form, parameters=parameters)
    if unfilled := sorted(_named(text) - parameters.keys()):
        return replace(empty, problem=f"nobody fills in {', '.join(unfilled)}")
    filled = _PLACEHOLDER.sub(lambda found: parameters[found[1] or found[2]], text)
    try:
        with opened(files, question.columns) as connection:
            return replace(empty, rows=answer(connection, filled))
    except (sqlite3.Error, sqlite3.Warning) as error:
        return replace(empty, problem=str(error))


def _named(text: str) -> set[str]:
    return {found[1] or found[2] for found in _PLACEHOLDER.finditer(text)}
