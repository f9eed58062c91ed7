"""Record: all that a judge or a report may look at. Judging it again needs no system.

All instants are wall time in seconds since the epoch, all durations wall seconds unless their comment says otherwise.
Runbook time is wall time multiplied by `time_scale`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.model.benchmark import BenchmarkRecord
from harness.model.impact import ImpactEvidence
from harness.model.load import Sample
from harness.model.timeline import Event, Moment, Scalar, Span
from harness.model.verdict import Control

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is tried: `hypothesis` is the test's docstring, `source` its file relative to the project's root.
    `fingerprint` tells one version of that file from another."""

    name: str
    hypothesis: str
    source: str = ""
    fingerprint: str = ""


# -- faults ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an independent probe saw of a fault at one instant.

    `in_force` is None where the probe could not tell. `measured` against `intended` is its size, in words with units.
    """

    at: float
    in_force: bool | None
    intended: str
    measured: str
    details: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRecord:
    """One fault: what was asked, when it was put in and taken out, and every receipt taken meanwhile.

    `window` names its span. `before` are receipts of the healthy state (each must say that the fault is not in
    force), `during` those while it had to be in force, `after` those once it was healed. `skipped` is true
    where a control left it out, `curable` where a mitigation may end the fault before it is healed.
    """

    window: str
    description: str
    settings: Mapping[str, Any]
    injected_at: float | None = None
    healed_at: float | None = None
    before: tuple[Receipt, ...] = ()
    during: tuple[Receipt, ...] = ()
    after: tuple[Receipt, ...] = ()
    skipped: bool = False
    curable: bool = False
    problem: str = ""


# -- runbook steps -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """One command line of a step, as it was run. `variant` tells the runbook's own text from its correction."""

    variant: Literal["as-written", "corrected"]
    text: str
    began: float
    ended: float
    exit_status: int | None  # None: it was stopped at its time limit, or refused
    output: str
    refused: str = ""
    saved: float = 0.0  # seconds of the text's own sleeps that the time scale spared us


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRecord:
    """The effect that a step claims, observed on the sandbox: None for a value that could not be read.

    `held` is None where it could not be observed. `at` is when it first held (or when we gave up).
    """

    claim: str
    variant: Literal["as-written", "corrected"]
    before: str | None
    after: str | None
    held: bool | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One runbook step: its commands, its effect, and whether it met its deadline (`deadline` in real seconds).

    `finding` says what the runbook's own text failed to do; `accepted` is the reason why that finding is known and
    tolerated (empty: it is new, and fails the step). `no_undo` says why the runbook has no way back from it, where it
    has none, `not_here` why its lines can't be run in this system.
    """

    window: str
    name: str
    source: str  # "503-error-spike.md:123"
    purpose: Literal["mitigate", "restore", "look"]
    deadline: float | None
    commands: tuple[CommandRecord, ...] = ()
    effects: tuple[EffectRecord, ...] = ()
    finding: str = ""
    accepted: str = ""
    no_undo: str = ""
    not_here: str = ""
    skipped: bool = False
    problem: str = ""


# -- load --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRecord:
    """What the load generator planned and did, by its own account and by ours.

    `complete` is true only where the generator signed off itself: a killed one leaves it false. `sha256` is that of
    the samples file, so that a truncated copy can't be judged as if it were whole.
    """

    window: str
    plan: str
    target: str
    began: float
    ended: float | None
    planned: int  # arrivals that the plan called for until the end
    sent: int
    finished: int
    in_flight: int  # still unanswered when the load ended
    dropped: int  # never sent, because the generator's own bound on open requests was reached
    complete: bool
    lateness_p99: float | None  # seconds between the planned and the actual start of a request
    lateness_max: float | None
    generator_cpu: float | None  # share of one core
    samples_file: str = ""
    samples_count: int = 0
    sha256: str = ""
    problem: str = ""


# -- alerts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSample:
    """One evaluation of an alert that found it active, as Prometheus stored it.

    `active_since` is Prometheus' own instant at which the alert became pending.
    """

    at: float
    name: str
    state: Literal["pending", "firing"]
    labels: Mapping[str, str]
    active_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One alert inside one message that Alertmanager delivered to our receiver at `at`."""

    at: float
    status: Literal["firing", "resolved"]
    name: str
    labels: Mapping[str, str]
    starts_at: float
    ends_at: float | None
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An alerting rule as Prometheus had it loaded. `hold` (its `for`) in wall seconds; `health` is ok, err or
    unknown."""

    name: str
    expr: str
    hold: float
    labels: Mapping[str, str]
    health: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Raw samples of one time series, oldest first: pairs of (instant, value)."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeMetrics:
    """What else there was of the metrics that rules read, so that another rule over them can be tried later: from the
    instant `since` on, `series` together with an alert's inputs are all there is of `metrics`. `cut` says what was left
    out because it is too much."""

    since: float
    metrics: tuple[str, ...] = ()
    series: tuple[Series, ...] = ()
    cut: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch in which `source` (prometheus, alertmanager, receiver) did not answer, and what it said instead."""

    source: str
    began: float
    ended: float
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvidence:
    """What was read of Prometheus, Alertmanager and the receiver; `problems` says what could not be read.

    `states` come from Prometheus' own storage, read once at the end. `rules` are those loaded at the start,
    `rules_at_end` those at the end (None: could not be read). `up` holds the raw samples of every scrape target,
    `inputs` the raw samples of the series that each alert's expression selects, by alert name; `whole` is what no check
    looks at.
    """

    read: bool = False
    states: tuple[AlertSample, ...] = ()
    rules: tuple[Rule, ...] | None = None
    rules_at_end: tuple[Rule, ...] | None = None
    up: tuple[Series, ...] = ()
    inputs: Mapping[str, tuple[Series, ...]] = field(default_factory=dict)
    whole: WholeMetrics | None = None
    notifications: tuple[Notification, ...] = ()
    notifications_read: bool = False
    gaps: tuple[Gap, ...] = ()
    problems: tuple[str, ...] = ()
    scrape_interval: float = 0.0
    evaluation_interval: float = 0.0


# -- levels ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelEvidence:
    """What Prometheus told of the expression `expr`, as its author wrote it, every `step` wall seconds from `began` to
    the end of a window. `problem` says why it could not be asked."""

    expr: str
    window: str
    began: float = 0.0
    step: float = 0.0
    series: tuple[Series, ...] = ()
    problem: str = ""


# -- logs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a service's log, written at some instant from `began` to `ended`; `began` is None where nothing in
    the log tells."""

    text: str
    began: float | None
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvidence:
    """What was read of one service's log: every line that holds one of `texts`, the texts that claims speak of.

    `first` is the earliest instant that any of its lines carries (None: none does), so that a log which does not reach
    back is seen as such. `problem` says why it could not be read.
    """

    service: str
    texts: tuple[str, ...]
    lines: tuple[LogLine, ...] = ()
    first: float | None = None
    problem: str = ""


# -- the machine -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLook:
    """The cores used on average in the `seconds` until `at`: `busy` by everybody, `ours` by the run and its sandbox."""

    at: float
    seconds: float
    busy: float
    ours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEvidence:
    """How busy a machine of `cores` was all through a run."""

    cores: int
    looks: tuple[MachineLook, ...]


# -- the whole ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that happened in one run of one scenario.

    `repetition` numbers the runs of a series whose phases were drawn, from 1; 0 is a run by itself. `checks` are the
    claims to judge, in their JSON form; `harness.judge` reads them. `samples` are kept in a file of their own beside
    `record.json` and come back with `store.load`; the requests of `benchmarks` stand in it. The two censuses say what
    was set and held before the story and after it, `machine` how busy the machine was, `impact` what the incident cost
    by the system's own log (None: nobody looked). `error` is our own failure, if we broke.
    """

    format: int = FORMAT
    run_id: str
    scenario: Scenario
    control: Control
    time_scale: float
    seed: int
    repetition: int = 0
    runtime: str
    began: float
    ended: float
    versions: Mapping[str, str] = field(default_factory=dict)
    windows: tuple[Span, ...] = ()
    events: tuple[Event, ...] = ()
    faults: tuple[FaultRecord, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    loads: tuple[LoadRecord, ...] = ()
    alerts: AlertEvidence = field(default_factory=AlertEvidence)
    benchmarks: tuple[BenchmarkRecord, ...] = ()
    levels: tuple[LevelEvidence, ...] = ()
    logs: tuple[LogEvidence, ...] = ()
    clock_drift: float = 0.0
    machine: MachineEvidence | None = None
    impact: ImpactEvidence | None = None
    checks: tuple[Mapping[str, Any], ...] = ()
    census_before: Mapping[str, str] | None = None
    census_after: Mapping[str, str] | None = None
    error: str = ""
    samples: tuple[Sample, ...] = field(default=(), repr=False, compare=False)

    def window(self, name: str) -> Span | None:
        """The window called `name`, or None."""
        return next((span for span in self.windows if span.name == name), None)

    def instant(self, moment: Moment) -> float | None:
        """When `moment` was, or None where its window never began or never ended."""
        span = self.window(moment.window)
        if span is None:
            return None
        return span.began if moment.edge == "start" else span.ended

    def during(self, spans: Iterable[Span]) -> tuple[Sample, ...]:
        """The samples whose planned instant lies in one of `spans` (start included, end excluded)."""
        bounds = [(span.began, span.ended if span.ended is not None else self.ended) for span in spans]
        return tuple(sample for sample in self.samples if any(a <= sample.planned < b for a, b in bounds))
