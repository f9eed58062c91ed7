"""Look: one written rule taken apart, and all that it misses computed."""

from __future__ import annotations

from harness.alerts.rules import WrittenRule
from harness.alerts.selectors import Selector
from harness.model.blindspots import RuleSight
from harness.sight.schedule import Schedule, schedule_of
from harness.sight.sentences import least, sentences
from harness.sight.shape import Above, Below, Down, Gone, OtherShapeError, Shape, Share, Slow, said, shape_of
from harness.sight.spots import SHARES, detection, grids, shortest, total
from harness.sight.states import Watched


def look(rule: WrittenRule, configuration: str, *, source: str, traffic: float) -> RuleSight:
    """What `rule` misses under the Prometheus whose configuration is the text `configuration`, at `traffic` requests a
    second. A rule whose sight can't be computed comes back with the reason. Raises UsageError for a configuration that
    can't be read."""
    expr, hold = " ".join(rule.expr.split()), rule.hold.total_seconds()
    try:
        watched = watched_by(rule, configuration, source=source)
    except OtherShapeError as other:
        return RuleSight(alert=rule.name, source=rule.source, expr=expr, hold=hold, refused=str(other))
    whole = total(watched, traffic)
    shares = SHARES if _of_requests(watched.shape) else (1.0,)
    lengths = tuple(shortest(watched, total(watched, traffic, share), share) for share in shares)
    return RuleSight(
        alert=rule.name,
        source=rule.source,
        expr=expr,
        hold=hold,
        looks_at=said(watched.shape),
        scrape=watched.schedule.scrape,
        evaluation=watched.schedule.evaluation,
        least=least(watched),
        apart=_counter_groups(watched.shape),
        sentences=tuple(sentences(watched, traffic, lengths, detection(watched, whole))),
        shortest=lengths,
        grids=tuple(grids(watched, traffic)),
    )


def watched_by(rule: WrittenRule, configuration: str, *, source: str) -> Watched:
    """`rule` with its schedule. Raises OtherShapeError where it has none of the shapes, UsageError for a configuration
    that can't be read."""
    shape = shape_of(rule.expr)
    schedule: Schedule = schedule_of(rule, _selector(shape), configuration, source=source)
    return Watched(
        shape=shape, hold=rule.hold.total_seconds(), keep=rule.keep.total_seconds(), schedule=schedule
    )  # fmt: skip


def _of_requests(shape: Shape) -> bool:
    return not isinstance(shape, Down | Gone)


def _selector(shape: Shape) -> Selector:
    match shape:
        case Above(counter) | Below(counter) | Share(counter) | Slow(_, counter):
            return counter.selector
        case Down(selector) | Gone(selector):
            return selector


def _counter_groups(shape: Shape) -> str:
    match shape:
        case Above(counter) | Below(counter) | Share(counter) | Slow(_, counter):
            return counter.grouped()
    return "target" if isinstance(shape, Down) else ""
