"""Blind spots: what the alert rules of a topology miss, from its files, and held against recorded runs.

`python -m harness.blind_spots FILE` writes the page of those of docker-compose.yml to FILE, and its picture beside it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pydantic import TypeAdapter

from harness.alerts.coverage import Coverage
from harness.alerts.rules import WrittenRule, read_rules
from harness.errors import UsageError
from harness.judge import judge
from harness.matrix import latest
from harness.model.blindspots import BlindSpots, Measured
from harness.model.record import FaultRecord, Record
from harness.model.verdict import Outcome
from harness.sandbox.topology import read_topology
from harness.sight.look import look, watched_by
from harness.sight.outage import ALWAYS, Outage
from harness.sight.shape import Above, Down, OtherShapeError
from harness.sight.spots import detection
from harness.sight.states import Watched
from reports import blindspots as report

WALL_TIME = "Wall time: "
FORMS = {"md": report.markdown, "html": report.html, "svg": report.svg}


def write(rules: Sequence[Path], alert: str, compose: Path, form: str, *, traffic: float, runs: Path | None) -> str:
    """The blind spots of the rules in the files `rules` (those of the topology, if none), or of `alert` alone, at
    `traffic` requests a second, as md, html, svg or json; held against each scenario's latest run below `runs`, if
    given. Raises UsageError where a file can't be read, or no rule is meant."""
    if form != "json" and form not in FORMS:
        raise UsageError(f"--format {form}: choose one of {', '.join([*FORMS, 'json'])}")
    if not traffic > 0:
        raise UsageError(f"--traffic {traffic:g}: give the requests that users make in a second")
    found = blind_spots(rules, alert, compose, traffic=traffic, runs=runs)
    if form == "json":
        return TypeAdapter(BlindSpots).dump_json(found, indent=1).decode() + "\n"
    return FORMS[form](found)


def blind_spots(rules: Sequence[Path], alert: str, compose: Path, *, traffic: float, runs: Path | None) -> BlindSpots:
    """The same as values."""
    files = read_topology(compose, os.environ).time
    if files.prometheus is None:
        raise UsageError(
            f"{compose} does not say how often its Prometheus scrapes",
            hint="set x-gameday.time.prometheus to its configuration",
        )
    configuration, source = _text(files.prometheus), files.prometheus.name
    written = [rule for path in rules or files.rules for rule in read_rules(_text(path), path.name)]
    meant = [rule for rule in written if rule.kind == "alert" and alert in ("", rule.name)]
    if not meant:
        names = ", ".join(dict.fromkeys(rule.name for rule in written if rule.kind == "alert")) or "none at all"
        raise UsageError(f"there is no alert {alert or 'in these files'}", hint=f"there are: {names}")
    watched = {rule.name: one for rule in meant if (one := _watched(rule, configuration, source)) is not None}
    return BlindSpots(
        traffic=traffic,
        rules=tuple(look(rule, configuration, source=source, traffic=traffic) for rule in meant),
        measured=tuple(_measured(watched, runs)) if runs is not None else (),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as odd:
        raise UsageError(f"{path} can't be read: {odd}") from odd


def _watched(rule: WrittenRule, configuration: str, source: str) -> Watched | None:
    try:
        return watched_by(rule, configuration, source=source)
    except OtherShapeError:
        return None


# -- against recorded runs -----------------------------------------------------------------------------------------


def _measured(watched: Mapping[str, Watched], runs: Path) -> Iterator[Measured]:
    """What each sound run of one fault says of each rule that it can be held against: those of failures counted, and
    of targets that are down."""
    for record in latest(runs):
        if len(record.faults) == 1 and judge(record).outcome not in (Outcome.INVALID, Outcome.ERROR):
            (fault,) = record.faults
            for name, rule in watched.items():
                if fault.injected_at is not None and Coverage(record, name, {}).unread() is None:
                    yield from _held_against(record, fault, fault.injected_at, name, rule)


def _held_against(record: Record, fault: FaultRecord, injected: float, name: str, rule: Watched) -> Iterator[Measured]:
    series = [one.points for one in record.alerts.inputs.get(name, ()) if one.points]
    firing = min(
        (one.at for one in record.alerts.states if one.name == name and one.state == "firing" and one.at >= injected),
        default=None,
    )
    healed = fault.healed_at or record.ended
    step, scale = record.alerts.scrape_interval, record.time_scale
    if isinstance(rule.shape, Above):
        seen = _outage_of_counter(series, injected, min(firing or healed, healed))
    else:
        seen = _outage_of_target(series, injected - step, healed) if isinstance(rule.shape, Down) else None
    if seen is None:
        return
    lasted = ALWAYS if firing is not None else (seen.ended - seen.began) * scale
    yield Measured(
        run=f"{record.scenario.name}/{record.run_id}",
        alert=name,
        cause=fault.description,
        counted=seen.said,
        predicted=detection(rule, Outage(traffic=seen.rate, spells=((0.0, lasted),))),
        after=None if firing is None else (firing - seen.began) * scale,
        # When failures began is known to a scrape, when it fired to an evaluation.
        slack=(step + record.alerts.evaluation_interval) * scale,
        uneven=seen.uneven,
    )


Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the series that a rule reads tell of an outage; wall instants, and failures a second."""

    began: float
    ended: float
    rate: float
    said: str
    uneven: bool = False


def _outage_of_counter(series: Sequence[Points], injected: float, until: float) -> _Seen | None:
    """The busiest series between its first growth and `until`; uneven where one half of that has much more than the
    other."""
    best: _Seen | None = None
    for points in series:
        moved = [(one[0], at, value - one[1]) for one, (at, value) in pairwise(points) if value > one[1]]
        moved = [each for each in moved if injected < each[1] <= until]
        if not moved or until <= moved[0][0]:
            continue
        began, middle = moved[0][0], (moved[0][0] + until) / 2
        whole = sum(step for _, _, step in moved)
        second = sum(step for _, at, step in moved if at > middle)
        rate = whole / (until - began)
        if best is None or rate > best.rate:
            said = f"{rate:.3g} failures a second"
            best = _Seen(began=began, ended=until, rate=rate, said=said, uneven=not 0.4 < second / whole < 0.6)
    return best


def _outage_of_target(series: Sequence[Points], injected: float, healed: float) -> _Seen | None:
    """The first stretch in which scrapes failed. `injected` is a scrape early: one may be under way."""
    down = [at for points in series for at, value in points if value == 0 and injected <= at]
    if not down:
        return None
    back = [at for points in series for at, value in points if value == 1 and at > min(down)]
    return _Seen(began=min(down), ended=min(back, default=healed), rate=0.0, said="its scrapes failed")


# -- the page ------------------------------------------------------------------------------------------------------


def page(found: BlindSpots, picture: str) -> str:
    """The page on the deployed rules; `picture` is the picture's file beside it."""
    note = "`make blind-spots` writes this page anew."
    return report.markdown(found, picture).replace("\n\n", f"\n\n{note} ", 1)


def main(path: Path) -> None:
    """Write the page to `path`, and its picture."""
    began = time.monotonic()
    runs = Path("runs")
    found = blind_spots([], "", Path("docker-compose.yml"), traffic=60.0, runs=runs if runs.is_dir() else None)
    picture = path.with_suffix(".svg")
    took = f"\n{WALL_TIME}{time.monotonic() - began:.0f} s, runs included.\n"
    path.write_text(page(found, picture.name) + took, encoding="utf-8")
    picture.write_text(report.svg(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
