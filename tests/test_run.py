"""The conductor: what it records, in which order, and that it heals whatever happens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness import Alert, Arrivals, Benchmark, Checkpoint, Control, Level, Logs, UsageError, Window, minutes, seconds
from harness.errors import SandboxError
from harness.judge import REORDERED, encode_check
from harness.model.judgement import Judgement
from harness.model.record import AlertEvidence, Record, Scenario
from harness.model.verdict import Outcome
from harness.run import PHASE, NotProven, Run
from harness.testing import (
    FakeAlerts,
    FakeCensus,
    FakeClock,
    FakeFault,
    FakeJournal,
    FakeOperator,
    FakeSandbox,
    ScriptedLoad,
    fake_cast,
)

SCENARIO = Scenario(name="outage", hypothesis="it holds")
LOAD = Arrivals.constant(per_second=10)
PAGE = Alert("TooManyErrors")


class Stage:
    """A run on fakes, and the record it ends with."""

    def __init__(
        self,
        *,
        control: Control = Control.NONE,
        scale: float = 1.0,
        outcome: Outcome = Outcome.PASS,
        without: Collection[str] = (),
        order: Sequence[str] = (),
        repetition: int = 0,
        cycle: float = 0.0,
    ) -> None:
        self.clock = FakeClock(scale)
        self.sandbox = FakeSandbox({"app-database": "database", "app-cache": "cache"})
        self.alerts = FakeAlerts(AlertEvidence(scrape_interval=cycle, evaluation_interval=cycle / 2))
        self.journal = FakeJournal()
        self.loads = ScriptedLoad(self.clock)
        self.operator = FakeOperator({"failover": lambda: None, "drain": lambda: None, "failover-off": lambda: None})
        self.census = FakeCensus({"limit of app": "20"})
        self.records: list[Record] = []
        self.outcome = outcome
        cast = fake_cast(
            clock=self.clock,
            sandbox=self.sandbox,
            alerts=self.alerts,
            journal=self.journal,
            loads=self.loads,
            operator=self.operator,
            census=self.census,
            conclude=self.conclude,
        )
        self.run = Run(
            cast,
            scenario=SCENARIO,
            folder=Path("1"),
            control=control,
            seed=1,
            repetition=repetition,
            without=without,
            order=order,
        )

    def conclude(self, record: Record) -> Judgement:
        self.records.append(record)
        return Judgement(scenario=record.scenario.name, outcome=self.outcome, verdicts=())

    @property
    def record(self) -> Record:
        self.run.conclude(checks=[])
        return self.records[-1]


@pytest.fixture
def stage() -> Any:
    made = Stage()
    with made.sandbox:
        yield made


def test_observation_takes_its_time_divided_by_the_scale() -> None:
    """Ten runbook minutes at scale 60 are ten seconds on the wall."""
    stage = Stage(scale=60)
    stage.run.observe("calm", minutes(10))
    span = stage.record.window("calm")
    assert span is not None
    assert span.ended is not None
    assert span.ended - span.began == pytest.approx(10)


def test_a_window_is_named_once(stage: Stage) -> None:
    """Two observations of one name are refused: a report could not tell them apart."""
    stage.run.observe("calm", seconds(1))
    with pytest.raises(UsageError, match="two windows"):
        stage.run.observe("calm", seconds(1))


def test_the_undo_is_promised_before_the_fault_is_in(stage: Stage) -> None:
    """The journal has the undo while the link is still whole, and lets go of it only once it is healed."""
    link = stage.sandbox.links()[0]
    seen = []
    promise = stage.journal.promise

    def promising(undo: Any) -> str:
        seen.append(link.enabled)
        return promise(undo)

    stage.journal.promise = promising  # type: ignore[method-assign]  # watching the order is the point
    with stage.run.load(LOAD), stage.run.fault(FakeFault("database")):
        assert not link.enabled
        assert stage.journal.open
    assert seen == [True]
    assert link.enabled
    assert not stage.journal.open


def test_the_fault_is_healed_when_the_story_breaks_off(stage: Stage) -> None:
    """An exception inside the block leaves no fault behind, and is not swallowed."""
    with pytest.raises(ZeroDivisionError), stage.run.fault(FakeFault("database")):
        _ = 1 / 0
    assert stage.sandbox.links()[0].enabled
    assert stage.record.faults[0].healed_at is not None


def test_a_fault_that_can_not_be_healed_keeps_its_promise_open(stage: Stage) -> None:
    """Where the proxy is gone, the journal still holds the undo, and the record says why."""
    with stage.run.fault(FakeFault("database")):
        stage.sandbox.links()[0].dead = True
    fault = stage.record.faults[0]
    assert fault.healed_at is None
    assert "does not answer" in fault.problem
    assert stage.journal.open


def test_the_logs_that_claims_speak_of_are_in_the_record(stage: Stage) -> None:
    """A claim about a log has its evidence read when the record is frozen; here there are no logs, and that is said."""
    stage.run.conclude(checks=[encode_check(Logs("web").lacks("pool exhausted", Window("calm")))])
    (log,) = stage.records[-1].logs
    assert (log.service, log.texts) == ("web", ("pool exhausted",))
    assert "no logs" in log.problem


def test_receipts_are_taken_all_along(stage: Stage) -> None:
    """While a fault has to be in force it is looked at once a second, at its start and at its end."""
    with stage.run.load(LOAD), stage.run.fault(FakeFault("database")):
        stage.run.observe("broken", seconds(5))
    fault = stage.record.faults[0]
    assert [receipt.in_force for receipt in fault.before] == [False]
    assert len(fault.during) >= 6
    assert all(receipt.in_force for receipt in fault.during)
    assert fault.after[0].in_force is False


def test_a_lost_fault_ends_every_wait(stage: Stage) -> None:
    """A fault taken out behind our back is noticed within seconds, and nobody waits for an alert any more."""
    link = stage.sandbox.links()[0]
    began = stage.clock.now()
    stage.clock.at(began + 5, link.enable)
    with stage.run.load(LOAD), stage.run.fault(FakeFault("database")):
        assert not stage.run.wait_for(PAGE.firing, at_most=minutes(10))
    assert stage.clock.now() - began < 10
    record = stage.record
    assert any(receipt.in_force is False for receipt in record.faults[0].during)
    assert any(event.kind == "run.abandoned" for event in record.events)


class CurableFault(FakeFault):
    """One that a step may end."""

    curable = True


@pytest.mark.parametrize("fault", [FakeFault, CurableFault])
def test_a_fault_that_a_step_ended_does_not_end_the_story(stage: Stage, fault: type[FakeFault]) -> None:
    """After a step of the runbook a curable fault may be gone; one that is not curable may not."""
    link = stage.sandbox.links()[0]
    with stage.run.load(LOAD), stage.run.fault(fault("database")):
        stage.run.mitigate("failover")
        link.enable()
        stage.run.observe("mended", seconds(5))
    record = stage.record
    assert record.faults[0].curable is fault.curable
    assert any(receipt.in_force is False for receipt in record.faults[0].during)
    assert any(event.kind == "run.abandoned" for event in record.events) is not fault.curable


def test_a_curable_fault_that_ends_by_itself_ends_the_story(stage: Stage) -> None:
    """Before any step was performed it has to be in force as any other."""
    with stage.run.load(LOAD), stage.run.fault(CurableFault("database")):
        stage.sandbox.links()[0].enable()
        stage.run.observe("mended", seconds(5))
    assert any(event.kind == "run.abandoned" for event in stage.record.events)


def test_a_path_without_traffic_is_recorded_as_such(stage: Stage) -> None:
    """A link that carries nothing before the fault is put down with zero traffic."""
    stage.sandbox.links()[0].traffic = 0
    with stage.run.load(LOAD), stage.run.fault(FakeFault("database")):
        pass
    assert stage.record.faults[0].before[0].details["traffic"] == 0


def test_a_path_that_is_unused_at_the_end_is_recorded_as_such(stage: Stage) -> None:
    """A service that was led past the link meanwhile leaves it without traffic at the end."""
    with stage.run.load(LOAD):
        with stage.run.fault(FakeFault("database")):
            pass
        stage.sandbox.links()[0].traffic = 0
    assert stage.record.faults[0].after[-1].details["traffic"] == 0


def test_waiting_ends_when_the_alert_fires(stage: Stage) -> None:
    """wait_for returns true as soon as the condition holds."""
    stage.clock.at(stage.clock.now() + 3, lambda: stage.alerts.states.update(TooManyErrors="firing"))
    began = stage.clock.now()
    assert stage.run.wait_for(PAGE.firing, at_most=minutes(5))
    assert stage.clock.now() - began == pytest.approx(3, abs=0.2)


def test_waiting_gives_up_after_its_limit(stage: Stage) -> None:
    """wait_for returns false, and raises nothing, once its limit has passed."""
    began = stage.clock.now()
    assert not stage.run.wait_for(PAGE.firing, at_most=minutes(5))
    assert stage.clock.now() - began == pytest.approx(300)


@pytest.mark.parametrize("cause", ["load", "alerts"])
def test_nobody_waits_for_what_can_not_be_proven_any_more(stage: Stage, cause: str) -> None:
    """Once the generator is dead or Prometheus is gone for long, every wait ends at once."""

    def lose() -> None:
        if cause == "load":
            stage.loads.alive = False
        else:
            stage.alerts.trouble = "Prometheus has not answered for 10 s"

    stage.clock.at(stage.clock.now() + 2, lose)
    began = stage.clock.now()
    with stage.run.load(LOAD):
        stage.run.observe("calm", minutes(10))
        stage.run.wait_for(PAGE.firing, at_most=minutes(10))
    assert stage.clock.now() - began < 5


def test_without_fault_control_leaves_the_fault_out() -> None:
    """Under no-fault the block runs on a whole system, and the record says that it was skipped."""
    stage = Stage(control=Control.NO_FAULT)
    with stage.sandbox, stage.run.fault(FakeFault("database")) as outage:
        assert stage.sandbox.links()[0].enabled
    record = stage.record
    assert record.faults[0].skipped
    assert record.faults[0].window == outage.start.window
    assert record.instant(outage.start) is not None


def test_without_mitigation_control_leaves_the_steps_out() -> None:
    """Under no-mitigation no step is performed, and each is recorded as skipped."""
    stage = Stage(control=Control.NO_MITIGATION)
    stage.run.mitigate("failover")
    stage.run.restore("failover")
    assert not stage.operator.performed
    assert [(step.name, step.skipped) for step in stage.record.steps] == [("failover", True), ("failover-off", True)]


def test_an_ablation_leaves_out_a_step_and_what_takes_it_back() -> None:
    """A step left out is recorded as skipped, with its way back: there is nothing to take back."""
    stage = Stage(control=Control.ABLATION, without=["failover"])
    stage.run.mitigate("failover", "drain")
    stage.run.restore("failover")
    assert stage.operator.performed == ["drain"]
    assert [(step.name, step.skipped) for step in stage.record.steps] == [
        ("failover", True),
        ("drain", False),
        ("failover-off", True),
    ]


def test_an_ablation_changes_the_order_of_one_call() -> None:
    """Steps that one call names are performed in the order asked for, and the record tells that they were."""
    stage = Stage(control=Control.ABLATION, order=["drain", "failover"])
    stage.run.mitigate("failover", "drain")
    stage.run.restore("failover")
    assert stage.operator.performed == ["drain", "failover", "failover-off"]
    assert [event.details["written"] for event in stage.record.events if event.kind == REORDERED] == ["failover, drain"]


def test_looking_is_performed_under_every_control() -> None:
    """What only looks is no mitigation: a control leaves it where it is."""
    stage = Stage(control=Control.NO_MITIGATION)
    stage.run.look("drain")
    stage.run.mitigate("failover")
    assert stage.operator.performed == ["drain"]


def test_restore_performs_the_steps_that_take_back(stage: Stage) -> None:
    """What a mitigation did is taken back by the runbook's own steps for it."""
    stage.run.mitigate("failover")
    stage.run.restore("failover")
    assert stage.operator.performed == ["failover", "failover-off"]


def test_an_unknown_step_is_refused_before_any_is_performed(stage: Stage) -> None:
    """A typo in a step's name is a usage error, and no step of the call runs."""
    with pytest.raises(UsageError, match="no such step"):
        stage.run.mitigate("failover", "failovr")
    assert not stage.operator.performed


def test_a_fault_on_a_link_that_does_not_exist_is_refused(stage: Stage) -> None:
    """Whatever keeps a fault from working is said before anything is touched."""
    with pytest.raises(UsageError, match="no link leads to databse"), stage.run.fault(FakeFault("databse")):
        pass


def test_verify_raises_unless_everything_passed(stage: Stage) -> None:
    """Only PASS lets a scenario's test pass."""
    stage.run.verify()
    other = Stage(outcome=Outcome.UNKNOWN)
    with pytest.raises(NotProven):
        other.run.verify()


def test_a_second_verify_is_refused() -> None:
    """A scenario that caught a red verdict can't write over it with fewer claims."""
    stage = Stage(outcome=Outcome.FAIL)
    with pytest.raises(NotProven):
        stage.run.verify()
    stage.outcome = Outcome.PASS
    with pytest.raises(UsageError, match="already"):
        stage.run.verify()
    assert stage.run.judgement is not None
    assert stage.run.judgement.outcome is Outcome.FAIL


def test_nothing_goes_on_after_verify(stage: Stage) -> None:
    """What comes after the judgement would be judged by nobody, so it is refused."""
    stage.run.verify()
    with pytest.raises(UsageError, match="frozen"), stage.run.fault(FakeFault("database")):
        pass
    assert stage.sandbox.links()[0].enabled


@pytest.mark.parametrize("inside", ["load", "fault"])
def test_verify_inside_a_block_is_refused(stage: Stage, inside: str) -> None:
    """While load or fault are on there is no account of them: their soundness would go unjudged."""
    block: Any = stage.run.load(LOAD) if inside == "load" else stage.run.fault(FakeFault("database"))
    with pytest.raises(UsageError, match="still on"), block:
        stage.run.verify()
    assert not stage.records


def test_a_clock_that_was_set_and_set_back_is_recorded(stage: Stage) -> None:
    """The largest drift of the run counts, not the one that is left at its end."""
    began = stage.clock.now()
    stage.clock.at(began + 2, lambda: setattr(stage.clock, "wall_clock_moved", -3.0))
    stage.clock.at(began + 4, lambda: setattr(stage.clock, "wall_clock_moved", 0.0))
    stage.run.observe("calm", seconds(10))
    assert stage.record.clock_drift == -3.0


def test_load_in_flight_when_the_story_breaks_off_is_recorded(stage: Stage) -> None:
    """The load's record is kept though the block inside it raised."""
    with pytest.raises(SandboxError), stage.run.load(LOAD):
        raise SandboxError("gone")
    assert len(stage.record.loads) == 1


def test_a_second_load_is_refused(stage: Stage) -> None:
    """One load at a time: two would be each other's disturbance."""
    with stage.run.load(LOAD), pytest.raises(UsageError, match="on already"), stage.run.load(LOAD):
        pass


def test_a_plan_that_can_not_be_followed_is_refused(stage: Stage) -> None:
    """A plan with a negative rate never starts a generator."""
    with pytest.raises(UsageError, match="can't be followed"), stage.run.load(Arrivals.constant(-1)):
        pass
    assert stage.loads.plan is None


def test_the_fault_window_ends_before_the_healing_begins(stage: Stage) -> None:
    """`outage.end` is when the healing began, so that "before the upstream came back" is never judged too kindly."""
    with stage.run.load(LOAD), stage.run.fault(FakeFault("database")) as outage:
        stage.run.observe("broken", timedelta(seconds=2))
    record = stage.record
    ended = record.instant(outage.end)
    healed = record.faults[0].healed_at
    assert ended is not None
    assert healed is not None
    assert ended <= healed


def test_a_census_is_taken_before_and_after(stage: Stage) -> None:
    """The record says what was counted before the story and what after it."""
    stage.census.found["limit of app"] = "5"
    record = stage.record
    assert record.census_before == {"limit of app": "20"}
    assert record.census_after == {"limit of app": "5"}


def test_what_is_restored_late_is_waited_for(stage: Stage) -> None:
    """A service just restarted gets a moment to be what it was, and nobody waits where all is as before."""
    began = stage.clock.now()
    assert stage.record.ended == stage.clock.now() == began
    stage.census.found["limit of app"] = "5"
    stage.clock.at(began + 1, lambda: stage.census.found.update({"limit of app": "20"}))
    assert stage.record.census_after == {"limit of app": "20"}
    assert stage.clock.now() - began < 1.5


def test_a_story_that_broke_is_not_counted(stage: Stage) -> None:
    """Where we broke off there is no use in a second census."""
    stage.run.conclude(checks=[], error="it broke")
    assert stage.records[-1].census_after is None


def phases(repetition: int, control: Control = Control.NONE) -> list[tuple[float, float]]:
    """Of each of two faults of a run: the share of the cycle of 0.4 s that was drawn, and how long was waited."""
    stage = Stage(repetition=repetition, cycle=0.4, control=control)
    waited = []
    with stage.sandbox:
        for upstream in ("database", "cache"):
            before = stage.clock.now()
            with stage.run.fault(FakeFault(upstream)):
                pass
            waited.append((before, upstream))
        found = [event for event in stage.record.events if event.kind == PHASE]
    if repetition:
        assert stage.record.repetition == repetition
        assert [event.details["cycle"] for event in found] == [0.4, 0.4]
    return [
        (float(event.details["share"] or 0), event.at - before)
        for event, (before, _) in zip(found, waited, strict=False)
    ]


def test_each_fault_of_a_series_has_a_phase_of_its_own() -> None:
    """It is a share of the watchers' longer cycle, waited before the fault and written down; the same repetition has
    the same draws, another has others, and a control has those of the run that it controls."""
    one, two = phases(1), phases(2)
    assert [waited for _, waited in one] == pytest.approx([share * 0.4 for share, _ in one])
    assert len({share for share, _ in (*one, *two)}) == 4
    assert phases(1) == one
    assert phases(1, Control.NO_FAULT) == one


def test_the_phases_of_a_long_series_are_spread_evenly() -> None:
    """Of a hundred repetitions each quarter of the cycle has its part."""
    shares = [phases(number)[0][0] for number in range(1, 101)]
    assert all(15 <= sum(low <= share < low + 0.25 for share in shares) <= 35 for low in (0, 0.25, 0.5, 0.75))


def test_a_run_by_itself_waits_for_no_phase() -> None:
    """Nothing is drawn, and the story takes no longer than it says."""
    assert phases(0) == []


def test_a_checkpoint_looks_measures_and_watches_in_one_window() -> None:
    """Its steps and its benchmark come first and then it watches; what it claims is of its window, and the benchmark is
    in the record with every request. A control that leaves out mitigations leaves none of it out."""
    stage = Stage(scale=60, control=Control.NO_MITIGATION)
    measure = Benchmark("app", 80, "/", requests=100, at_once=10, p99=seconds(1), rate=50, mean=seconds(1))
    early = Checkpoint("early", minutes(5), minutes(3), (measure,), look=("drain",))
    late = Checkpoint("late", minutes(30), minutes(3), (Logs("app").without("x"),))
    well = stage.run.observe("well", minutes(1))
    claims = stage.run.check(early, late, of=well.end)
    assert [claim.kind for claim in claims] == ["checkpoint.begun", "benchmark.met", "checkpoint.begun", "log.lacks"]
    record = stage.record
    window, step = record.window("early"), record.window("drain")
    assert window is not None
    assert step is not None
    assert window.began <= step.began
    assert (window.ended or 0) - window.began == pytest.approx(3 + 0.1)
    assert stage.operator.performed == ["drain"]
    (ran,) = record.benchmarks
    assert (ran.window, ran.target, len(ran.replies)) == ("early", "app:80/", 100)
    assert [claim.judge(record).outcome for claim in claims[:3]] == [Outcome.PASS] * 3
    kinds = [event.kind for event in record.events]
    assert kinds.index("benchmark.began") < kinds.index("benchmark.ended")


def test_a_run_that_has_lost_its_meaning_measures_nothing_more() -> None:
    """Once nothing can be proven any more a benchmark is not run: its claim is UNKNOWN."""
    stage = Stage()
    measure = Benchmark("app", 80, "/", requests=100, at_once=10, p99=seconds(1), rate=50, mean=seconds(1))
    well = stage.run.observe("well", seconds(1))
    stage.alerts.trouble = "Prometheus is gone"
    claims = stage.run.check(Checkpoint("early", minutes(5), minutes(1), (measure,)), of=well.end)
    assert stage.record.benchmarks == ()
    assert claims[1].judge(stage.record).outcome is Outcome.UNKNOWN


def test_levels_are_asked_for_what_was_claimed() -> None:
    """The claims are made by then, and the windows are there: that is what Prometheus is asked about."""
    asked: list[tuple[list[str], list[str]]] = []
    stage = Stage()

    def levels(checks: Any, windows: Any) -> tuple[()]:
        asked.append(([check["kind"] for check in checks], [span.name for span in windows]))
        return ()

    cast = replace(fake_cast(clock=stage.clock, conclude=stage.conclude), levels=levels)
    run = Run(cast, scenario=SCENARIO, folder=Path("1"), control=Control.NONE, seed=1)
    calm = run.observe("calm", seconds(1))
    run.verify(Level("the CPU", "cpu").below(1).during(calm))
    assert asked == [(["level.kept"], ["calm"])]
