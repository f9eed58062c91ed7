"""Worth: holds recorded runs with a step of the runbook against runs without it, and says what users got from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from harness.alerts.history import History
from harness.judge import REORDERED, crowded, judge, objectives
from harness.model.evidence import load_problem
from harness.model.load import Sample
from harness.model.record import FaultRecord, Record, StepRecord
from harness.model.timeline import Span
from harness.model.units import say_duration
from harness.model.verdict import Control, Outcome
from harness.model.worth import Gain, Measure, StepWorth
from harness.runbook.steps import Improves, Step, Steps
from harness.slo.limits import answered_rightly
from harness.slo.statistics import LEAST_FOR_MEAN, Interval, mean_interval

# Two runs of the same differ as well, which no interval from within one run knows of: less than this is no difference
# that anybody sees, however narrow the intervals are.
LEAST_SHARE = 0.01
LEAST_SECONDS = 0.1
LEAST_OF_LATENCY = 0.2  # of the larger of the two
SAME_INSTANT = 0.001  # seconds: recorded instants are rounded to a microsecond, and count from the epoch

Kept = frozenset[str]  # the mitigating steps that a run performed


def worths(steps: Steps, records: Iterable[Record]) -> tuple[StepWorth, ...]:
    """What each mitigating step was worth in each scenario that performed it as a response and without it, in the order
    of the steps file; one `not-compared` for a step that none did. Of several runs of the same, the first of `records`
    counts."""
    by_scenario: dict[str, dict[Kept, Record]] = {}
    for record in records:
        if usable(record):
            by_scenario.setdefault(record.scenario.name, {}).setdefault(kept(record), record)
    found: list[StepWorth] = []
    for step in steps.by_name.values():
        if step.purpose == "mitigate" and not step.not_here:
            told = [one for runs in by_scenario.values() if (one := _in_scenario(step, runs)) is not None]
            nowhere = "no recorded run performed it while a root cause was there"
            compared = [one for one in told if one.gain != "not-compared"] or told[:1]
            found += compared or [StepWorth(step=step.name, scenario="", gain="not-compared", why=nowhere)]
    return tuple(found)


def usable(record: Record) -> bool:
    """Whether a run is one of those that are compared: as written, or with nothing but steps left out."""
    as_written = all(event.kind != REORDERED for event in record.events)
    return record.control in (Control.NONE, Control.ABLATION) and as_written and not record.error


def kept(record: Record) -> Kept:
    """The mitigating steps that a run performed."""
    return frozenset(step.name for step in record.steps if step.purpose == "mitigate" and not step.skipped)


def responses(record: Record) -> Mapping[str, Sequence[FaultRecord]]:
    """The mitigating steps that answered a root cause that was there, or would have, had they not been left out; each
    with the causes."""
    found: dict[str, Sequence[FaultRecord]] = {}
    for step in record.steps:
        span = record.window(step.window)
        causes = [fault for fault in record.faults if span and _is_there(fault, span.began)]
        if step.purpose == "mitigate" and causes:
            found.setdefault(step.name, causes)
    return found


def _is_there(fault: FaultRecord, at: float) -> bool:
    return fault.injected_at is not None and fault.injected_at <= at < (fault.healed_at or float("inf"))


def best(told: Sequence[StepWorth]) -> StepWorth | None:
    """The one of several incidents that says most of a step: that it harms, then that it helps, and so on."""
    order: tuple[Gain, ...] = ("harms", "helps", "redundant", "no-effect", "unknown", "not-compared")
    return min(told, key=lambda one: order.index(one.gain), default=None)


# -- one step in one scenario --------------------------------------------------------------------------------------


def _in_scenario(step: Step, runs: Mapping[Kept, Record]) -> StepWorth | None:
    """What `step` was worth; None where this scenario does not perform it as a response."""
    whole = next((run for run in runs.values() if run.control is Control.NONE), None)
    if whole is None or step.name not in responses(whole) or step.name not in kept(whole):
        return None
    told = StepWorth(
        step=step.name,
        scenario=whole.scenario.name,
        gain="not-compared",
        why="there is no run without it",
        cause=" and ".join(fault.description for fault in responses(whole)[step.name]),
        runs=(whole.run_id,),
    )
    without = runs.get(kept(whole) - {step.name})
    if without is None:
        return told
    found = _compared(step, told, whole, without)
    others = [name for name in kept(whole) if name in responses(whole) and name != step.name]
    if found.gain != "no-effect" or not others:
        return found
    before = kept(whole).difference(others)  # what was done before there was anything to respond to stays
    alone, none = runs.get(before), runs.get(before - {step.name})
    by_itself = _compared(step, told, alone, none) if alone is not None and none is not None else None
    if by_itself is not None and by_itself.gain == "helps":
        return replace(found, gain="redundant", why=f"by itself: {by_itself.why}; beside the others: {found.why}")
    return found


def _compared(step: Step, told: StepWorth, with_it: Record, without: Record) -> StepWorth:
    told = replace(told, runs=(with_it.run_id, without.run_id))
    if changed := another_story(with_it, without):
        return replace(told, gain="not-compared", why=changed, again=True)
    if unlike := other_users(with_it, without):
        return replace(told, gain="not-compared", why=unlike)
    for record, which in ((with_it, "with it"), (without, "without it")):
        if spoilt := _spoilt(record):
            return replace(told, gain="unknown", why=f"the run {which} proves nothing: {spoilt}", again=True)
    if not _worked(with_it, step.name):
        return replace(told, gain="unknown", why="it did not have its effect on the system in that run")
    whole = [one for run in (with_it, without) if (one := _Stretch.of(run, step.name)) is not None]
    pair = [one.cut(min(other.lasts for other in whole)) for one in whole]
    if len(pair) < 2 or any(len(one.behind_the_step()) < LEAST_FOR_MEAN for one in pair):
        return replace(told, gain="unknown", why="the incident was over too soon after it to say")
    found = _by_claim(step.improves, told, pair[0], pair[1])
    worse = {"helps": pair[1], "harms": pair[0]}.get(found.gain)
    if worse is not None and crowded(worse.record, worse.began, worse.ended):
        why = f"the machine was crowded in the worse of the two runs; {found.why}"
        return replace(found, gain="unknown", why=why, again=True)
    return found


def _by_claim(improves: Improves, told: StepWorth, with_it: _Stretch, without: _Stretch) -> StepWorth:
    """By what the step claims to improve; whatever it claims, it must not harm users."""
    users = _of_users(with_it, improves), _of_users(without, improves)
    if not all(users):
        return replace(told, gain="unknown", why="too few of these requests came after it to say")
    found = _by_measures(told, users[0], users[1])
    if not improves.alert:
        return _by_objectives(found, with_it.record, without.record)
    claimed = with_it.alert(improves.alert), without.alert(improves.alert)
    if claimed[0] is None or claimed[1] is None:
        return replace(told, gain="unknown", why=f"nobody knows when {improves.alert} was active")
    return found if found.gain == "harms" else _by_measures(told, [claimed[0]], [claimed[1]])


def another_story(a: Record, b: Record) -> str:
    """Why two runs of a scenario don't tell the same story: it was changed in between; empty where they do."""
    if (a.seed, a.time_scale, a.runtime) != (b.seed, b.time_scale, b.runtime):
        return "the runs differ in their seed, time scale or runtime"
    if [(fault.description, fault.settings) for fault in a.faults] != [
        (fault.description, fault.settings) for fault in b.faults
    ]:
        return "the runs had different root causes"
    if a.checks != b.checks:
        return "the scenario has changed from one run to the other"
    if [load.plan for load in a.loads] != [load.plan for load in b.loads]:
        return "the runs had different loads"
    return ""


def other_users(a: Record, b: Record) -> str:
    """Why users of two runs under the same load are not the same; empty where they are."""
    for first, second in zip(_arrivals(a), _arrivals(b), strict=True):
        both = min(len(first), len(second))  # a run that waits longer has more of them
        pairs = zip(first[:both], second[:both], strict=True)
        if any(name != other or abs(at - then) > SAME_INSTANT for (at, name), (then, other) in pairs):
            return "users did not ask for the same at the same instants"
    return ""


def _arrivals(record: Record) -> list[list[tuple[float, str]]]:
    """Of each load every request: seconds since its begin, and its name."""
    found: list[list[tuple[float, str]]] = []
    for load in record.loads:
        ended = record.ended if load.ended is None else load.ended
        own = [sample for sample in record.samples if load.began <= sample.planned <= ended]
        found.append(sorted((sample.planned - load.began, sample.name) for sample in own))
    return found


def _spoilt(record: Record) -> str:
    bad = [one for one in judge(record).verdicts if one.outcome in (Outcome.INVALID, Outcome.ERROR)]
    return f"{bad[0].outcome}: {bad[0].claim}: {bad[0].observed}" if bad else load_problem(record)


def _worked(record: Record, name: str) -> bool:
    """Whether the step's last variant had all its effects."""
    step = _step_of(record, name)
    if step is None or step.skipped or step.problem:
        return False
    last = {effect.claim: effect.held for effect in step.effects}  # a correction's effects come later
    return bool(last) and all(last.values())


def _step_of(record: Record, name: str) -> StepRecord | None:
    """The first performance of a step in an incident."""
    for step in record.steps:
        span = record.window(step.window)
        if step.name == name and span and any(_is_there(fault, span.began) for fault in record.faults):
            return step
    return None


# -- what is measured ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A run from the instant of a step on, for as long as all of its root causes are there (wall instants)."""

    record: Record
    began: float
    done: float  # when the step was over
    ended: float

    @classmethod
    def of(cls, record: Record, name: str) -> _Stretch | None:
        step = _step_of(record, name)
        span: Span | None = record.window(step.window) if step else None
        causes = responses(record).get(name)
        if span is None or not causes:
            return None
        return cls(
            record, span.began, span.ended or record.ended, min(fault.healed_at or record.ended for fault in causes)
        )

    @property
    def lasts(self) -> float:
        """How long the causes were there once the step was over; it takes a while itself, and none where it is left
        out."""
        return self.ended - self.done

    def cut(self, lasts: float) -> _Stretch:
        return replace(self, ended=self.done + lasts)

    def samples(self, name: str) -> list[Sample]:
        """Those planned in it, by their instant; of one name, or all of them."""
        here = (sample for sample in self.record.samples if self.began <= sample.planned < self.ended)
        return sorted((s for s in here if name in ("", s.name)), key=lambda sample: sample.planned)

    def behind_the_step(self) -> list[Sample]:
        """Those planned once the step was over: what comes while it is performed, it can't improve yet."""
        return [sample for sample in self.samples("") if sample.planned >= self.done]

    def alert(self, name: str) -> Measure | None:
        """For how long the alert was active once the step was over, in runbook seconds; one evaluation more or less at
        either end."""
        evidence, scale = self.record.alerts, self.record.time_scale
        loaded = any(rule.name == name for rule in evidence.rules or ())
        if not evidence.read or not loaded or evidence.gaps or evidence.problems:
            return None
        step = evidence.evaluation_interval
        instants = {one.at for one in History(evidence, name, {}).active(self.done, self.ended)}
        active = min(len(instants) * step, self.lasts) * scale
        bounds = max(0.0, active - 2 * step * scale), active + 2 * step * scale
        return Measure(what=f"{name} was active", unit="s", lower=bounds[0], estimate=active, upper=bounds[1])


def _of_users(stretch: _Stretch, improves: Improves) -> tuple[Measure, ...]:
    """The share of requests that failed, and the mean latency of those that did not, if there are enough; none at all
    where there are too few requests. An error comes quickly, so it must not make a service look quick."""
    samples = stretch.samples(improves.requests)
    of = f" of {improves.requests}" if improves.requests else ""
    failed = mean_interval([float(not answered_rightly(sample)) for sample in samples])
    latency = mean_interval([sample.at_least for sample in samples if answered_rightly(sample)])
    found: list[Measure] = []
    if failed is not None:
        found.append(_measure(f"failed requests{of}", "share", failed, 1.0))
    if failed is not None and latency is not None:
        found.append(_measure(f"mean latency{of}", "s", latency, float("inf")))
    return tuple(found)


def _measure(what: str, unit: Literal["share", "s"], interval: Interval, most: float) -> Measure:
    bounds = max(0.0, interval.lower), min(most, interval.upper)
    return Measure(what=what, unit=unit, lower=bounds[0], estimate=interval.estimate, upper=bounds[1])


def _by_measures(told: StepWorth, with_it: Sequence[Measure], without: Sequence[Measure]) -> StepWorth:
    """By the first measure that differs; where none does, by the first."""
    for a, b in zip(with_it, without, strict=False):  # in one of them too few may have been answered
        gain: Gain = "helps" if _below(a, b) else "harms" if _below(b, a) else "no-effect"
        if gain != "no-effect":
            return replace(told, gain=gain, why=say(a, b), with_it=a, without=b)
    a, b = with_it[0], without[0]
    return replace(told, gain="no-effect", why=say(a, b), with_it=a, without=b)


def _below(a: Measure, b: Measure) -> bool:
    """Whether `a` is smaller than `b` by more than chance, and by more than two runs of the same differ."""
    least = LEAST_SHARE if a.unit == "share" else max(LEAST_SECONDS, LEAST_OF_LATENCY * b.estimate)
    return a.upper < b.lower and b.estimate - a.estimate >= least


def _by_objectives(told: StepWorth, with_it: Record, without: Record) -> StepWorth:
    """`told`, unless what users must get was given in one of the runs only: that says more than any difference."""
    a, b = ({one.claim: one.outcome for one in objectives(run)} for run in (with_it, without))
    lost = [claim for claim in a if a[claim] is Outcome.PASS and b.get(claim) is Outcome.FAIL]
    won = [claim for claim in b if b[claim] is Outcome.PASS and a.get(claim) is Outcome.FAIL]
    if lost and won:
        return replace(told, gain="unknown", why=f"with it alone: {lost[0]}; without it alone: {won[0]}")
    if lost and told.gain != "harms":
        return replace(told, gain="helps", why=f"without it “{lost[0]}” does not hold; {told.why}")
    if won and told.gain != "helps":
        return replace(told, gain="harms", why=f"only without it “{won[0]}” holds; {told.why}")
    if lost or won:
        return replace(told, gain="unknown", why=f"“{(lost or won)[0]}” says otherwise than {told.why}")
    if told.gain == "no-effect" and Outcome.UNKNOWN in chain(a.values(), b.values()):
        return replace(told, gain="unknown", why=f"too little was seen to say; {told.why}")
    return told


def say(with_it: Measure, without: Measure) -> str:
    """Both measures in words."""
    return f"{with_it.what}: {_said(with_it)} with it, {_said(without)} without it"


def _said(one: Measure) -> str:
    show = "{:.1%}".format if one.unit == "share" else say_duration
    return f"{show(one.estimate)} ({show(one.lower)} to {show(one.upper)})"


def left_out_wanted(step: str, whole: Record, runs: Mapping[Kept, Record], told: StepWorth) -> Iterator[Kept]:
    """What else has to be left out of `whole` to tell what `step` is worth: of each run not there yet, all its missing
    steps."""
    everything = kept(whole)
    if everything - {step} not in runs:
        yield frozenset({step})
    others = everything & responses(whole).keys() - {step}
    if told.gain == "no-effect" and others:
        for names in (others, others | {step}):
            if everything - names not in runs:
                yield frozenset(names)
