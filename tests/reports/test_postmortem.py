"""Postmortems: every sentence has evidence that is there, the same record gives the same text, nothing is invented."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import TypeAdapter

from harness import store
from harness.model.impact import ImpactEvidence, ImpactQuery, LoggedRequests, QueryAnswer
from harness.model.incident import incident_of
from harness.model.judgement import Judgement
from harness.model.record import AlertEvidence, MachineEvidence, MachineLook, Record
from harness.model.verdict import Control, Outcome, Verdict, worst
from reports import html
from reports.document import Document, Link, Said, as_html, as_markdown, said
from reports.document import record as pointer
from reports.postmortem import postmortem, render_html, render_markdown
from tests.reports import golden, outage
from tests.reports.test_reports import EVIL, _Page

Story = tuple[Record, Judgement]
SCRIPTS = "POST /api/generation/scripts"


def _run(control: Control = Control.NONE) -> Record:
    return outage.record(control, rate=16.0)


@cache
def _whole() -> Record:
    """The outage with what its request logs held: each 503 of a user has a row, and others have some too."""
    run = _run()
    incident = incident_of(run.faults, run.alerts, run.ended)
    assert incident is not None
    refused = [s for s in run.samples if s.status == 503]
    gone = sum(s.status == 0 for s in run.samples)
    rows = (
        _row("/api/generation/scripts", len(refused), nobody=0),
        _row("/api/generation/health", 12, nobody=12, method="GET"),
        _row("/api/generation/scripts", 4000, status=200, nobody=0),
    )
    bounds = "timestamp BETWEEN '${START_TIME}' AND '${END_TIME}'"
    sql = "SELECT COUNT(*) FROM api_logs\n WHERE status_code = 503 AND " + bounds  # noqa: S608 - nobody runs it
    users = sql.replace("COUNT(*)", "COUNT(DISTINCT user_id)").replace("= 503", ">= 500")
    impact = ImpactEvidence(
        incident=incident,
        databases=("generation:/data/generation.db", "project:/data/project.db"),
        began=incident.began,
        ended=incident.ended,
        resolution=0.001,
        queries=(
            ImpactQuery(text=sql, source="503-error-spike.md:236", answers=_answers(len(refused) + 12)),
            ImpactQuery(text=users, source="503-error-spike.md:238", answers=_answers(291)),
        ),
        logged=rows,
    )
    assert gone
    look = MachineLook(at=outage.BEGAN + 12, seconds=1.0, busy=1.4, ours=1.3)
    return replace(run, impact=impact, machine=MachineEvidence(cores=2, looks=(look,)))


def _row(path: str, count: int, *, nobody: int, status: int = 503, method: str = "POST") -> LoggedRequests:
    return LoggedRequests(
        database="generation:/data/generation.db", method=method, path=path, status=status,
        in_run=count, in_incident=count, nobody=nobody,
    )  # fmt: skip


def _answers(count: int) -> tuple[QueryAnswer, ...]:
    stored = {"START_TIME": "2026-01-01 00:00:09.000", "END_TIME": "2026-01-01 00:00:30.000"}
    iso = {"START_TIME": "2026-01-01T00:00:09Z", "END_TIME": "2026-01-01T00:00:30Z"}
    return (
        QueryAnswer(database="generation:/data/generation.db", form="as-stored", parameters=stored, rows=((count,),)),
        QueryAnswer(
            database="project:/data/project.db", form="as-stored", parameters=stored, problem="no such table: x"
        ),
        QueryAnswer(database="all", form="as-stored", parameters=stored, rows=((count,),)),
        QueryAnswer(database="all", form="iso-8601", parameters=iso, rows=((0,),)),
    )


def _outcome(outcome: Outcome) -> Judgement:
    return outage.judgement(Verdict(claim="users recovered", outcome=outcome, observed="for a reason"))


def _two_faults() -> Record:
    run = _whole()
    (first,) = run.faults
    second = replace(first, window="redis frozen", description="redis frozen", injected_at=outage.BEGAN + 12.0)
    return replace(run, faults=(first, second))


def _alert_alone() -> Record:
    """Nothing was put in, and an alert fired."""
    return replace(_run(), faults=(), steps=())


STORIES: dict[str, Callable[[], Story]] = {
    "pass": lambda: (_whole(), outage.judgement()),
    "fail": lambda: (_whole(), _outcome(Outcome.FAIL)),
    "unknown": lambda: (_whole(), _outcome(Outcome.UNKNOWN)),
    "invalid": lambda: (_whole(), _outcome(Outcome.INVALID)),
    "error": lambda: (outage.empty(), outage.broke()),
    "no fault": lambda: (_run(Control.NO_FAULT), outage.failed()),
    "no mitigation": lambda: (_run(Control.NO_MITIGATION), outage.failed()),
    "before there was impact": lambda: (_run(), outage.judgement()),
    "two faults": lambda: (_two_faults(), outage.judgement()),
    "no steps": lambda: (replace(_whole(), steps=()), outage.judgement(findings=False)),
    "no alert": lambda: (
        replace(_whole(), alerts=AlertEvidence(read=True, notifications_read=True)),
        outage.judgement(),
    ),
    "Prometheus not read": lambda: (replace(_whole(), alerts=AlertEvidence()), outage.judgement()),
    "no load": lambda: (replace(_whole(), loads=(), samples=()), replace(outage.judgement(), times={})),
    "samples lost": lambda: (replace(_whole(), samples=()), replace(outage.judgement(), times={})),
    "an alert alone": lambda: (_alert_alone(), outage.judgement()),
    "no log": lambda: (
        replace(_whole(), impact=ImpactEvidence(incident=None, databases=(), problems=("no such file",))),
        outage.judgement(),
    ),
}
every_story = pytest.mark.parametrize("story", STORIES)


def _dead(links: Iterable[Link], run: Record, judgement: Judgement) -> list[str]:
    """The links that lead nowhere, in the files as they are saved."""
    files: dict[str, Any] = {
        "record": json.loads(TypeAdapter(Record).dump_json(replace(run, samples=()))),
        "verdict": json.loads(store.verdict_json(judgement)),
        "report": {value: "" for name, value in _Page(html.render(run, judgement)).attributes if name == "id"},
    }
    return [link.said for link in links if not _leads(files[link.place], link.pointer)]


def _leads(found: Any, pointer: str) -> bool:
    for step in pointer.split("/") if pointer else ():
        key = step.replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (LookupError, TypeError, ValueError):
            return False
    return True


@every_story
def test_every_sentence_has_evidence_that_is_there(story: str) -> None:
    """Each sentence and each row of a table names evidence, and every link leads to something in the run's folder."""
    run, judgement = STORIES[story]()
    document = postmortem(run, judgement)
    spoken = list(document.everything_said())
    assert len(spoken) > 15
    links = {link for one in spoken for link in one.links}
    assert not _dead(links, run, judgement)
    assert all(one.links for one in spoken)


@every_story
def test_every_part_is_there_and_says_something(story: str) -> None:
    """Each section has something to say, ends its sentences, and is found by its anchor."""
    document = postmortem(*STORIES[story]())
    titles = [section.title for section in document.sections]
    assert titles == [
        "Summary", "Impact", "Timeline", "What detected it", "What mitigated it", "What did nothing", "Five whys",
        "Prevention",
    ]  # fmt: skip
    for section in document.sections:
        sentences = [one for block in section.blocks for one in block.said]
        assert sentences, section.title
        for block in section.blocks:
            assert block.kind == "table" or all(one.text.rstrip()[-1] in ".?!" for one in block.said), section.title
            assert all(len(one.cells) == (len(block.head) or 1) for one in block.said)


@every_story
def test_the_same_record_gives_the_same_text(story: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte, whatever the environment and its time zone are."""
    run, judgement = STORIES[story]()
    once = render_markdown(run, judgement), render_html(run, judgement)
    monkeypatch.setenv("TZ", "Asia/Seoul")
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    again = replace(run, events=run.events)
    assert (render_markdown(again, judgement), render_html(again, judgement)) == once


@every_story
def test_the_page_needs_nothing_else(story: str) -> None:
    """The page is well-formed, runs nothing, and its links lead to files beside it."""
    text = render_html(*STORIES[story]())
    page = _Page(text)
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(page.names)
    asked = [value for name, value in page.attributes if name in {"src", "href"}]
    assert all(re.match(r"(record\.json|verdict\.json|report\.html)(#|$)", value) for value in asked)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("story", ["pass", "error", "no fault"])
def test_golden(story: str) -> None:
    """The postmortem reads as it did when somebody last read it."""
    name = f"postmortem-{story.replace(' ', '-')}"
    golden.check(f"{name}.md", render_markdown(*STORIES[story]()))
    if story == "pass":
        golden.check(f"{name}.html", render_html(*STORIES[story]()))


def _text(story: str) -> str:
    return as_plain(postmortem(*STORIES[story]()))


def as_plain(document: Document) -> str:
    return "\n".join(" | ".join(one.cells) for one in document.everything_said())


@pytest.mark.parametrize(
    ("story", "says"),
    [
        ("pass", "exactly the rows that the log has"),
        ("pass", "No 503 is left unexplained."),
        ("pass", "12 of them were on requests that no user makes"),
        ("pass", "12 rows with a status of 500 or more name no user"),
        ("pass", "in ISO 8601 query 1 answers 0 and not"),
        ("pass", "error: no such table: x"),
        ("pass", "The machine on which all of it ran used 1.4 of its 2 cores"),
        ("pass", "Why is there no better capacity plan?"),
        ("pass", "before the cause was taken out"),
        ("pass", "within its deadline of 30 s"),
        ("fail", "System: this was claimed and does not hold: users recovered (for a reason)."),
        ("unknown", "Evidence: run it again so that this can be judged: users recovered (UNKNOWN: for a reason)."),
        ("invalid", "to be read with caution"),
        ("error", "The harness itself broke in this run"),
        ("error", "There was no incident in this run"),
        ("no fault", "it was left out by the control"),
        ("no mitigation", "The step openai-circuit-breaker was left out of this run."),
        ("before there was impact", "nobody read it"),
        ("two faults", "outage of openai (down) and redis frozen"),
        ("no steps", "No mitigating step was performed."),
        ("no alert", "Nothing detected it: no alert fired"),
        ("no alert", "Alerts: write a rule that sees this cause; none fired."),
        ("Prometheus not read", "What detected it is not known from this run"),
        ("no load", "What users would have got is not known from this run: no load was on."),
        ("no load", "Whether and when users recovered is not known from this run"),
        ("samples lost", "the samples are not here"),
        ("samples lost", "There are no samples of the load generator to hold the log against."),
        ("an alert alone", "an alert without a cause of ours (HTTP503ErrorSpike pending)"),
        ("an alert alone", "The cause is not known from this run: none was put in."),
        ("no log", "The request log could not be read in full: no such file."),
    ],
)
def test_what_is_known_is_said_and_what_is_not_as_well(story: str, says: str) -> None:
    """Each kind of run says what it shows, and that the rest is not known."""
    assert says in _text(story)


def test_an_unexplained_rest_is_printed() -> None:
    """Answers that are in no row stand in the summary of the comparison, in the table, and among the actions."""
    run = _whole()
    assert run.impact is not None
    short = replace(run.impact.logged[0], in_incident=run.impact.logged[0].in_incident - 3, in_run=0)
    impact = replace(run.impact, logged=(short, *run.impact.logged[1:]))
    text = as_plain(postmortem(replace(run, impact=impact), outage.judgement()))
    assert "3 503s are left unexplained." in text
    assert "UNEXPLAINED: 3 that users got are in no row" in text
    assert "Find out where 3 503s come from" in text
    assert "but the log has" in text  # the runbook's own count is another now


def test_recovery_after_the_cause_is_no_steps_merit() -> None:
    """Where users recovered only after the cause was gone, no step is said to have brought them back."""
    run, judgement = STORIES["pass"]()
    times = {**judgement.times, "recovery": replace(judgement.times["recovery"], at=outage.BEGAN + outage.HEALED + 1)}
    text = as_plain(postmortem(run, replace(judgement, times=times)))
    assert "nothing shows that a step did it" in text
    assert "find a step that helps against this cause" in text


def test_an_alert_that_was_pending_before_tells_of_something_else() -> None:
    """An alert that was pending before the incident began is not said to have detected it."""
    run, judgement = STORIES["pass"]()
    early = tuple(replace(state, active_since=outage.BEGAN + 2) for state in run.alerts.states)
    text = as_plain(postmortem(replace(run, alerts=replace(run.alerts, states=early)), judgement))
    assert "it tells of something else" in text
    assert "No alert fired that was not pending before." in text


def test_hostile_text_stays_text() -> None:
    """Text of a stranger, wherever it comes from, turns into no element, no attribute and no link."""
    run, judgement = STORIES["pass"]()
    assert run.impact is not None
    step = replace(run.steps[0], name=EVIL, source=EVIL, finding=EVIL, accepted=EVIL, no_undo=EVIL)
    row = replace(run.impact.logged[1], path=EVIL)
    answer = replace(run.impact.queries[0].answers[0], problem=EVIL, rows=())
    query = replace(run.impact.queries[0], source=EVIL, answers=(answer,))
    impact = replace(run.impact, logged=(run.impact.logged[0], row), queries=(query,), problems=(EVIL,))
    census = {f"scale {EVIL}": EVIL}
    evil = replace(run, steps=(step,), impact=impact, census_before=census, census_after=census, error=EVIL)
    evil = replace(evil, faults=(replace(run.faults[0], description=EVIL),))
    bad = Verdict(claim=EVIL, outcome=Outcome.FAIL, observed=EVIL)
    judged = replace(judgement, scenario=EVIL, verdicts=(bad,), outcome=worst([bad.outcome]))
    page = _Page(render_html(evil, judged))
    assert EVIL in page.text
    assert {"script", "img"}.isdisjoint(page.names)
    assert [name for name, _ in page.attributes if name.startswith("on")] == []
    text = render_markdown(evil, judged)
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(http", text)
    links = {link for one in postmortem(evil, judged).everything_said() for link in one.links}
    assert not _dead(links, evil, judged)
    for link in links:
        assert not re.search(r"[\s()<>]", link.href.replace("%28", "")), link.href


def test_nothing_is_said_without_evidence() -> None:
    """A sentence without evidence can't even be made."""
    with pytest.raises(ValueError, match="without evidence"):
        said("So it was.")
    assert Said(("a", "b"), (pointer("began"),)).text == "a"


def test_a_pointer_survives_any_key() -> None:
    """A key with a slash, a tilde, a space or a bracket is found by its pointer, in a link that Markdown keeps."""
    link = pointer("census_before", "a/b ~(c)")
    assert link.pointer == "census_before/a~1b ~0(c)"
    assert unquote(link.href) == "record.json#/census_before/a~1b ~0(c)"
    assert "(" not in link.href


def test_a_document_is_both() -> None:
    """Markdown and page say the same sentences."""
    document = postmortem(*STORIES["pass"]())
    text, page = as_markdown(document), _Page(as_html(document)).text
    for one in document.everything_said():
        assert " ".join(one.cells[0].split()) in " ".join(page.split())
        assert one.links[0].href in text
