"""Run: the conductor of one scenario. It acts and records; it never decides whether things went well."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness.cast import Cast, Condition, RunningLoad
from harness.census.unchanged import differences, no_way_back
from harness.clock import wall_seconds
from harness.errors import UsageError
from harness.faults import Fault
from harness.judge import ABANDONED, CLAIMED, REORDERED, encode_check, fingerprint
from harness.keeper import FaultKeeper
from harness.logs.collect import collect as collect_logs
from harness.model.check import Check
from harness.model.judgement import Judgement
from harness.model.load import Arrivals
from harness.model.record import LoadRecord, Record, Scenario, StepRecord
from harness.model.timeline import Event, Scalar, Span, SpanKind, Window
from harness.model.verdict import Control, Outcome
from harness.sandbox.base import require

# How often (wall seconds) a fault is looked at while it has to be in force, and how often a wait looks up.
RECEIPT_INTERVAL = 1.0
TICK = 0.1
# How long (wall seconds) what was restored may take until it is what it was before.
CENSUS_SETTLES = 3.0


@dataclass(slots=True)
class _Story:
    """What has been recorded so far; append only."""

    windows: list[Span] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    steps: list[StepRecord] = field(default_factory=list)
    loads: list[LoadRecord] = field(default_factory=list)


class NotProven(AssertionError):
    """The scenario's claims were judged and the outcome is not PASS; `judgement` has every verdict."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__("\n".join(map(str, judgement.verdicts)))
        self.judgement = judgement

    @classmethod
    def by(cls, judgement: Judgement) -> NotProven:
        """What stands for `judgement`: an INVALID run has a type of its own, by which others can tell it."""
        return InvalidRun(judgement) if judgement.outcome is Outcome.INVALID else NotProven(judgement)


class InvalidRun(NotProven):
    """The experiment was not the one intended: this run says nothing about the system, and may be repeated."""


class Run:
    """One scenario, while it runs. Scenarios call its methods in the order of their story and end with `verify`."""

    def __init__(
        self,
        cast: Cast,
        *,
        scenario: Scenario,
        folder: Path,
        control: Control,
        seed: int,
        without: Collection[str] = (),
        order: Sequence[str] = (),
    ) -> None:
        self._cast = cast
        self._scenario = scenario
        self.folder = folder
        self._control = control
        self._seed = seed
        self._without = frozenset(without)
        self._order = tuple(order)
        self._story = _Story()
        self._census = cast.census.take()
        self._began = cast.clock.now()
        self._load: RunningLoad | None = None
        self._keepers: list[FaultKeeper] = []
        self._hopeless = ""
        self._drift = 0.0
        self.claimed: Sequence[Mapping[str, Any]] = ()
        self._frozen = False
        self.judgement: Judgement | None = None

    # -- what a scenario says ------------------------------------------------------------------------------------

    @contextmanager
    def load(self, plan: Arrivals, name: str = "load") -> Iterator[Window]:
        """Users arrive as `plan` says until the block ends. One load at a time."""
        if self._load is not None:
            raise UsageError("load is on already", hint="add the plans up and open one load")
        if problems := plan.problems():
            raise UsageError(f"the load plan {plan} can't be followed", problems=problems)
        with self._window(name, "load") as window:
            load = self._load = self._cast.loads.start(plan, window.name)
            try:
                yield window
            finally:
                load.stop()
                self._load = None
                self._story.loads.append(load.record)
        if not self._hopeless:
            for keeper in self._keepers:
                keeper.look_for_traffic_again()

    def observe(self, name: str, duration: timedelta) -> Window:
        """Let `duration` of runbook time pass; the window it returns is what objectives are judged on."""
        with self._window(name, "observe") as window:
            self._pause(name, wall_seconds(duration, self._cast.clock), lambda: False)
        return window

    def wait_for(self, condition: Condition, *, at_most: timedelta) -> bool:
        """Wait until `condition` holds, at most so long (runbook time). Giving up is no failure: `verify` judges."""
        with self._window(f"wait for {condition}", "wait"):
            limit = wall_seconds(at_most, self._cast.clock)
            met = self._pause(f"waiting: {condition}", limit, lambda: self._cast.alerts.holds(condition))
        self._event("wait.met" if met else "wait.gave-up", str(condition))
        return met

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[Window]:
        """The fault is in force inside the block, and healed at its end whatever happens in it."""
        require(self._cast.sandbox, *fault.needs)
        if problems := fault.problems(self._cast.sandbox):
            raise UsageError(f"the fault {fault} can't be injected", problems=problems)
        keeper = FaultKeeper(self._cast, fault, self._unused(str(fault)), self._event)
        self._keepers.append(keeper)
        if self._control is Control.NO_FAULT:
            keeper.skip()
            with self._window(keeper.record.window, "fault") as window:
                yield window
            return
        with keeper, self._window(keeper.record.window, "fault") as window:
            keeper.inject()
            with self._cast.clock.every(RECEIPT_INTERVAL, keeper.look):
                yield window
                told = self._cast.clock.now()
            keeper.look_since(told)

    def mitigate(self, *steps: str) -> Window:
        """Perform the runbook's steps, in this order, as its operators would. Returns the window of the last one."""
        return self._perform(self._reordered(steps), left_out=self._without)

    def look(self, *steps: str) -> Window:
        """Perform steps of the runbook that change nothing: diagnosis, monitoring. Returns the window of the last."""
        return self._perform(steps, looking=True)

    def restore(self, *steps: str) -> Window:
        """Take back what `steps` did, by the runbook's own steps for it. Of those left out there is nothing to take
        back."""
        ways = {step: self._cast.operator.taking_back(step) for step in steps}
        wanted = {back for step, way in ways.items() if step not in self._without for back in way}
        backs = [back for way in ways.values() for back in way]
        return self._perform(backs, left_out=(frozenset(backs) - wanted) | self._without)

    def verify(self, *checks: Check) -> Judgement:
        """Freeze the record and judge every claim at once, when all else is over. Raises NotProven where the outcome
        is not PASS."""
        self._refuse_if_frozen("verify")
        if still_on := [span.name for span in self._story.windows if span.ended is None]:
            said = f"verify was called while {', '.join(still_on)} was still on: its account is missing"
            raise UsageError(said, hint="call it after every `with` block of the story")
        self.claimed = [encode_check(check) for check in checks]
        self._event(CLAIMED, f"{len(checks)} claims", sha256=fingerprint(self.claimed))
        self._frozen = True
        judgement = self.conclude(checks=self.claimed)
        if judgement.outcome is not Outcome.PASS:
            raise NotProven.by(judgement)
        return judgement

    # -- for the session -----------------------------------------------------------------------------------------

    def conclude(self, *, checks: Sequence[Mapping[str, Any]], error: str = "") -> Judgement:
        """Collect the evidence, freeze the record and hand it over to be saved and judged."""
        clock, sandbox, story = self._cast.clock, self._cast.sandbox, self._story
        ended = clock.now()
        faults = tuple(keeper.record for keeper in self._keepers)
        alerts = self._cast.alerts.collect(self._began, ended)
        record = Record(
            run_id=self.folder.name,
            scenario=self._scenario,
            control=self._control,
            time_scale=clock.scale,
            seed=self._seed,
            runtime=sandbox.runtime,
            began=self._began,
            ended=ended,
            versions=dict(sandbox.versions),
            windows=tuple(story.windows),
            events=tuple(story.events),
            faults=faults,
            steps=tuple(story.steps),
            loads=tuple(story.loads),
            alerts=alerts,
            logs=collect_logs(sandbox, checks, clock.now()),
            clock_drift=self._worst_drift(),
            machine=self._cast.machine(),
            impact=self._cast.impact(faults, alerts, (self._began, ended)),
            checks=tuple(checks),
            census_before=self._census,
            census_after=None if error else self._census_after(),
            error=error,
        )
        self.judgement = self._cast.conclude(record)
        return self.judgement

    def _census_after(self) -> Mapping[str, str]:
        """The census once it is what it was before, as far as it can be; a service just restarted needs a moment."""
        clock, known = self._cast.clock, no_way_back(self._story.steps)
        deadline = clock.now() + CENSUS_SETTLES
        while True:
            after = self._cast.census.take()
            if not differences(self._census, after).keys() - known.keys() or clock.now() >= deadline:
                return after
            clock.sleep(TICK)

    # -- windows, events, waiting --------------------------------------------------------------------------------

    def _unused(self, name: str) -> str:
        taken = {span.name for span in self._story.windows}
        numbered = (name if n == 1 else f"{name} ({n})" for n in range(1, 10_000))
        return next(candidate for candidate in numbered if candidate not in taken)

    @contextmanager
    def _window(self, name: str, kind: SpanKind) -> Iterator[Window]:
        """A named stretch of the run. `observe` must be given a new name; the others are numbered."""
        self._refuse_if_frozen(name)
        unused = self._unused(name)
        if kind == "observe" and unused != name:
            raise UsageError(f"two windows are called {name!r}", hint="give each a name that a report can show")
        index = len(self._story.windows)
        self._story.windows.append(Span(name=unused, kind=kind, began=self._cast.clock.now()))
        self._event(f"{kind}.began", unused)
        try:
            yield Window(unused)
        finally:
            span = self._story.windows[index]
            self._story.windows[index] = replace(span, ended=self._cast.clock.now())
            self._event(f"{kind}.ended", unused)

    def _refuse_if_frozen(self, what: str) -> None:
        """What comes after `verify` would be judged by nobody; a second `verify` would write over the first verdict."""
        if self._frozen:
            raise UsageError(f"{what}: the record is frozen, verify was called already", hint="verify once, at the end")

    def _worst_drift(self) -> float:
        """How far the wall clock has strayed at most: one that was set and set back has bent what lies between."""
        self._drift = max(self._drift, self._cast.clock.drift(), key=abs)
        return self._drift

    def _event(self, kind: str, subject: str, **details: Scalar) -> None:
        event = Event(at=self._cast.clock.now(), kind=kind, subject=subject, details=details)
        self._story.events.append(event)
        self._cast.progress.event(event.at - self._began, event)

    def _pause(self, phase: str, limit: float, done: Callable[[], bool]) -> bool:
        """Wait until `done` or for `limit` wall seconds; give up early once nothing can be proven any more."""
        clock = self._cast.clock
        began = clock.now()
        while not (met := done()) and (elapsed := clock.now() - began) < limit and not self._pointless():
            self._worst_drift()
            self._cast.progress.waiting(phase, elapsed, limit, self._status())
            clock.sleep(min(TICK, limit - elapsed))
        return met

    def _pointless(self) -> bool:
        """Whether this run has lost what it needs to prove anything; said once, then every wait ends at once."""
        if not self._hopeless:
            dead = "the load generator has died" if self._load is not None and not self._load.alive else ""
            lost = next((keeper.trouble for keeper in self._keepers if keeper.trouble), "")
            self._hopeless = dead or lost or self._cast.alerts.blind()
            if self._hopeless:
                self._event(ABANDONED, self._hopeless)
        return bool(self._hopeless)

    def _status(self) -> str:
        load = self._load.summary() if self._load else "no load"
        return f"{load} | {self._cast.alerts.summary()}"

    # -- steps ---------------------------------------------------------------------------------------------------

    def _reordered(self, steps: Sequence[str]) -> Sequence[str]:
        """`steps` with those that an ablation orders in that order, in the places that they have."""
        turns = iter([step for step in self._order if step in steps])
        found = [next(turns) if step in self._order else step for step in steps]
        if found != list(steps):
            self._event(REORDERED, ", ".join(found), written=", ".join(steps))
        return found

    def _perform(self, steps: Sequence[str], *, left_out: Collection[str] = (), looking: bool = False) -> Window:
        operator = self._cast.operator
        if problems := operator.problems(steps):
            raise UsageError("the runbook has no such step", problems=problems, hint="see `gameday runbook outline`")
        if not steps:
            raise UsageError("no step was named")
        for step in steps:
            with self._window(step, "step") as window:
                spared = self._control is Control.NO_MITIGATION and not looking
                skipped = spared or step in left_out or self._pointless()
                for keeper in () if skipped or looking else self._keepers:
                    keeper.mitigated()
                record = operator.skip(step, window.name) if skipped else operator.perform(step, window.name)
            self._story.steps.append(record)
            if record.finding:
                self._event("step.finding", record.finding, accepted=record.accepted)
        return window
