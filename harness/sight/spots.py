"""Spots: what a rule misses, as grids of delays: traffic, spread, length, flapping, and what else keeps it quiet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from harness.model.blindspots import NEVER, Delay, Grid, Line, Shortest
from harness.model.units import say_duration, say_ratio
from harness.sight.outage import ALWAYS, Outage, Phase, duty
from harness.sight.shape import Above, Below, Down, Gone, Share, Slow
from harness.sight.states import Watched, fired

SHARES = (0.01, 0.05, 0.2, 0.5, 1.0)
TRAFFIC = (1.0, 5.0, 20.0, 60.0, 100.0, 500.0)
SERIES = (1, 2, 3, 4, 8, 16)
_TIMES = (30.0, 60.0, 120.0, 300.0, 600.0)  # of flapping
_FLAPPING = 1800.0  # seconds of it that are looked at
_LONG = 3600.0  # seconds: longer than any range here, and finite
_FINE = 1.0  # seconds: how exactly the shortest outage is found

# Where in an interval the next scrape and the next evaluation may come. No two are alike: that they coincide exactly
# is where versions of Prometheus differ, and happens to nobody.
_SCRAPES, _EVALUATIONS = (0.01, 0.25, 0.5, 0.75, 0.99), (0.02, 0.26, 0.51, 0.76, 0.98)
_BEFORE = (0.0, 1e6)  # a counter that never counted anything, and one that has


def phases(rule: Watched) -> list[Phase]:
    """How an outage may lie to the grids."""
    every = rule.schedule
    return [
        Phase(scrape * every.scrape, evaluation * every.evaluation, before)
        for scrape in _SCRAPES
        for evaluation in _EVALUATIONS
        for before in _BEFORE
    ]


def detection(rule: Watched, outage: Outage, among: Sequence[Phase] | None = None) -> Delay:
    """From the beginning of `outage` until the alert fires."""
    return _over(among or phases(rule), lambda phase: _first(rule, outage, phase))


def shortest(rule: Watched, outage: Outage, share: float) -> Shortest:
    """The shortest single outage of the kind of `outage` for which it fires, and how long it fires on after a long
    one."""
    return Shortest(
        share=share,
        length=_over(phases(rule), lambda phase: _least_length(rule, outage, phase)),
        fires_on=_over(phases(rule), lambda phase: _on_after(rule, outage, phase)),
    )


def _over(among: Sequence[Phase], measure: Callable[[Phase], float | None]) -> Delay:
    found = [measure(phase) for phase in among]
    some = [each for each in found if each is not None]
    return Delay(min(some), max(some) if len(some) == len(found) else None) if some else NEVER


def _first(rule: Watched, outage: Outage, phase: Phase) -> float | None:
    found = fired(rule, outage, phase)
    return found[0].began if found else None


def _lasting(outage: Outage, length: float) -> Outage:
    return Outage(
        traffic=outage.traffic,
        share=outage.share,
        series=outage.series,
        uncounted=outage.uncounted,
        hangs=outage.hangs,
        spells=((0.0, length),),
    )


def _least_length(rule: Watched, outage: Outage, phase: Phase) -> float | None:
    """A longer outage leaves no evaluation with less to go by, so halving finds it."""
    low, high = 0.0, rule.patience
    if not fired(rule, _lasting(outage, high), phase):
        return None
    while high - low > _FINE / 2:
        middle = (low + high) / 2
        low, high = (low, middle) if fired(rule, _lasting(outage, middle), phase) else (middle, high)
    return high


def _on_after(rule: Watched, outage: Outage, phase: Phase) -> float | None:
    found = fired(rule, _lasting(outage, _LONG), phase)
    ends = [one.ended - _LONG for one in found if one.ended < ALWAYS]
    return max(ends, default=None)


# -- grids ---------------------------------------------------------------------------------------------------------


def grids(rule: Watched, traffic: float) -> Iterator[Grid]:
    """Every grid that makes sense for the rule."""
    if isinstance(rule.shape, Above):
        yield _by_traffic(rule)
        yield _by_series(rule, traffic)
    if isinstance(rule.shape, Share | Slow | Below):
        yield _by_share(rule, traffic)
    yield _by_duty(rule, traffic)
    yield Grid(
        title="What else there is",
        corner="what happens",
        columns=("fires after",),
        lines=tuple(Line(label=label, cells=(delay,)) for label, delay in _cases(rule, traffic)),
    )


def _by_traffic(rule: Watched) -> Grid:
    return Grid(
        title="How much has to fail, on one series",
        corner="requests a second",
        columns=tuple(f"{say_ratio(share)} fail" for share in SHARES),
        lines=tuple(
            Line(
                label=f"{traffic:g}",
                cells=tuple(detection(rule, Outage(traffic=traffic, share=share)) for share in SHARES),
            )
            for traffic in TRAFFIC
        ),
    )


def _by_share(rule: Watched, traffic: float) -> Grid:
    what = {Share: "fail", Slow: "are too slow", Below: "do not come"}[type(rule.shape)]
    counted = not isinstance(rule.shape, Below)
    return Grid(
        title="How large a part it takes" if counted else "How much has to stay away",
        corner="requests a second",
        columns=tuple(f"{say_ratio(share)} {what}" for share in SHARES),
        lines=(
            Line(
                label=f"{traffic:g}",
                cells=tuple(
                    detection(rule, Outage(traffic=traffic, share=share, uncounted=not counted)) for share in SHARES
                ),
            ),
        ),
    )


def _by_series(rule: Watched, traffic: float) -> Grid:
    return Grid(
        title=f"Everything fails, {traffic:g} requests a second, spread evenly",
        corner="over so many series",
        columns=("fires after",),
        lines=tuple(
            Line(label=str(count), cells=(detection(rule, Outage(traffic=traffic, series=count)),)) for count in SERIES
        ),
    )


def total(rule: Watched, traffic: float, share: float = 1.0) -> Outage:
    """The outage that a rule is there for, at `traffic` requests a second."""
    return Outage(traffic=traffic, share=share, uncounted=isinstance(rule.shape, Below))


def _by_duty(rule: Watched, traffic: float) -> Grid:
    """A failure that comes and goes. Two corners of each grid and its middle have to do: there are many spells."""
    among = phases(rule)[::7]

    def cell(on: float, off: float) -> Delay:
        whole = total(rule, traffic)
        spells = duty(on, off, math.ceil(_FLAPPING / (on + off)))
        outage = Outage(traffic=traffic, share=whole.share, uncounted=whole.uncounted, spells=spells)
        return detection(rule, outage, among)

    return Grid(
        title="A total outage that comes and goes for half an hour",
        corner="wrong for",
        columns=tuple(f"then well for {say_duration(off)}" for off in _TIMES),
        lines=tuple(Line(label=say_duration(on), cells=tuple(cell(on, off) for off in _TIMES)) for on in _TIMES),
    )


def _cases(rule: Watched, traffic: float) -> Iterator[tuple[str, Delay]]:
    match rule.shape:
        case Down():
            yield from _cases_of_target(rule)
        case Gone():
            yield "every instance is gone from service discovery", detection(rule, Outage())
            yield "all of its scrapes fail", detection(rule, Outage(unscraped=True))
            yield "one instance of several is gone", NEVER
            yield "the service fails, and still exposes the series", NEVER
        case Below():
            yield "no request comes", detection(rule, total(rule, traffic))
            gone = Outage(traffic=traffic, uncounted=True, unscraped=True)
            yield "no request comes, and the target can't be scraped either: the series ends", detection(rule, gone)
            yield "the series was never there", NEVER
            yield "every request comes and fails", NEVER
        case _:
            yield from _cases_of_requests(rule, traffic)


def _cases_of_target(rule: Watched) -> Iterator[tuple[str, Delay]]:
    yield "the target refuses connections", detection(rule, Outage())
    yield "the target takes them and does not answer in time", detection(rule, Outage(hangs=True))
    yield "one instance of several, each a target: that one", detection(rule, Outage())
    yield "the service is frozen, and what is scraped (an exporter, another thread) still answers", NEVER
    yield "one worker of several behind the one target is frozen, and another answers the scrapes", NEVER
    yield "it answers every request with an error, and its scrapes rightly", NEVER
    yield "the target is gone from service discovery: there is no `up` to be 0", NEVER
    for count in (2, 8):
        lost = Outage(spells=(), missed=((0.0, count * rule.schedule.scrape),))
        yield f"the service is well, and {count} scrapes in a row are lost", detection(rule, lost)


def _cases_of_requests(rule: Watched, traffic: float) -> Iterator[tuple[str, Delay]]:
    every, beats = rule.schedule.scrape, rule.patience
    loop = tuple(60.0 * number for number in range(1, math.ceil(beats / 60)))
    late = rule.memory / 2
    cases = {
        "as the tables have it": Outage(traffic=traffic),
        "the failing series are new: their first count is no increase": Outage(traffic=traffic, new=True),
        "the first scrape of the outage is lost": Outage(traffic=traffic, missed=((0.0, every),)),
        "all scrapes of its first minute are lost": Outage(traffic=traffic, missed=((0.0, 60.0),)),
        "counters begin again at zero, once, half a range into it": Outage(traffic=traffic, restarts=(late,)),
        "counters begin again at zero every minute": Outage(traffic=traffic, restarts=loop),
        "nobody answers, so that nothing is counted": Outage(traffic=traffic, uncounted=True),
        "the target can't be scraped while it lasts": Outage(traffic=traffic, unscraped=True),
    }
    for label, outage in cases.items():
        yield label, detection(rule, outage)
