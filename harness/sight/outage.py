"""Outage: what goes wrong, and how a scraper sees it: counters as functions of time, and the samples taken of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.sight.rate import Samples

ALWAYS = float("inf")
Spell = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Something that is wrong during `spells` (seconds; the first begins at 0).

    Of `traffic` requests a second the part `share` fails meanwhile, spread evenly over `series` series. `uncounted`:
    what fails is counted nowhere, as where nobody answers. `unscraped`: meanwhile scrapes fail as well. `missed` are
    stretches in which scrapes fail for another reason. At `restarts` counters begin again at zero. `new`: the failing
    series come into being with their first failure. `hangs`: a failing scrape is one that gets no answer in time.
    """

    traffic: float = 0.0
    share: float = 1.0
    spells: tuple[Spell, ...] = ((0.0, ALWAYS),)
    series: int = 1
    uncounted: bool = False
    unscraped: bool = False
    missed: tuple[Spell, ...] = ()
    restarts: tuple[float, ...] = ()
    new: bool = False
    hangs: bool = False

    def on(self, at: float) -> bool:
        """Whether something is wrong at `at`."""
        return _within(self.spells, at)

    def scraped(self, at: float) -> bool:
        """Whether a scrape at `at` succeeds, as far as the process that is scraped can answer at all."""
        return not (_within(self.missed, at) or (self.unscraped and self.on(at)))

    @property
    def settled(self) -> float:
        """From when on nothing changes any more."""
        ends = [end for _, end in (*self.spells, *self.missed) if end < ALWAYS]
        return max([*ends, *self.restarts, 0.0])

    def failed(self, at: float) -> float:
        """How many requests have failed until `at`, and were counted."""
        return 0.0 if self.uncounted else self.traffic * self.share * self._spent(at)

    def answered(self, at: float) -> float:
        """How many requests have been counted between 0 and `at`, whether they failed or not; below zero before."""
        return self.traffic * (at - (self.share * self._spent(at) if self.uncounted else 0.0))

    def _spent(self, at: float) -> float:
        return sum(min(at, end) - begin for begin, end in self.spells if begin < at)


@dataclass(frozen=True, slots=True)
class Phase:
    """How the grids of scrapes and evaluations lie to the beginning of an outage: the next of each comes after so many
    seconds. `before` is what a counter of failures had counted by then."""

    scrape: float
    evaluation: float
    before: float = 0.0


def failures(outage: Outage, phase: Phase, every: float, began: float, ended: float) -> Samples:
    """The samples of one of the series that count the failing requests, between two instants."""
    return Samples(_failures(outage, phase, every, began, ended))


def _failures(outage: Outage, phase: Phase, every: float, began: float, ended: float) -> Iterator[tuple[float, float]]:
    begun = 0.0 if outage.new else -phase.before
    for at in instants(phase.scrape, every, began, ended):
        restarted = [one for one in outage.restarts if one <= at]
        lost = outage.failed(max(restarted)) / outage.series if restarted else begun
        value = outage.failed(at) / outage.series - lost
        if outage.scraped(at) and (value > 0 or not outage.new):
            yield at, value


def requests(outage: Outage, phase: Phase, every: float, began: float, ended: float) -> Samples:
    """The samples of a counter of all requests, which has been at work for long."""
    long_ago = outage.answered(began) - outage.traffic * 86_400
    points = []
    for at in instants(phase.scrape, every, began, ended):
        if outage.scraped(at):
            lost = max((outage.answered(one) for one in outage.restarts if one <= at), default=long_ago)
            points.append((at, outage.answered(at) - lost))
    return Samples(points)


def instants(first: float, every: float, began: float, ended: float) -> Iterator[float]:
    """The instants of a grid through `first`, from `began` to `ended`."""
    number = -int((first - began) // every)
    while (at := first + number * every) <= ended:
        yield at
        number += 1


def duty(on: float, off: float, count: int) -> tuple[Spell, ...]:
    """`count` spells of `on` seconds with `off` seconds between them."""
    return tuple((number * (on + off), number * (on + off) + on) for number in range(count))


def _within(spells: tuple[Spell, ...], at: float) -> bool:
    return any(begin <= at < end for begin, end in spells)
