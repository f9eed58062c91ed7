"""States: when an alert is pending and firing, evaluation by evaluation, in an outage that is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.sight.outage import ALWAYS, Outage, Phase, failures, instants, requests
from harness.sight.rate import NEWEST, Edition, Samples
from harness.sight.schedule import Schedule
from harness.sight.shape import ABSENT_LOOKBACK, Above, Below, Counter, Down, Gone, Limit, Shape, Share, Slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A rule's shape with its times in seconds (`hold` is its `for`, `keep` its `keep_firing_for`), and how it is seen
    to."""

    shape: Shape
    hold: float
    keep: float
    schedule: Schedule
    edition: Edition = NEWEST

    @property
    def memory(self) -> float:
        """How far back it looks, in seconds."""
        match self.shape:
            case Above(counter) | Below(counter) | Share(counter) | Slow(_, counter):
                return counter.length
            case Gone(_, length):
                return length
        return 0.0

    @property
    def patience(self) -> float:
        """How long after the last change nothing can happen any more."""
        beats = 4 * (self.schedule.scrape + self.schedule.evaluation) + self.schedule.timeout
        return self.memory + self.hold + self.keep + beats


@dataclass(frozen=True, slots=True)
class Fired:
    """One stretch of firing, in seconds after the outage began; `ended` is the first evaluation that finds it over,
    ALWAYS where it goes on."""

    began: float
    ended: float


def fired(rule: Watched, outage: Outage, phase: Phase) -> tuple[Fired, ...]:
    """Every stretch in which the alert fires."""
    until = outage.settled + rule.patience
    active = _looked_at(rule, outage, phase, until)
    found: list[Fired] = []
    since: float | None = None  # when it became pending
    kept: float | None = None  # since when it fires on though it is found quiet
    began: float | None = None
    for at in instants(phase.evaluation, rule.schedule.evaluation, 0.0, until):
        if active(at):
            since = at if since is None else since
            if began is None and at - since >= rule.hold - 1e-9:
                began = at
            kept = None
            continue
        if began is not None:
            kept = at if kept is None else kept  # rules/alerting.go counts keep_firing_for from here
            if at - kept < rule.keep - 1e-9:
                continue
            found.append(Fired(began, at))
        since = began = kept = None
    return (*found, Fired(began, ALWAYS)) if began is not None else tuple(found)


def _looked_at(rule: Watched, outage: Outage, phase: Phase, until: float) -> Callable[[float], bool]:
    """Whether the expression has a result at an instant."""
    every, early = rule.schedule.scrape, -rule.memory - 2 * rule.schedule.scrape
    match rule.shape:
        case Above(counter, limit):
            one = replace(outage, series=1) if counter.summed else outage
            samples = failures(one, phase, every, early, until)
            return lambda at: (found := _value(rule, counter, samples, at)) is not None and limit.crossed(found)
        case Below(counter, limit):
            everything = requests(outage, phase, every, early, until)
            return lambda at: (found := _value(rule, counter, everything, at)) is not None and limit.crossed(found)
        case Share(part, _, limit):
            return _ratio(rule, part, replace(outage, series=1), phase, until, limit.crossed)
        case Slow(quantile, counter, _):
            # Above the limit once more than 1 - quantile of the requests are, where the limit is a bucket's bound.
            return _ratio(rule, counter, replace(outage, series=1), phase, until, Limit(">", 1 - quantile).crossed)
        case Down():
            return _down(rule, outage, phase)
        case Gone(_, length):
            return _gone(rule, outage, phase, until, length)


def _value(rule: Watched, counter: Counter, samples: Samples, at: float) -> float | None:
    return samples.value(counter.function, at, counter.length, rule.edition)


def _ratio(
    rule: Watched, counter: Counter, outage: Outage, phase: Phase, until: float, crossed: Callable[[float], bool]
) -> Callable[[float], bool]:
    every, early = rule.schedule.scrape, -rule.memory - 2 * rule.schedule.scrape
    part = failures(outage, phase, every, early, until)
    whole = requests(outage, phase, every, early, until)

    def active(at: float) -> bool:
        failed, all_ = _value(rule, counter, part, at), _value(rule, counter, whole, at)
        # 0 / 0 is NaN, which no comparison lets through.
        return failed is not None and all_ is not None and all_ > 0 and crossed(failed / all_)

    return active


def _down(rule: Watched, outage: Outage, phase: Phase) -> Callable[[float], bool]:
    """`up` is 0 from the first scrape that fails; one that gets no answer fails when its time is over, and counts from
    its beginning on."""
    every = rule.schedule.scrape
    late = rule.schedule.timeout if outage.hangs else 0.0

    def failed(at: float) -> bool:
        return outage.on(at) or not outage.scraped(at)

    def active(at: float) -> bool:
        last = phase.scrape + ((at - phase.scrape) // every) * every
        return failed(last if last + (late if failed(last) else 0.0) <= at else last - every)

    return active


def _gone(rule: Watched, outage: Outage, phase: Phase, until: float, length: float) -> Callable[[float], bool]:
    """A series that a scrape does not have any more is marked as gone by that scrape; absent_over_time() looks past
    the mark."""
    every = rule.schedule.scrape
    early = -max(length, ABSENT_LOOKBACK)
    there = [at for at in instants(phase.scrape, every, early, until) if not outage.on(at) and outage.scraped(at)]
    samples = Samples((at, 1.0) for at in there)
    known = frozenset(there)

    def active(at: float) -> bool:
        if length:
            return not samples.any_in(at - length, at)
        return phase.scrape + ((at - phase.scrape) // every) * every not in known

    return active
