"""Run: the conductor of one scenario. It acts and records; it never decides whether things went well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness.cast import Cast, Condition, RunningLoad
from harness.clock import wall_seconds
from harness.errors import HarnessError, UsageError
from harness.faults import Fault, encode
from harness.judge import ABANDONED, CLAIMED, encode_check, fingerprint
from harness.model.check import Check
from harness.model.judgement import Judgement
from harness.model.load import Arrivals
from harness.model.record import FaultRecord, LoadRecord, Receipt, Record, Scenario, StepRecord
from harness.model.timeline import Event, Scalar, Span, SpanKind, Window
from harness.model.verdict import Control, Outcome
from harness.sandbox.base import require

# How often (wall seconds) a fault is looked at while it has to be in force, and how often a wait looks up.
RECEIPT_INTERVAL = 1.0
TICK = 0.1
# How long (wall seconds) a path is watched for traffic, and how long the trace of our own probe takes to settle.
TRAFFIC_WATCH = 1.0
PROBE_SETTLES = 0.25


@dataclass(slots=True)
class _Story:
    """What has been recorded so far; append only."""

    windows: list[Span] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    faults: list[FaultRecord] = field(default_factory=list)
    steps: list[StepRecord] = field(default_factory=list)
    loads: list[LoadRecord] = field(default_factory=list)


class NotProven(AssertionError):
    """The scenario's claims were judged and the outcome is not PASS; `judgement` has every verdict."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__("\n".join(map(str, judgement.verdicts)))
        self.judgement = judgement


class Run:
    """One scenario, while it runs. Scenarios call its methods in the order of their story and end with `verify`."""

    def __init__(self, cast: Cast, *, scenario: Scenario, folder: Path, control: Control, seed: int) -> None:
        self._cast = cast
        self._scenario = scenario
        self.folder = folder
        self._control = control
        self._seed = seed
        self._story = _Story()
        self._began = cast.clock.now()
        self._load: RunningLoad | None = None
        self._faults: list[Fault] = []  # in step with the story's fault records
        self._fault_trouble = ""
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
        self._see_paths_were_used_again()

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
        name = self._unused(str(fault))
        record = FaultRecord(window=name, description=str(fault), settings=encode(fault))
        if self._control is Control.NO_FAULT:
            with self._window(name, "fault") as window:
                yield window
            self._keep(fault, replace(record, skipped=True))
            return
        with _FaultKeeper(self, fault, record) as keeper, self._window(name, "fault") as window:
            keeper.inject()
            with self._cast.clock.every(RECEIPT_INTERVAL, keeper.look):
                yield window
            keeper.look()

    def mitigate(self, *steps: str) -> Window:
        """Perform the runbook's steps, in this order, as its operators would. Returns the window of the last one."""
        return self._perform(steps)

    def restore(self, *steps: str) -> Window:
        """Take back what `steps` did, by the runbook's own steps for it."""
        return self._perform([back for step in steps for back in self._cast.operator.taking_back(step)])

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
            raise NotProven(judgement)
        return judgement

    # -- for the session -----------------------------------------------------------------------------------------

    def conclude(self, *, checks: Sequence[Mapping[str, Any]], error: str = "") -> Judgement:
        """Collect the evidence, freeze the record and hand it over to be saved and judged."""
        clock, sandbox, story = self._cast.clock, self._cast.sandbox, self._story
        ended = clock.now()
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
            faults=tuple(story.faults),
            steps=tuple(story.steps),
            loads=tuple(story.loads),
            alerts=self._cast.alerts.collect(self._began, ended),
            clock_drift=self._worst_drift(),
            checks=tuple(checks),
            error=error,
        )
        self.judgement = self._cast.conclude(record)
        return self.judgement

    # -- windows, events, waiting --------------------------------------------------------------------------------

    def _unused(self, name: str) -> str:
        taken = {span.name for span in self._story.windows} | {fault.window for fault in self._story.faults}
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
            self._hopeless = dead or self._fault_trouble or self._cast.alerts.blind()
            if self._hopeless:
                self._event(ABANDONED, self._hopeless)
        return bool(self._hopeless)

    def _status(self) -> str:
        load = self._load.summary() if self._load else "no load"
        return f"{load} | {self._cast.alerts.summary()}"

    # -- steps ---------------------------------------------------------------------------------------------------

    def _perform(self, steps: Sequence[str]) -> Window:
        operator = self._cast.operator
        if problems := operator.problems(steps):
            raise UsageError("the runbook has no such step", problems=problems, hint="see `gameday runbook outline`")
        if not steps:
            raise UsageError("no step was named")
        for step in steps:
            with self._window(step, "step") as window:
                skipped = self._control is Control.NO_MITIGATION or self._pointless()
                record = operator.skip(step, window.name) if skipped else operator.perform(step, window.name)
            self._story.steps.append(record)
            if record.finding:
                self._event("step.finding", record.finding, accepted=record.accepted)
        return window

    # -- faults --------------------------------------------------------------------------------------------------

    def _keep(self, fault: Fault, record: FaultRecord) -> None:
        self._faults.append(fault)
        self._story.faults.append(record)

    def _traffic(self, fault: Fault) -> int | str | None:
        """The fault's traffic count, or why it can't be read; None for a fault that has none."""
        try:
            return fault.traffic(self._cast.sandbox)
        except HarnessError as problem:
            return str(problem)

    def _see_paths_were_used_again(self) -> None:
        """A path that nobody used between the healing and the end was by-passed meanwhile: the fault did not hit what
        it claims to, and what looked like recovery may be the by-pass."""
        for index, (fault, record) in enumerate(zip(self._faults, self._story.faults, strict=True)):
            if record.healed_at is None or self._hopeless:
                continue
            with suppress(HarnessError):  # a dead proxy is seen by the receipt
                fault.flush(self._cast.sandbox)
            self._cast.clock.sleep(PROBE_SETTLES)
            grown = _growth(record.after[-1].details.get("counted"), self._traffic(fault))
            receipt = self._receipt(fault, traffic=grown)
            self._story.faults[index] = replace(record, after=(*record.after, receipt))

    def _receipt(self, fault: Fault, **details: Scalar) -> Receipt:
        clock = self._cast.clock
        began = clock.now()
        try:
            receipt = fault.receipt(self._cast.sandbox, began)
        except Exception as problem:  # whatever a probe dies of, the answer is that nobody knows
            receipt = Receipt(at=began, in_force=None, intended=str(fault), measured=f"the probe failed: {problem!r}")
        return replace(receipt, details={**receipt.details, **details, "took": round(clock.now() - began, 3)})


def _growth(first: Scalar, now: Scalar) -> int | str | None:
    """How far a count has grown; None where there is none, and in words why nobody knows."""
    if isinstance(first, int) and isinstance(now, int):
        return now - first
    return None if first is None and now is None else f"the traffic could not be counted: {first}, then {now}"


class _FaultKeeper:
    """Keeps one fault's record, and the promise to heal it."""

    def __init__(self, run: Run, fault: Fault, record: FaultRecord) -> None:
        self._run = run
        self._fault = fault
        self._record = record
        self._during: list[Receipt] = []
        self._undo = ExitStack()
        self._counted: int | str | None = None

    def __enter__(self) -> _FaultKeeper:
        clock = self._run._cast.clock
        before = self._run._receipt(self._fault)
        clock.sleep(PROBE_SETTLES)
        self._counted = self._run._traffic(self._fault)
        clock.sleep(TRAFFIC_WATCH)
        self._record = replace(self._record, before=(before,))
        return self

    def inject(self) -> None:
        cast = self._run._cast
        promise = cast.journal.promise(encode(self._fault))
        self._undo.callback(self._heal, promise)
        self._record = replace(self._record, injected_at=cast.clock.now())
        self._fault.inject(cast.sandbox)
        self._run._event("fault.injected", str(self._fault))
        self._count()

    def _count(self) -> None:
        """What the path carried until the fault cut it; our own probe does not count."""
        grown = _growth(self._counted, self._run._traffic(self._fault))
        before = self._record.before[-1]
        self._record = replace(self._record, before=(replace(before, details={**before.details, "traffic": grown}),))
        if grown is not None and not isinstance(grown, int):
            self._run._fault_trouble = grown
        elif grown is not None and grown <= 0:
            self._run._fault_trouble = f"nothing uses what {self._fault} breaks"

    def look(self) -> None:
        receipt = self._run._receipt(self._fault)
        self._during.append(receipt)
        if not receipt.in_force:
            self._run._fault_trouble = f"the fault is not in force: {receipt.measured}"

    def __exit__(self, *_: object) -> None:
        try:
            self._undo.close()
        finally:
            self._run._keep(self._fault, replace(self._record, during=tuple(self._during)))

    def _heal(self, promise: str) -> None:
        cast = self._run._cast
        try:
            self._fault.heal(cast.sandbox)
        except HarnessError as problem:
            self._record = replace(self._record, problem=str(problem))
            self._run._event("fault.heal-failed", str(problem))
            return
        after = self._run._receipt(self._fault)
        cast.clock.sleep(PROBE_SETTLES)
        after = replace(after, details={**after.details, "counted": self._run._traffic(self._fault)})
        self._record = replace(self._record, healed_at=cast.clock.now(), after=(after,))
        if after.in_force is False:
            cast.journal.kept(promise)
        self._run._event("fault.healed", str(self._fault))
