"""What a run with a step and one without it say of the step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.catalogue import Entry
from harness.findings import Read
from harness.judge import REORDERED, encode_check
from harness.model.load import Sample
from harness.model.record import (
    AlertEvidence,
    AlertSample,
    EffectRecord,
    FaultRecord,
    MachineEvidence,
    MachineLook,
    Receipt,
    Record,
    Rule,
    StepRecord,
)
from harness.model.timeline import Event, Span, Window
from harness.model.units import percent
from harness.model.verdict import Control
from harness.model.worth import StepWorth
from harness.runbook.parse import parse_runbook
from harness.runbook.steps import Steps, read_steps
from harness.settings import Settings
from harness.slo import Slo
from harness.worth import best, worths
from harness.worth_runs import Wanted, fill, missing, table
from tests.slo.build import BEGAN, fault, record, sample, span

BOOK = parse_runbook("## Do\n```sh\nopen a\nopen b\n```\n", source="r.md")
STEPS = """
steps:
  a: &step
    purpose: mitigate
    run: {do/1.1: open a}
    effects: [{metric: open, of: "app:80", becomes: "== 1"}]
    nothing_to_undo: none
  b: {<<: *step, run: {do/1.2: open b}}
"""
SECONDS = 12  # of load; the root cause is there from 1 to 11, and the steps come at 2
PER_SECOND = 40
CLAIM = Slo.availability(at_least=percent(90)).during(Window("w"))
ALERTED = "a: &step\n    improves: {alert: Full}"
NAMED = "a: &step\n    improves: {requests: write}"


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return read(tmp_path, STEPS)


def read(folder: Path, text: str) -> Steps:
    (folder / "steps.yml").write_text(text)
    return read_steps(folder / "steps.yml", BOOK)


def performed(name: str, *, skipped: bool, held: bool = True) -> StepRecord:
    effect = EffectRecord(claim="open == 1", variant="as-written", before="0", after="1", held=held, at=BEGAN + 2.1)
    return StepRecord(
        window=name,
        name=name,
        source="r.md:3",
        purpose="mitigate",
        deadline=None,
        effects=() if skipped else (effect,),
        skipped=skipped,
    )


def outage(until: int = 11) -> FaultRecord:
    """A root cause from 1 s on that an independent probe saw all along, and that no step ends."""

    def seen(at: float, in_force: bool) -> Receipt:
        return Receipt(at=BEGAN + at, in_force=in_force, intended="an outage", measured="seen")

    return replace(
        fault(1, until),
        before=(seen(0.9, False),),
        during=tuple(seen(at, True) for at in range(1, until)),
        after=(seen(until + 0.1, False),),
    )


def told(
    kept: Collection[str],
    *,
    fails: float = 0.0,
    latency: float = 0.05,
    names: Sequence[str] = ("read", "write"),
    only: str = "",
    claims: Sequence[Any] = (),
    active: float | None = None,
    **changes: Any,
) -> Record:
    """A run that performed `kept` of a and b, after which this share of requests failed (those of the name `only`) and
    the alert Full was active for so many seconds."""
    each = round(1 / fails) if fails else 0

    def one(number: int) -> Sample:
        at, name = number / PER_SECOND, names[number % len(names)]
        bad = at >= 2 and each and number // len(names) % each == 0 and only in ("", name)
        took = 0.001 if bad else latency if at >= 2 else 0.05  # an error comes quickly
        return replace(sample(at, status=503 if bad else 200, took=took), name=name)

    run = record(
        [one(number) for number in range(SECONDS * PER_SECOND)],
        ended=SECONDS,
        windows=[span("w", 3, 10), *(Span(name=name, kind="step", began=BEGAN + 2, ended=BEGAN + 2) for name in "ab")],
        steps=[performed(name, skipped=name not in kept) for name in "ab"],
        faults=[outage()],
        control=Control.NONE if len(kept) == 2 else Control.ABLATION,
    )
    alerts = AlertEvidence() if active is None else evidence(active)
    run = replace(run, alerts=alerts, checks=tuple(map(encode_check, claims)), run_id="".join(sorted(kept)) or "none")
    return replace(run, **changes)


def evidence(active: float) -> AlertEvidence:
    """An alert that was firing from the instant of the steps on, for so many wall seconds."""
    return AlertEvidence(
        read=True,
        rules=(Rule(name="Full", expr="x", hold=0, labels={}, health="ok"),),
        states=tuple(
            AlertSample(at=BEGAN + 2 + n * 0.25, name="Full", state="firing", labels={}) for n in range(int(active * 4))
        ),
        evaluation_interval=0.25,
    )


def a_of(steps: Steps, *runs: Record) -> StepWorth:
    return next(one for one in worths(steps, runs) if one.step == "a")


def test_a_step_helps_where_fewer_requests_fail_with_it(steps: Steps) -> None:
    """Both shares are said with their bounds, and which runs were held against each other."""
    found = a_of(steps, told("ab"), told("b", fails=0.5))
    assert (found.gain, found.scenario, found.cause, found.runs) == ("helps", "s", "an outage", ("ab", "b"))
    assert found.with_it is not None
    assert found.without is not None
    assert (found.with_it.estimate, found.with_it.unit, found.without.estimate) == (0.0, "share", 0.5)
    assert found.why.startswith("failed requests: 0.0% (0.0% to 0.0%) with it, 50.0% (")


@pytest.mark.parametrize(
    ("with_it", "without", "gain"),
    [
        ({}, {"fails": 0.5}, "helps"),
        ({"fails": 0.5}, {}, "harms"),
        ({}, {}, "no-effect"),
        ({"fails": 0.5}, {"fails": 0.5}, "no-effect"),
        ({}, {"fails": 0.004}, "no-effect"),  # significant, and less than two runs of the same differ
        ({"latency": 0.05}, {"latency": 1.0}, "helps"),
        ({"latency": 1.0}, {"latency": 0.05}, "harms"),
        ({"latency": 0.05}, {"latency": 0.09}, "no-effect"),  # users don't see 40 ms
        ({"latency": 1.0}, {"latency": 1.15}, "no-effect"),  # nor an eighth
        ({"latency": 0.05, "fails": 0.5}, {"latency": 1.0}, "harms"),  # errors come quickly
        ({"latency": 0.05, "fails": 0.5}, {"latency": 0.14, "fails": 0.5}, "no-effect"),
        ({"latency": 0.05, "fails": 0.5}, {"latency": 0.17, "fails": 0.5}, "helps"),
        ({"claims": [CLAIM]}, {"claims": [CLAIM], "fails": 0.5}, "helps"),
        ({"claims": [CLAIM], "fails": 0.5}, {"claims": [CLAIM]}, "harms"),
        ({"claims": [CLAIM], "fails": 0.1}, {"claims": [CLAIM], "fails": 0.1}, "unknown"),  # at the limit
    ],
)
def test_what_a_step_is_worth(steps: Steps, with_it: Any, without: Any, gain: str) -> None:
    """By what users must get, then by the share that failed, then by how long the others waited; no difference that can
    be seen is no effect."""
    assert a_of(steps, told("ab", **with_it), told("b", **without)).gain == gain


def test_a_burst_of_failures_is_not_taken_for_many(steps: Steps) -> None:
    """Failures that come all at once say little about a share, and bounds that meet say nothing."""
    bad = told("b")
    burst = [
        replace(one, status=503, ok=False) if BEGAN + 4 <= one.planned < BEGAN + 4.5 else one for one in bad.samples
    ]
    found = a_of(steps, told("ab"), replace(bad, samples=tuple(burst)))
    assert found.without is not None
    assert (found.gain, found.without.estimate > 0.04) == ("no-effect", True)


def test_both_are_looked_at_for_equally_long(steps: Steps) -> None:
    """Where the cause lasted longer in one run, what came later there is not compared."""
    late = told("ab")
    failing = [replace(one, status=503, ok=False) if one.planned >= BEGAN + 7 else one for one in late.samples]
    short = told("b", faults=(outage(until=6),))
    assert a_of(steps, replace(late, samples=tuple(failing)), short).gain == "no-effect"


def test_a_step_that_takes_long_is_looked_at_when_it_is_done(steps: Steps) -> None:
    """A restart takes seconds, and leaving it out none: what comes behind the step is equally long, and its own cost to
    users counts as well."""
    windows = tuple(replace(one, ended=BEGAN + 6) if one.name == "a" else one for one in told("ab").windows)
    short = told("b", fails=0.5, faults=(outage(until=7),))
    assert a_of(steps, told("ab", windows=windows), short).gain == "helps"
    down = told("ab", windows=windows)
    restarting = [
        replace(one, status=503, ok=False) if BEGAN + 2 <= one.planned < BEGAN + 6 else one for one in down.samples
    ]
    assert a_of(steps, replace(down, samples=tuple(restarting)), told("b")).gain == "harms"


def test_an_incident_that_is_over_with_the_step_tells_nothing(steps: Steps) -> None:
    """What came while the step was performed, it can't have improved."""
    windows = tuple(replace(one, ended=BEGAN + 9) if one.name == "a" else one for one in told("ab").windows)
    found = a_of(steps, told("ab", windows=windows), told("b", fails=0.5))
    assert (found.gain, found.why) == ("unknown", "the incident was over too soon after it to say")


def test_an_objective_that_holds_with_it_alone_is_said(steps: Steps) -> None:
    """What users must get says more than a difference."""
    found = a_of(steps, told("ab", claims=[CLAIM]), told("b", claims=[CLAIM], fails=0.5))
    assert found.why.startswith(f"without it “{CLAIM.claim}” does not hold; failed requests")


@pytest.mark.parametrize(
    ("without", "why"),
    [
        (None, "there is no run without it"),
        ({"seed": 2}, "differ in their seed"),
        ({"time_scale": 30.0}, "time scale"),
        ({"names": ("write", "read")}, "did not ask for the same"),
        ({"claims": [CLAIM]}, "the scenario has changed"),
        ({"faults": (replace(outage(), description="another outage"),)}, "different root causes"),
        ({"events": (Event(at=BEGAN, kind=REORDERED, subject="b, a"),)}, "there is no run without it"),
        ({"error": "we broke"}, "there is no run without it"),
    ],
)
def test_unlike_runs_are_not_compared(steps: Steps, without: Mapping[str, Any] | None, why: str) -> None:
    """Same cause, same seed, same load, and every request the same at the same instant; else nothing is said."""
    runs = [told("ab")] if without is None else [told("ab"), told("b", **{"fails": 0.5, **without})]
    found = a_of(steps, *runs)
    assert (found.gain, why in found.why) == ("not-compared", True), found


def test_a_load_that_shifts_is_another_load(steps: Steps) -> None:
    """Arrivals that come a little later are not the same, whatever the plan says."""
    other = told("b", fails=0.5)
    late = replace(other, samples=tuple(replace(one, planned=one.planned + 0.002) for one in other.samples))
    assert a_of(steps, told("ab"), late).gain == "not-compared"


@pytest.mark.parametrize(
    ("with_it", "without", "why"),
    [
        ({"faults": (fault(1, 11),)}, {"fails": 0.5, "faults": (fault(1, 11),)}, "proves nothing: INVALID"),
        ({}, {"fails": 0.5, "loads": ()}, "different loads"),
        (
            {"steps": [performed("a", skipped=False, held=False), performed("b", skipped=False)]},
            {"fails": 0.5},
            "its effect",
        ),
    ],
)
def test_spoilt_runs_leave_it_open(steps: Steps, with_it: Any, without: Any, why: str) -> None:
    """A fault that nobody saw, or a step that did not work, proves nothing of what users got."""
    found = a_of(steps, told("ab", **with_it), told("b", **without))
    assert found.gain in ("unknown", "not-compared")
    assert why in found.why


def crowd() -> MachineEvidence:
    return MachineEvidence(cores=2, looks=(MachineLook(at=BEGAN + 10, seconds=10, busy=2.0, ours=0.5),))


def test_a_crowd_beside_the_worse_run_leaves_it_open(steps: Steps) -> None:
    """What strangers on the machine did to users must not count for or against a step; beside the better run they
    make nothing better."""
    assert a_of(steps, told("ab"), told("b", fails=0.5, machine=crowd())).gain == "unknown"
    assert a_of(steps, told("ab", machine=crowd()), told("b", fails=0.5)).gain == "helps"
    assert a_of(steps, told("ab", fails=0.5, machine=crowd()), told("b")).gain == "unknown"


def test_a_crowd_before_the_step_is_no_excuse(steps: Steps) -> None:
    """What counts is who else was there while the two were compared."""
    early = replace(crowd(), looks=(MachineLook(at=BEGAN + 1.9, seconds=1.9, busy=2.0, ours=0.5),))
    assert a_of(steps, told("ab"), told("b", fails=0.5, machine=early)).gain == "helps"


def test_a_step_that_others_make_needless_is_redundant(steps: Steps) -> None:
    """It helps by itself; beside the other step it changes nothing. One that does neither has no effect."""
    others = [told("ab"), told("b"), told("", fails=0.5)]
    assert a_of(steps, *others, told("a")).gain == "redundant"
    assert a_of(steps, *others, told("a", fails=0.5)).gain == "no-effect"
    assert a_of(steps, *others).gain == "no-effect"


@pytest.mark.parametrize(
    ("with_it", "without", "gain"),
    [
        ({"active": 2}, {"active": 8}, "helps"),
        ({"active": 8}, {"active": 8}, "no-effect"),
        ({"active": 7.5}, {"active": 8}, "no-effect"),  # one evaluation more or less
        ({"active": 8}, {"active": 2}, "harms"),
        ({"active": 2, "fails": 0.5}, {"active": 8}, "harms"),  # the alert went, and the users as well
        ({"active": 2}, {}, "unknown"),
    ],
)
def test_a_step_may_claim_that_an_alert_goes(tmp_path: Path, with_it: Any, without: Any, gain: str) -> None:
    """Then that is compared, within two evaluations; it must not harm users all the same."""
    steps = read(tmp_path, STEPS.replace("a: &step", ALERTED))
    assert a_of(steps, told("ab", **with_it), told("b", **without)).gain == gain


def test_a_step_may_claim_to_help_some_users(tmp_path: Path) -> None:
    """Those whom it turns away on purpose don't count then; of the others all is said."""
    steps = read(tmp_path, STEPS.replace("a: &step", NAMED))
    found = a_of(steps, told("ab", fails=0.5, only="read"), told("b", fails=0.5, only="write"))
    assert (found.gain, found.with_it and found.with_it.what) == ("helps", "failed requests of write")


def test_a_step_that_answered_nothing_is_not_compared(steps: Steps) -> None:
    """What was done before there was any root cause is no response to it."""
    early = told("ab")
    windows = tuple(replace(one, began=BEGAN + 0.5) if one.name == "a" else one for one in early.windows)
    found = a_of(steps, replace(early, windows=windows), told("b", fails=0.5))
    assert (found.gain, found.scenario) == ("not-compared", "")


def test_of_several_incidents_the_worst_news_comes_first() -> None:
    """That it harms somewhere is worth knowing before that it helps elsewhere."""
    made = [StepWorth(step="a", scenario="s", gain=gain, why="") for gain in ("no-effect", "helps", "harms")]
    assert [one.gain for one in (best(made), best(made[:2]), best(made[:1])) if one] == ["harms", "helps", "no-effect"]
    assert best([]) is None


# -- what is still to be run ---------------------------------------------------------------------------------------


def wanted(steps: Steps, *records: Record, tried: Mapping[Wanted, int] | None = None) -> list[str]:
    read_so_far = Read(runbook=BOOK, steps=steps, steps_file=Path("steps.yml"), records=())
    entries = {"s": Entry(name="s", hypothesis="", source="", function="", steps=("a", "b"))}
    settings = Settings(time_scale=60.0)
    return list(map(str, missing(read_so_far, list(records), entries, tried or {}, settings)))


def test_only_what_is_missing_is_run(steps: Steps) -> None:
    """First the story as it is, then without each step, and what tells a needless step from a useless one; what is
    recorded is not run again."""
    assert wanted(steps) == ["s (for a)", "s (for b)"]
    assert wanted(steps, told("ab")) == ["s without a (for a)", "s without b (for b)"]
    bad = told("b", fails=0.5)
    assert wanted(steps, told("ab"), bad) == ["s without b (for b)"]
    useless = [told("ab"), bad, told("a")]
    assert wanted(steps, *useless) == ["s without a without b (for b)"]
    assert wanted(steps, *useless, told("", fails=0.5)) == []


def test_runs_of_another_seed_or_scale_are_not_counted(steps: Steps) -> None:
    """They could not be compared with those to come."""
    assert wanted(steps, replace(told("ab"), seed=2)) == ["s (for a)", "s (for b)"]
    assert wanted(steps, replace(told("ab"), time_scale=1.0)) == ["s (for a)", "s (for b)"]


def test_a_spoilt_run_is_tried_again_but_not_for_ever(steps: Steps) -> None:
    """Once more for each of the two, and then it stays unknown."""
    runs = [told("ab"), told("b", fails=0.5, machine=crowd()), told("a", fails=0.5)]
    lacking, whole = Wanted(step="a", scenario="s", left_out=("a",)), Wanted(step="a", scenario="s")
    assert wanted(steps, *runs) == [str(lacking), str(whole)]
    assert wanted(steps, *runs, tried={lacking: 1}) == [str(whole), str(lacking)]
    assert wanted(steps, *runs, tried={lacking: 2, whole: 2}) == []
    assert wanted(steps, told("ab"), told("a", fails=0.5), tried={lacking: 1}) == []  # it left no record


def test_of_two_stories_the_older_is_told_again(steps: Steps) -> None:
    """A scenario that was changed makes its old runs useless."""
    old, new = told("ab", claims=[CLAIM]), replace(told("b", fails=0.5), began=BEGAN + 99)
    done = told("a", fails=0.5, claims=[CLAIM])
    assert wanted(steps, old, new, done)[0] == "s (for a)"
    assert wanted(steps, replace(old, began=BEGAN + 99), told("b", fails=0.5), done)[0] == "s without a (for a)"


@pytest.mark.parametrize(("most", "made"), [(1000, ["", "a", "b"]), (1, [""]), (0, [])])
def test_runs_are_made_until_all_is_told(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, most: int, made: list[str]
) -> None:
    """One after the other, no more than were asked for; each is named before it begins."""
    entries = (Entry(name="s", hypothesis="", source="", function="", steps=("a", "b")),)
    empty = Read(runbook=BOOK, steps=steps, steps_file=Path("steps.yml"), records=())
    left_out: list[str] = []

    def perform(entry: Entry, one: Wanted, settings: Settings) -> list[Record]:
        left_out.append("".join(one.left_out))
        kept = "".join(sorted({*"ab"}.difference(one.left_out)))
        return [told(kept, fails=0.0 if len(kept) == 2 else 0.5)]

    monkeypatch.setattr("harness.worth_runs._perform", perform)
    monkeypatch.setattr("harness.worth_runs.prepare_run", lambda settings, steps: None)
    monkeypatch.setattr("harness.worth_runs.scenarios", lambda folder, runs: entries)
    monkeypatch.setattr(Read, "of", lambda folders, runs, compose: empty)
    said: list[str] = []
    found = fill((), Settings(time_scale=60.0), said.append, most)
    assert (left_out, len(said)) == (made, len(made))
    assert [one.gain for one in found] == (["helps", "helps"] if len(made) == 3 else ["not-compared"] * 2)


def test_the_table_has_a_line_for_each(steps: Steps) -> None:
    """For a terminal: what it is worth, the step, the incident, why."""
    lines = table(worths(steps, [told("ab"), told("b", fails=0.5)])).splitlines()
    assert len(lines) == 2
    assert lines[0].split()[:3] == ["helps", "a", "s"]
    assert lines[1].startswith("not-compared  b")
