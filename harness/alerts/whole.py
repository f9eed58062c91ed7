"""Whole: all there is of the metrics that rules read, kept so that other rules can be tried on a record later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from harness.alerts import promql
from harness.alerts.prometheus import LoadedRule, Prometheus
from harness.alerts.selectors import reads
from harness.errors import EvidenceMissing
from harness.model.record import Series, WholeMetrics

# A rule written wrongly may look ten times as far back as the right one; nobody needs more than an hour of it.
REACH = 10
LONGEST_REACH = 3600.0  # wall seconds
MOST_SERIES = 1000  # of all metrics together: what is more would make a record that nobody can send


def whole_metrics(
    prometheus: Prometheus,
    rules: Sequence[LoadedRule],
    known: Iterable[Series],
    *,
    began: float,
    ended: float,
    shorten: Callable[[Series], Series],
) -> WholeMetrics:
    """Every series of each metric that an alerting rule reads, from before `began` until `ended`; of those `known` from
    `began` on, only what was before. Never raises: what can't be had is said in `cut`."""
    recorded = {rule.name: rule.expr for rule in rules if rule.kind == "recording"}
    read: dict[str, None] = {"up": None}
    reach = timedelta(0)
    for rule in rules:
        try:
            found = reads(rule.expr, recorded) if rule.kind == "alerting" else ()
            reach = max([reach, *promql.ranges(rule.expr)])
        except ValueError:  # what this parser can't read, Prometheus may: then there is less to try later
            continue
        read |= dict.fromkeys(selector.metric for selector in found if selector.metric)
    since = began - min(REACH * reach.total_seconds(), LONGEST_REACH)
    try:
        return _read(prometheus, list(read), _labels(known), since=since, began=began, ended=ended, shorten=shorten)
    except EvidenceMissing as problem:
        return WholeMetrics(since=began, cut=problem.args[0])


def _read(
    prometheus: Prometheus,
    metrics: Sequence[str],
    known: set[frozenset[tuple[str, str]]],
    *,
    since: float,
    began: float,
    ended: float,
    shorten: Callable[[Series], Series],
) -> WholeMetrics:
    length = max(1, round((ended - since) * 1000))
    names = "|".join(name.replace(".", r"\\.") for name in metrics)
    counted = prometheus.vector(f'count by (__name__) (last_over_time({{__name__=~"{names}"}}[{length}ms]))', ended)
    sizes = {one.labels.get("__name__", ""): one.points[0][1] for one in counted}
    kept: list[str] = []
    cut: list[str] = []
    room = float(MOST_SERIES)
    for name in sorted(metrics, key=lambda name: sizes.get(name, 0)):
        room -= sizes.get(name, 0)
        (kept if room >= 0 else cut).append(name)
    series: list[Series] = []
    for name in kept:
        for one in prometheus.samples(f'{{__name__="{name}"}}', since, ended):
            if frozenset(one.labels.items()) in known:
                one = replace(one, points=tuple(point for point in one.points if point[0] < began))
            if one.points:
                series.append(one if name == "up" else shorten(one))  # `up` tells what the others leave out
    said = f"{', '.join(sorted(cut))}: more than {MOST_SERIES} series in all" if cut else ""
    return WholeMetrics(since=since, metrics=tuple(sorted(kept)), series=tuple(series), cut=said)


def _labels(known: Iterable[Series]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(one.labels.items()) for one in known if one.points}


def complete(whole: WholeMetrics | None, rules: Mapping[str, str]) -> frozenset[str]:
    """The metrics of which a record holds every series: those that it says so of, `up`, and those that one of `rules`
    (names to expressions) reads without any condition."""
    found = {"up", *(whole.metrics if whole is not None else ())}
    for expr in rules.values():
        found |= {selector.metric for selector in reads(expr) if len(selector.matchers) == 1 and selector.metric}
    return frozenset(found)
