"""The runbook's own queries, asked of real SQLite files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.impact.ask import Question, ask
from harness.impact.door import Door, turned_away
from harness.model.impact import ImpactEvidence, Incident
from harness.testing import FakeClock
from tests.impact.request_logs import BEGAN, RUNBOOK, Files, question, stamp, write

INCIDENT = Incident(began=BEGAN + 10, began_by="the first fault", ended=BEGAN + 20, ended_by="the end of the fault")
RUN = (BEGAN, BEGAN + 60)


def _ask(folder: Path, asked: Question, incident: Incident | None = INCIDENT) -> ImpactEvidence:
    return ask(Files(folder), FakeClock(start=RUN[1]), asked, incident, RUN)


def _shop(folder: Path) -> None:
    write(
        folder / "a.db",
        [
            (9.9995, "GET", "/orders/1", 503, "ann"),  # written as 9.999: before it
            (10.0, "GET", "/orders/1", 503, "ann"),
            (12.0, "GET", "/orders/2", 503, "bob"),
            (13.0, "GET", "/orders/2", 500, None),
            (20.0, "GET", "/health", 503, None),
            (20.001, "GET", "/orders/1", 503, "cyd"),  # after it
            (50.0, "GET", "/orders/1", 200, "ann"),
        ],
    )


def test_the_queries_are_asked_as_written(tmp_path: Path) -> None:
    """Each query is put with its bounds in the table's own form, both included, and its text is the runbook's."""
    _shop(tmp_path)
    evidence = _ask(tmp_path, question("a.db"))
    refused, users = evidence.queries
    assert (refused.source, users.source) == ("outage.md:7", "outage.md:9")
    assert all(query.text in RUNBOOK for query in evidence.queries)
    assert refused.answers[0].parameters == {"FROM": "2026-01-01 00:00:10.000", "TO": "2026-01-01 00:00:20.000"}
    assert (refused.answers[0].count, users.answers[0].count) == (3, 2)
    assert evidence.problems == ()


def test_the_rows_by_kind_are_those_that_the_query_counts(tmp_path: Path) -> None:
    """What is kept of the log adds up to what the runbook's query counts, and tells rows without a user."""
    _shop(tmp_path)
    evidence = _ask(tmp_path, question("a.db"))
    assert sum(row.in_incident for row in evidence.logged if row.status == 503) == evidence.queries[0].answers[0].count
    assert sum(row.in_run for row in evidence.logged) == 7
    assert {(row.path, row.nobody) for row in evidence.logged if row.nobody} == {("/orders/2", 1), ("/health", 1)}


def test_other_ways_to_write_the_bounds_are_tried(tmp_path: Path) -> None:
    """ISO 8601 finds nothing in a table that writes a space, and whole seconds lose what comes after the last one."""
    _shop(tmp_path)
    write(tmp_path / "a.db", [(20.0, "GET", "/orders/1", 503, "dan")])
    late = Incident(began=BEGAN + 10, began_by="", ended=BEGAN + 20.5, ended_by="")
    answers = {answer.form: answer.count for answer in _ask(tmp_path, question("a.db"), late).queries[0].answers}
    assert answers == {"as-stored": 5, "whole-seconds": 3 - 1, "iso-8601": 0}


def test_several_logs_are_asked_one_by_one_and_together(tmp_path: Path) -> None:
    """A user who is in two logs is counted once where both are asked together."""
    _shop(tmp_path)
    write(tmp_path / "b.db", [(11.0, "GET", "/carts", 503, "ann"), (11.0, "GET", "/carts", 503, "eve")])
    users = _ask(tmp_path, question("a.db", "b.db")).queries[1]
    counts = {answer.database: answer.count for answer in users.answers if answer.form == "as-stored"}
    assert counts == {"web:/a.db": 2, "web:/b.db": 2, "all": 3}


def test_what_the_database_says_is_kept(tmp_path: Path) -> None:
    """A query that the database refuses leaves its words, and no answer."""
    _shop(tmp_path)
    since = "WHERE stamp > '${FROM}'"
    wrong = f"```sql\nSELECT COUNT(*) FROM visitors {since};\nDELETE FROM visits {since}\n```"
    answers = [query.answers[0] for query in _ask(tmp_path, question("a.db", runbook=wrong)).queries]
    assert [answer.problem for answer in answers] == ["no such table: visitors", "not authorized"]
    assert [answer.count for answer in answers] == [None, None]
    assert sum(row.in_run for row in _ask(tmp_path, question("a.db")).logged) == 7


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ATTACH '/tmp/x' AS x; -- ${FROM}", "not authorized"),
        ("PRAGMA writable_schema = 1; -- ${FROM}", "not authorized"),
        ("SELECT '${FROM}', '${ELSE}'", "nobody fills in ELSE"),
        ("SELECT load_extension('x') WHERE '${FROM}'", "not authorized"),
    ],
)
def test_a_query_can_only_read(tmp_path: Path, text: str, says: str) -> None:
    """Whatever else a runbook has in its SQL is refused before it begins."""
    _shop(tmp_path)
    runbook = f"```sql\n{text.replace('; --', ' --')}\n```"
    problem = _ask(tmp_path, question("a.db", runbook=runbook)).queries[0].answers[0].problem
    assert says in problem


def test_a_query_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that never ends is interrupted."""
    monkeypatch.setattr("harness.impact.log.LONGEST_QUERY", 0.05)
    _shop(tmp_path)
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n, visits -- ${FROM}"
    )
    answers = _ask(tmp_path, question("a.db", runbook=f"```sql\n{endless}\n```")).queries[0].answers
    assert answers[0].problem == "interrupted"


def test_a_run_without_an_incident_asks_nothing(tmp_path: Path) -> None:
    """Without an incident no query is put, but the rows of the run are there."""
    _shop(tmp_path)
    evidence = _ask(tmp_path, question("a.db"), None)
    assert (evidence.queries, evidence.began) == ((), None)
    assert sum(row.in_run for row in evidence.logged) == 7
    assert sum(row.in_incident for row in evidence.logged) == 0


def test_queries_without_bounds_are_not_about_an_incident(tmp_path: Path) -> None:
    """A query that names neither bound is left alone."""
    _shop(tmp_path)
    assert _ask(tmp_path, question("a.db", runbook="```sql\nSELECT 1;\n```\n")).queries == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "unable to open database file"),
        ("", "no such table: visits"),
        ("half past nine", "'half past nine' in stamp is no instant in a form that is known"),
        (stamp(BEGAN + 2 * 3600), "which in UTC is far from this run"),
    ],
)
def test_a_log_that_cannot_be_read_is_a_problem(tmp_path: Path, text: str | None, says: str) -> None:
    """Where the log is missing, empty or in another form or zone, the reason stands for the answer."""
    import sqlite3

    path = tmp_path / "a.db"
    if text is not None:
        write(path, []) if text else sqlite3.connect(path).close()
    if text:
        connection = sqlite3.connect(path)
        connection.execute("INSERT INTO visits VALUES (?, 'GET', '/', 200, 'ann')", (text,))
        connection.commit()
        connection.close()
    evidence = _ask(tmp_path, question("a.db"))
    assert says in evidence.problems[0]
    assert (evidence.queries, evidence.logged, evidence.began) == ((), (), None)


def test_a_log_that_still_grows_is_said(tmp_path: Path) -> None:
    """The log is looked at until it has stopped growing; one that does not is said to have been read too soon."""
    _shop(tmp_path)
    clock = FakeClock(start=RUN[1])
    for late in range(1, 20):
        clock.at(RUN[1] + late / 2 - 0.01, lambda: write(tmp_path / "a.db", [(15.0, "GET", "/orders/1", 503, "ann")]))
    evidence = ask(Files(tmp_path), clock, question("a.db"), INCIDENT, RUN)
    assert "still being written" in evidence.problems[-1]


def test_a_log_is_waited_for(tmp_path: Path) -> None:
    """What is written a moment after the run has ended is counted."""
    _shop(tmp_path)
    clock = FakeClock(start=RUN[1])
    clock.at(RUN[1] + 0.3, lambda: write(tmp_path / "a.db", [(15.0, "GET", "/orders/1", 503, "ann")]))
    evidence = ask(Files(tmp_path), clock, question("a.db"), INCIDENT, RUN)
    assert evidence.queries[0].answers[0].count == 4
    assert evidence.problems == ()


def test_a_sandbox_without_files_is_a_problem(tmp_path: Path) -> None:
    """Where files can't be reached, nothing is asked and that is said."""
    assert tmp_path
    evidence = ask(object(), FakeClock(), question("a.db"), INCIDENT, RUN)
    assert evidence.problems == ("this sandbox has no files to read",)


def test_the_proxy_says_what_it_answered_itself() -> None:
    """The lines of the proxy's log that say so are counted, in the run and in the incident."""
    lines = "".join(f"{BEGAN + at:.3f} shut 503 POST /orders\n" for at in (5, 10, 11, 21, 90))

    class Logs:
        def log(self, service: str) -> str:
            assert service == "door"
            return "other words\n" + lines

    pattern = r"^(?P<at>[\d.]+) shut (?P<status>\d+) (?P<method>\S+) (?P<path>\S+)$"
    found, problem = turned_away(Logs(), Door(service="door", line=pattern), RUN, (INCIDENT.began, INCIDENT.ended))
    assert [(each.method, each.path, each.status, each.in_run, each.in_incident) for each in found] == [
        ("POST", "/orders", 503, 4, 2)
    ]
    assert problem == ""


def test_rows_that_a_service_could_not_keep_are_counted(tmp_path: Path) -> None:
    """Each line in which it says so adds to them; a service whose log can't be read is a problem and not a zero."""

    class Logs(Files):
        def log(self, service: str) -> str:
            return "lost 3 rows\nfound 8 rows\nlost 15 rows\n"

    write(tmp_path / "a.db", [(15.0, "GET", "/orders/1", 503, "ann")])
    asked = replace(question("a.db"), lost=r"^lost (?P<rows>\d+)")
    assert ask(Logs(tmp_path), FakeClock(start=RUN[1]), asked, INCIDENT, RUN).lost == {"web:/a.db": 18}
    unread = ask(Files(tmp_path), FakeClock(start=RUN[1]), asked, INCIDENT, RUN)
    assert unread.lost == {}
    assert [problem for problem in unread.problems if "whether rows were lost is not known" in problem]
