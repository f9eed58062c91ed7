"""Series: what Prometheus had scraped, put together again from a record, and what it would have gone on to scrape."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.model.record import Record, Series

Point = tuple[float, float | None]
"""An instant and a value; None is the mark that the series ended there, which Prometheus sets at the next scrape."""


@dataclass(frozen=True, slots=True)
class Track:
    """One series with a mark wherever it ended, oldest first."""

    labels: Mapping[str, str]
    points: tuple[Point, ...]


def tracks(record: Record) -> tuple[Track, ...]:
    """Every series in `record`. A record leaves out samples that are like the ones around them, and marks no ends; the
    scrapes of its target (`up`) tell both."""
    scrapes: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for one in record.alerts.up:
        scrapes.setdefault(_target(one.labels), []).extend(one.points)
    whole = record.alerts.whole
    recorded = [series for inputs in record.alerts.inputs.values() for series in inputs]
    return tuple(
        Track(labels, _restored(points, scrapes.get(_target(labels), ()), is_up=labels.get("__name__") == "up"))
        for labels, points in _merged((*recorded, *record.alerts.up, *(whole.series if whole is not None else ())))
    )


def _merged(found: Iterable[Series]) -> list[tuple[Mapping[str, str], list[tuple[float, float]]]]:
    """Each series once, with all points that are known of it."""
    points: dict[frozenset[tuple[str, str]], dict[float, float]] = {}
    for one in found:
        if one.points:
            points.setdefault(frozenset(one.labels.items()), {}).update(one.points)
    return [(dict(labels), sorted(values.items())) for labels, values in points.items()]


def _restored(
    kept: Sequence[tuple[float, float]], scrapes: Sequence[tuple[float, float]], *, is_up: bool
) -> tuple[Point, ...]:
    if is_up or not scrapes:
        return tuple(kept)
    points: dict[float, float | None] = {}
    instants = [at for at, _ in kept]
    for at, up in sorted(scrapes):
        before = bisect_right(instants, at) - 1
        if before < 0:
            continue  # not there yet
        after = min(before + 1, len(kept) - 1)
        stands = before < after and kept[before][1] == kept[after][1]
        points[at] = kept[before][1] if up == 1 and stands else None
    points.update(kept)
    return tuple(sorted(points.items(), key=lambda point: point[0]))


def went_on(
    found: Iterable[Track], *, since: float, at: float, until: float, counters: Collection[str]
) -> tuple[Track, ...]:
    """`found` as it was until the instant `at`, and from then on until `until` as from `since` to `at`, over and over.
    A counter (by the metric's name) goes on growing by what it grew."""
    return tuple(_went_on(one, since, at, until, one.labels.get("__name__", "") in counters) for one in found)


def _went_on(track: Track, since: float, at: float, until: float, counts: bool) -> Track:
    past = [point for point in track.points if point[0] <= at]
    again = [point for point in past if point[0] > since]
    values = [value for _, value in past if value is not None]
    before = next((value for when, value in reversed(past) if when <= since and value is not None), None)
    repeated = [value for _, value in again if value is not None]
    known = repeated if before is None else [before, *repeated]
    growth = sum(max(0.0, later - earlier) for earlier, later in pairwise(known)) if counts else 0.0
    if counts and any(later < earlier for earlier, later in pairwise(known)):
        growth = 0.0  # it was reset on the way, and each time round it is reset again
    points, length, round_ = list(past), at - since, 1
    while values and since + round_ * length < until and length > 0:
        points += [
            (when + round_ * length, None if value is None else value + round_ * growth)
            for when, value in again
            if when + round_ * length <= until
        ]
        round_ += 1
    return Track(track.labels, tuple(points))


def as_series(found: Iterable[Track]) -> tuple[Series, ...]:
    """As a record keeps them: without the marks."""
    return tuple(
        Series(labels=one.labels, points=tuple((at, value) for at, value in one.points if value is not None))
        for one in found
    )


def _target(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels.get("job", ""), labels.get("instance", "")
