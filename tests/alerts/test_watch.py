"""What the watch knows while a run is on, and what it notices that it does not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.alerts.alert import Alert
from harness.alerts.watch import AlertWatch
from harness.model.record import AlertEvidence, Gap
from harness.testing import FakeClock
from tests.alerts.fake_servers import Script, alerting, serving, target

A = Alert("A", severity="critical")


@pytest.fixture
def script() -> Iterator[Script]:
    with serving() as script:
        script.rules = [alerting("A", severity="critical")]
        yield script


class Watched:
    """A watch that looks when the test says so: its thread is never started."""

    def __init__(self, script: Script) -> None:
        self.clock = FakeClock(scale=60, start=1000)
        self.watch = AlertWatch(script.url, script.url, clock=self.clock, alertmanager=script.url)

    def look(self, at: float, script: Script | None = None) -> None:
        """Look at `at`; with a script, its rules have been evaluated just then."""
        self.move(at)
        for rule in script.rules if script else ():
            rule["lastEvaluation"] = f"2026-01-01T00:00:{at % 60:09.6f}Z"
        self.watch.look()

    def move(self, at: float) -> None:
        self.clock.sleep(at - self.clock.now())

    def evidence(self, ended: float) -> AlertEvidence:
        self.move(ended)
        return self.watch.collect(1000.0, ended)

    def gaps(self, ended: float = 1100.0) -> tuple[Gap, ...]:
        return self.evidence(ended).gaps


@pytest.fixture
def watched(script: Script) -> Iterator[Watched]:
    one = Watched(script)
    yield one
    one.watch.__exit__()


def active(script: Script, state: str) -> None:
    script.rules = [alerting("A", state=state, severity="critical")]


def test_states_are_prometheus_own(script: Script, watched: Watched) -> None:
    """The state is the most active one among the alerts that carry the labels."""
    assert watched.watch.state("A", {}) == "unknown"
    for at, state in enumerate(("", "pending", "firing", "")):
        active(script, state)
        watched.look(1000 + at, script)
        assert watched.watch.state("A", {"severity": "critical"}) == (state or "inactive")
        assert watched.watch.state("A", {"severity": "warning"}) == "inactive"
    assert [(one.at, one.state) for one in watched.watch.transitions()] == [
        (1001, "pending"),
        (1002, "firing"),
        (1003, "inactive"),
    ]


@pytest.mark.parametrize(
    ("state", "pending", "firing", "quiet"),
    [("", False, False, True), ("pending", True, False, False), ("firing", True, True, False)],
)
def test_conditions(script: Script, watched: Watched, state: str, pending: bool, firing: bool, quiet: bool) -> None:
    """What fires was pending too; quiet is neither."""
    active(script, state)
    watched.look(1000)
    holds = watched.watch.holds
    assert (holds(A.pending), holds(A.firing), holds(A.quiet)) == (pending, firing, quiet)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda script: script.down.add("prometheus"), "it does not answer"),
        (lambda script: script.rules.clear(), "the rule is gone"),
        (lambda script: script.rules[0].update(health="err"), "the rule can't be evaluated"),
        (lambda script: script.rules[0].update(type="recording"), "there is no such alert"),
    ],
)
def test_what_nobody_knows_is_not_quiet(script: Script, watched: Watched, spoil: Any, why: str) -> None:
    """Where Prometheus can't tell, no condition holds; least of all `quiet`."""
    watched.look(1000)
    assert watched.watch.holds(A.quiet)
    spoil(script)
    watched.look(1001)
    assert watched.watch.state("A", {}) == "unknown", why
    assert not watched.watch.holds(A.quiet)


def test_an_old_look_says_nothing_of_now(watched: Watched) -> None:
    """Where the looking itself hangs, the last answer soon means nothing any more."""
    watched.look(1000)
    watched.move(1010)
    assert watched.watch.state("A", {}) == "unknown"


def test_silence_is_a_gap_from_the_last_answer_to_the_next(script: Script, watched: Watched) -> None:
    """What happened between the last answer and the next one nobody saw."""
    watched.look(1000, script)
    script.down = {"prometheus", "receiver", "alertmanager"}
    watched.look(1001)
    watched.look(1002)
    assert watched.watch.summary() == "Prometheus does not answer"
    script.down = set()
    watched.look(1003, script)
    assert {(gap.source, gap.began, gap.ended) for gap in watched.gaps(1004.0)} == {
        ("prometheus", 1000, 1003),
        ("receiver", 1000, 1003),
        ("alertmanager", 1000, 1003),
    }


def test_silence_that_does_not_end_is_a_gap_until_the_end(script: Script, watched: Watched) -> None:
    """A server that is gone at the end leaves an open gap, and no evidence."""
    watched.look(1000, script)
    script.down = {"prometheus"}
    watched.look(1001)
    evidence = watched.evidence(1005)
    assert [(gap.began, gap.ended) for gap in evidence.gaps] == [(1000, 1005)]
    assert not evidence.read
    assert evidence.problems
    assert evidence.rules_at_end is None


def test_waiting_is_pointless_once_prometheus_has_been_gone_for_long(script: Script, watched: Watched) -> None:
    """A short silence may pass; a long one is said."""
    watched.look(1000)
    script.down = {"prometheus"}
    watched.look(1001)
    watched.move(1004)
    assert not watched.watch.blind()
    watched.move(1006)
    assert "Prometheus at" in watched.watch.blind()


@pytest.mark.parametrize(
    ("change", "source"),
    [
        (lambda script: setattr(script, "prometheus_started", 200.0), "prometheus"),
        (lambda script: setattr(script, "alertmanager_started", 200.0), "alertmanager"),
        (lambda script: script.receiver.update(started=2.0), "receiver"),
        (lambda script: script.receiver.update(lost=1), "receiver"),
        (lambda script: script.receiver.update(rejected=1), "receiver"),
        (lambda script: script.rules[0].update(health="err"), "rule A"),
        (lambda script: script.rules.clear(), "rule A"),
    ],
)
def test_what_was_lost_is_a_gap(script: Script, watched: Watched, change: Any, source: str) -> None:
    """A restart between two looks, a lost message and a rule that is not at work leave a gap although all answer."""
    watched.look(1000, script)
    change(script)
    watched.look(1001, script)
    assert [(gap.source, gap.began) for gap in watched.gaps(1001.5)] == [(source, 1000)]


def test_a_rule_that_is_not_evaluated_any_more_is_a_gap(script: Script, watched: Watched) -> None:
    """A rule whose last evaluation stays the same while time passes is not watching anything."""
    for at in (1000.0, 1001.0, 1002.0):
        watched.look(at, script)
    assert watched.watch.state("A", {}) == "inactive"
    for at in (1003.0, 1004.0, 1005.0):
        watched.look(at)
    assert watched.watch.state("A", {}) == "unknown"
    assert [(gap.source, gap.began) for gap in watched.gaps(1005.0)] == [("rule A", 1003.0)]


def test_two_rules_of_one_name_are_both_watched(script: Script, watched: Watched) -> None:
    """A rule that is there does not hide another of the same name that is not."""
    script.rules = [alerting("A", severity="critical"), alerting("A", severity="warning")]
    watched.look(1000, script)
    del script.rules[0]
    watched.look(1001, script)
    assert [gap.source for gap in watched.gaps(1001.0)] == ["rule A"]


def test_notifications_are_kept_once(script: Script, watched: Watched) -> None:
    """Each look asks only for what is new; the arrival is the receiver's own instant."""
    alert = {"status": "firing", "labels": {"alertname": "A", "severity": "critical"}, "fingerprint": "f"}
    alert |= {"startsAt": "1970-01-01T00:16:41.5Z", "endsAt": "0001-01-01T00:00:00Z"}
    script.receiver |= {"next": 1, "notifications": [{"seq": 0, "at": 1002.5, "message": {"alerts": [alert]}}]}
    for at in (1000.0, 1001.0, 1003.0):
        watched.look(at, script)
    (note,) = watched.evidence(1004.0).notifications
    assert (note.name, note.at, note.starts_at, note.ends_at) == ("A", 1002.5, 1001.5, None)
    assert note.labels == {"severity": "critical"}


def test_the_evidence_is_what_prometheus_stored(script: Script, watched: Watched) -> None:
    """States come with the instant at which they began; inputs with the targets that must be scraped for them."""
    target = {"job": "a", "instance": "i"}
    labels = {"__name__": "ALERTS", "alertname": "A", "severity": "critical"}
    script.queries = {
        "ALERTS[": [
            {"metric": {**labels, "alertstate": "firing"}, "values": [[1002.0, "1"]]},
            {"metric": {**labels, "alertstate": "pending"}, "values": [[1001.0, "1"], [1001.5, "1"]]},
        ],
        "ALERTS_FOR_STATE[": [
            {"metric": {**labels, "__name__": "ALERTS_FOR_STATE"}, "values": [[1001.0, "1001"], [1002.0, "1001"]]}
        ],
        "up[": [
            {"metric": {"__name__": "up", **target}, "values": [[1000.0, "1"]]},
            {"metric": {"__name__": "up", "job": "b", "instance": "i"}, "values": [[1000.0, "0"]]},
        ],
        '{__name__="a_metric"}[': [
            {"metric": {"__name__": "a_metric", **target}, "values": [[1000, "7"], [1001, "NaN"]]}
        ],
        "group by (job, instance)": [{"metric": target, "value": [1004.0, "1"]}],
    }
    watched.look(1000.0, script)
    evidence = watched.evidence(1004.0)
    assert evidence.read, evidence.problems
    assert [(one.at, one.state, one.active_since) for one in evidence.states] == [
        (1001.0, "pending", 1001.0),
        (1001.5, "pending", None),
        (1002.0, "firing", 1001.0),
    ]
    assert evidence.states[0].labels == {"severity": "critical"}
    assert [(one.labels.get("job"), len(one.points)) for one in evidence.inputs["A"]] == [("a", 1), ("a", 0), ("b", 0)]
    assert (evidence.scrape_interval, evidence.evaluation_interval) == (0.25, 0.25)
    assert evidence.rules == evidence.rules_at_end
    assert "ALERTS[4000ms]" in script.asked


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ("", []),
        ("1", [0]),
        ("11", [0, 1]),
        ("11111", [0, 4]),
        ("11122", [0, 2, 3, 4]),
        ("112111", [0, 1, 2, 3, 5]),
        ("12345", [0, 1, 2, 3, 4]),
    ],
)
@pytest.mark.parametrize("job", ["a", "a gateway's"])
def test_a_series_that_stands_still_is_kept_by_its_ends(
    script: Script, watched: Watched, values: str, kept: list[int], job: str
) -> None:
    """Each change keeps its two samples; a target without `up` keeps every one, for they are its scrapes."""
    points = [[1000.0 + at, value] for at, value in enumerate(values)]
    script.queries = {
        "up[": [{"metric": {"__name__": "up", "job": "a", "instance": "i"}, "values": [[1000.0, "1"]]}],
        '{__name__="a_metric"}[': [{"metric": {"__name__": "a_metric", "job": job, "instance": "i"}, "values": points}],
    }
    watched.look(1000.0, script)
    (series, *_) = watched.evidence(1006.0).inputs["A"]
    assert [at - 1000 for at, _ in series.points] == (kept if job == "a" else list(range(len(values))))


def test_only_the_named_alerts_inputs_are_read(script: Script) -> None:
    """Where a scenario names its alerts, what others read is not asked for."""
    script.rules = [alerting("A"), alerting("B")]
    watch = AlertWatch(script.url, script.url, clock=FakeClock(), alerts=["B"])
    watch.look()
    assert list(watch.collect(1000.0, 1001.0).inputs) == ["B"]
    watch.__exit__()


def test_an_expression_that_can_not_be_taken_apart_spoils_only_its_alert(script: Script, watched: Watched) -> None:
    """A rule in a dialect we can't read leaves the others' evidence whole."""
    script.rules = [alerting("A"), {**alerting("B"), "query": "rate(x[5m] anchored)"}]
    watched.look(1000.0, script)
    evidence = watched.evidence(1001.0)
    assert evidence.read
    assert list(evidence.inputs) == ["A"]
    assert "B" in evidence.problems[0]


@pytest.mark.parametrize(
    ("answer", "why"),
    [({"status": "error"}, "an error"), ([], "no object"), ({"status": "success", "data": {"groups": [{}]}}, "a hole")],
)
def test_answers_that_make_no_sense_are_no_answers(
    script: Script, watched: Watched, monkeypatch: pytest.MonkeyPatch, answer: Any, why: str
) -> None:
    """A foreign or broken answer is silence, not a traceback."""
    monkeypatch.setattr(Script, "answer", lambda *_: answer)
    watched.look(1000)
    assert watched.watch.state("A", {}) == "unknown", why
    assert not watched.evidence(1001).read


def test_it_looks_by_itself_until_its_block_ends(script: Script) -> None:
    """Inside its block the watch looks at once, and again and again."""
    clock = FakeClock()
    with AlertWatch(script.url, script.url, clock=clock, alertmanager=script.url) as watch:
        assert watch.state("A", {}) == "inactive"
        assert not watch.blind()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda script: script.targets.clear(), "no target is known yet"),
        (lambda script: script.targets.append(target("unknown", job="b")), "one was not scraped yet"),
        (lambda script: script.rules[0].update(health="unknown"), "a rule was not evaluated yet"),
    ],
)
def test_it_begins_when_prometheus_is_at_work(script: Script, spoil: Any, why: str) -> None:
    """A Prometheus that is ready and sees nothing yet is waited for, a bounded time."""
    spoil(script)
    clock = FakeClock(start=1000)

    def at_work() -> None:
        script.targets = [target(), target("down", job="b")]
        script.rules = [alerting("A")]

    clock.at(1003, at_work)
    with AlertWatch(script.url, script.url, clock=clock):
        assert 1003 <= clock.now() < 1003.5, why
    spoil(script)
    with AlertWatch(script.url, script.url, clock=clock):
        assert 1018 <= clock.now() < 1018.5, why


def test_nobody_there_at_all_is_no_error() -> None:
    """A watch whose servers do not exist opens, knows nothing, and says so."""
    with AlertWatch(
        "http://127.0.0.1:9", "http://127.0.0.1:9", clock=FakeClock(), alertmanager="http://127.0.0.1:9"
    ) as watch:
        assert watch.state("A", {}) == "unknown"
        evidence = watch.collect(1000.0, 1001.0)
    assert (evidence.read, evidence.notifications_read, evidence.rules) == (False, False, None)


def test_the_cycle_is_the_longer_of_two_intervals(watched: Watched) -> None:
    """It is what Prometheus' configuration says; before it has said so nobody knows it."""
    assert watched.watch.cycle() == 0.0
    watched.look(1000)
    evidence = watched.evidence(1001)
    assert watched.watch.cycle() == max(evidence.scrape_interval, evidence.evaluation_interval) > 0
