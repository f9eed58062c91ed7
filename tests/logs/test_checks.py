"""What each claim about a log concludes from whole, spoilt and missing evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from harness.errors import SandboxError, UsageError
from harness.judge import encode_check
from harness.logs import collect as collecting
from harness.logs.collect import collect
from harness.logs.logs import Logs
from harness.model.load import Sample
from harness.model.record import FaultRecord, LoadRecord, LogEvidence, LogLine, Record, Scenario
from harness.model.timeline import Span, Window
from harness.model.verdict import Control, Outcome

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN
TEXT = "pool exhausted"
CALM, OUTAGE = Window("calm"), Window("outage")
WEB = Logs("web")
SHOWS, LACKS = WEB.shows(TEXT, OUTAGE), WEB.lacks(TEXT, CALM)
USERS = tuple(
    Sample(planned=1000.0 + at, sent=1000.0 + at, ended=1000.1 + at, name="n", status=200, ok=True) for at in range(100)
)
LOAD = LoadRecord(
    window="load",
    plan="1/s",
    target="t",
    began=1000.0,
    ended=1100.0,
    planned=100,
    sent=100,
    finished=100,
    in_flight=0,
    dropped=0,
    complete=True,
    lateness_p99=0.0,
    lateness_max=0.0,
    generator_cpu=0.1,
    samples_count=100,
)


def line(began: float | None, ended: float | None = None, text: str = TEXT) -> LogLine:
    """A line that was written at one instant, or between two."""
    return LogLine(text=f"ERROR: {text}", began=began, ended=ended or (began or 0) + 0.001)


def log(*lines: LogLine, **change: Any) -> LogEvidence:
    """The log of the service, which reaches back to before the story."""
    return replace(LogEvidence(service="web", texts=(TEXT,), lines=lines, first=990.0), **change)


def told(*logs: LogEvidence, **change: Any) -> Record:
    """A story of 100 s: calm from 1010 to 1030, an outage from 1040 to 1060, what comes after it to 1080."""
    spans = {"load": (1000.0, 1100.0), "calm": (1010.0, 1030.0), "outage": (1040.0, 1060.0), "after": (1061.0, 1080.0)}
    record = Record(
        run_id="r",
        scenario=Scenario(name="s", hypothesis="h"),
        control=Control.NONE,
        time_scale=60.0,
        seed=1,
        runtime="fake",
        began=999.0,
        ended=1101.0,
        windows=(
            *(Span(name=name, kind="observe", began=a, ended=b) for name, (a, b) in spans.items()),
            Span(name="broken off", kind="observe", began=1090.0),
        ),
        faults=(FaultRecord(window="outage", description="d", settings={}, injected_at=1040.0, healed_at=1060.0),),
        loads=(LOAD,),
        logs=logs,
        samples=USERS,
    )
    return replace(record, **change)


@pytest.mark.parametrize(
    ("lines", "shows", "lacks"),
    [
        ([], FAIL, PASS),
        ([line(1050.0)], PASS, PASS),
        ([line(1020.0)], FAIL, FAIL),
        ([line(1020.0), line(1050.0)], PASS, FAIL),
        ([line(1035.0), line(1061.0)], FAIL, PASS),  # beside the windows
        ([line(1039.5, 1040.5)], UNKNOWN, PASS),  # across an edge, by a log that has whole seconds
        ([line(1029.5, 1030.5)], FAIL, UNKNOWN),
        ([line(1020.0, 1050.0)], UNKNOWN, UNKNOWN),  # a further line of a message
        ([line(None, 1050.0)], UNKNOWN, UNKNOWN),
        ([line(None, 1000.0)], FAIL, PASS),  # before all that is asked
        ([line(1039.5, 1040.5), line(1050.0)], PASS, PASS),
        ([line(1050.0, text="another")], FAIL, PASS),
    ],
)
def test_a_line_counts_where_it_was_written(lines: Sequence[LogLine], shows: Outcome, lacks: Outcome) -> None:
    """A line in the window is one; one that may lie in it leaves the claim open; one elsewhere is none."""
    record = told(log(*lines))
    assert (SHOWS.judge(record).outcome, LACKS.judge(record).outcome) == (shows, lacks)


@pytest.mark.parametrize(
    ("logs", "why"),
    [
        ((), "the log was not searched for it"),
        ((log(service="other"),), "the log was not searched for it"),
        ((log(texts=("another",)),), "the log was not searched for it"),
        ((log(problem="it is gone"),), "the log could not be read: it is gone"),
        ((log(first=None),), "no line of the log says when it was written"),
        ((log(first=1045.0),), "the log begins later than the window"),
    ],
)
def test_a_log_that_can_not_tell_is_unknown(logs: tuple[LogEvidence, ...], why: str) -> None:
    """A line that is missing from a log nobody could read, or that begins too late, is not missing."""
    for check in (SHOWS, LACKS):
        verdict = check.judge(told(*logs))
        assert (verdict.outcome, why in verdict.observed) == (UNKNOWN, True), verdict.observed


@pytest.mark.parametrize("window", ["broken off", "nowhere"])
def test_a_window_without_an_end_is_unknown(window: str) -> None:
    """A window that never was, or never ended, shows and lacks nothing."""
    for check in (WEB.shows(TEXT, Window(window)), WEB.lacks(TEXT, Window(window))):
        assert check.judge(told(log(line(1095.0)))).outcome is UNKNOWN


@pytest.mark.parametrize(
    "change",
    [
        {"loads": (), "samples": ()},
        {"samples": ()},
        {"loads": (replace(LOAD, complete=False),)},
        {"loads": (replace(LOAD, began=1020.0),)},
    ],
)
def test_a_log_without_users_lacks_nothing(change: dict[str, Any]) -> None:
    """A service that nobody asked for anything had nothing to write; what it did write counts."""
    assert LACKS.judge(told(log(), **change)).outcome is UNKNOWN
    assert LACKS.judge(told(log(line(1020.0)), **change)).outcome is FAIL
    assert SHOWS.judge(told(log(line(1050.0)), **change)).outcome is PASS


def test_every_window_counts() -> None:
    """A line in one of two windows is not one in both; one in either is one too many."""
    record = told(log(line(1050.0)))
    assert WEB.shows(TEXT, OUTAGE, CALM).judge(record).outcome is FAIL
    assert WEB.lacks(TEXT, CALM, OUTAGE).judge(record).outcome is FAIL


def test_what_was_seen_is_said_with_its_resolution() -> None:
    """The verdict quotes the first line, and says in runbook time how far into the window and how sharply."""
    verdict = SHOWS.judge(told(log(line(1041.0, 1042.0), line(1050.0))))
    assert verdict.observed == "outage: 2 such lines, the first 1 min into it: ERROR: pool exhausted"
    assert verdict.resolution == "± 1 min"
    assert verdict.claim == 'the log of web shows "pool exhausted" during outage'


def test_which_claims_a_control_must_turn_red() -> None:
    """Without its fault a line that the fault causes must not appear; one from before it may."""
    record = told(log())
    assert SHOWS.red_under(record) == {Control.NO_FAULT}
    assert WEB.shows(TEXT, Window("after")).red_under(record) == {Control.NO_FAULT}
    assert WEB.shows(TEXT, CALM).red_under(record) == frozenset()
    assert LACKS.red_under(record) == frozenset()


@pytest.mark.parametrize("check", [SHOWS, LACKS], ids=lambda check: check.kind)
def test_checks_survive_being_saved(check: Any) -> None:
    """A check that was written as JSON and read again is the same check."""
    adapter: TypeAdapter[Any] = TypeAdapter(type(check))
    assert adapter.validate_json(adapter.dump_json(check)) == check


@pytest.mark.parametrize("text", ["", "  ", "two\nlines"])
def test_a_text_must_be_told_from_others(text: str) -> None:
    """What is in every line, or in none, can't be claimed."""
    with pytest.raises(UsageError):
        WEB.shows(text, CALM)


# -- reading -----------------------------------------------------------------------------------------------------


class Logging:
    """A sandbox with the logs that it was given; one of them can't be read."""

    def __init__(self, **logs: str) -> None:
        self._logs = logs

    def log(self, service: str) -> str:
        if service not in self._logs:
            raise SandboxError(f"there is no service {service}")
        return self._logs[service]


def test_only_what_is_claimed_is_read() -> None:
    """Of each service that a claim names, the lines that a claim speaks of are kept, and how far back its log goes."""
    sandbox = Logging(web="2026-11-23T15:50:00Z start\n2026-11-23T15:50:01.5Z pool exhausted\nnoise\n", other="x")
    checks = [encode_check(check) for check in (SHOWS, LACKS, WEB.shows("other", CALM))]
    (found,) = collect(sandbox, [{"kind": "alert.fires"}, *checks], 1_795_451_500.0)
    assert (found.service, found.texts, found.problem) == ("web", (TEXT, "other"), "")
    assert [one.text for one in found.lines] == ["2026-11-23T15:50:01.5Z pool exhausted"]
    assert found.first == 1_795_449_000.0


@pytest.mark.parametrize("sandbox", [Logging(), object()])
def test_a_log_that_can_not_be_read_is_said(sandbox: object) -> None:
    """No such service, and a sandbox without logs, are problems in the evidence and no exception."""
    (found,) = collect(sandbox, [encode_check(LACKS)], 0.0)
    assert found.problem
    assert LACKS.judge(told(found)).outcome is UNKNOWN


def test_an_empty_log_proves_nothing() -> None:
    """A log without a line says nothing of when it was written."""
    (found,) = collect(Logging(web=""), [encode_check(LACKS)], 0.0)
    assert LACKS.judge(told(found)).outcome is UNKNOWN


def test_a_flood_is_not_taken_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more lines match than are kept, what is not among those kept is not known."""
    monkeypatch.setattr(collecting, "MOST_LINES", 2)
    (found,) = collect(Logging(web="2026-11-23T15:50:00Z pool exhausted\n" * 3), [encode_check(LACKS)], 0.0)
    assert (len(found.lines), found.problem[:7]) == (2, "3 lines")


def test_a_checkpoint_can_say_it_beforehand() -> None:
    """What a log must not show can be said before the window is there, and is the same claim."""
    assert WEB.without(TEXT).during(CALM) == LACKS
    with pytest.raises(UsageError, match="no text"):
        WEB.without(" ")
