"""Cast: all that a run acts with, as seams. Each has a fake in `harness.testing`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.benchmark.benchmark import Benchmark
from harness.clock import Clock
from harness.model.benchmark import BenchmarkRecord
from harness.model.impact import ImpactEvidence
from harness.model.judgement import Judgement
from harness.model.load import Arrivals
from harness.model.record import (
    AlertEvidence,
    FaultRecord,
    LevelEvidence,
    LoadRecord,
    MachineEvidence,
    Record,
    StepRecord,
)
from harness.model.timeline import Event, Span
from harness.sandbox.base import Sandbox


class Condition(Protocol):
    """A state of an alert that can be waited for."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> Mapping[str, str]: ...

    @property
    def state(self) -> str: ...


class Alerts(Protocol):
    """The watched alerts while the run is on; see `harness.alerts.watch`."""

    def holds(self, condition: Condition) -> bool:
        """Whether it holds now; False where nobody knows."""
        ...

    def blind(self) -> str:
        """Why waiting for an alert has become pointless (Prometheus gone for long, say), or an empty string."""
        ...

    def summary(self) -> str:
        """The alerts' states in a few words, for people who wait."""
        ...

    def cycle(self) -> float:
        """Wall seconds in which scrapes and evaluations go round: the longer of the two; 0 where nobody knows."""
        ...

    def collect(self, began: float, ended: float) -> AlertEvidence: ...


class RunningLoad(Protocol):
    """Load that is on; see `harness.load.driver`."""

    @property
    def alive(self) -> bool: ...

    @property
    def record(self) -> LoadRecord:
        """Its record, once it has ended."""
        ...

    def summary(self) -> str: ...

    def stop(self) -> None:
        """Let it drain and end; safe to call on one that is dead."""
        ...


class Loads(Protocol):
    """Where load comes from."""

    def start(self, plan: Arrivals, window: str) -> RunningLoad: ...


class Benchmarks(Protocol):
    """Who runs benchmarks; see `harness.benchmark.driver`."""

    def run(self, benchmark: Benchmark, window: str) -> BenchmarkRecord:
        """Run it to its end, or until its time is up."""
        ...


class Operator(Protocol):
    """Whoever performs the runbook's steps."""

    def problems(self, steps: Sequence[str]) -> Sequence[str]: ...

    def perform(self, step: str, window: str) -> StepRecord: ...

    def taking_back(self, step: str) -> Sequence[str]:
        """The steps that take `step` back, in their order."""
        ...

    def skip(self, step: str, window: str) -> StepRecord:
        """The record of a step that a control leaves out."""
        ...


class Promises(Protocol):
    """The journal on disk: an undo is promised before the harm is done."""

    def promise(self, undo: Mapping[str, Any]) -> str: ...

    def kept(self, promise: str) -> None: ...


class Census(Protocol):
    """Counts what the system is set to and holds; see `harness.census`."""

    def take(self) -> Mapping[str, str]: ...


class Progress(Protocol):
    """Where people see what is going on."""

    def event(self, elapsed: float, event: Event) -> None: ...

    def waiting(self, phase: str, elapsed: float, expected: float, status: str) -> None: ...


def _nobody(faults: Sequence[FaultRecord], alerts: AlertEvidence, run: tuple[float, float]) -> ImpactEvidence | None:
    """For a cast in which nobody reads a request log."""
    return None


def _unasked(checks: Sequence[Mapping[str, Any]], windows: Sequence[Span]) -> tuple[LevelEvidence, ...]:
    """For a cast in which nobody asks Prometheus."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The players of one run."""

    sandbox: Sandbox
    clock: Clock
    alerts: Alerts
    loads: Loads
    benchmarks: Benchmarks
    operator: Operator
    journal: Promises
    census: Census
    progress: Progress
    machine: Callable[[], MachineEvidence | None]
    """How busy the machine was so far."""
    levels: Callable[[Sequence[Mapping[str, Any]], Sequence[Span]], tuple[LevelEvidence, ...]] = _unasked
    """What Prometheus has kept of the values that checks (in their JSON form) speak of, in these windows."""
    impact: Callable[[Sequence[FaultRecord], AlertEvidence, tuple[float, float]], ImpactEvidence | None] = _nobody
    """What the faults and the alerts of a run from one instant to another cost, by the system's own request log."""
    conclude: Callable[[Record], Judgement]
    """Save the record, judge it, write the reports."""
