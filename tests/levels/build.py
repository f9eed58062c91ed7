"""Records with levels in them, of which each test breaks what it is about. Scale 60, a scrape every 250 ms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness import Control, Level, Record, Scenario, Window
from harness.model.record import AlertEvidence, LevelEvidence, Series
from harness.model.timeline import Span

STEP = 0.25
BEGAN, ENDED = 1000.0, 1010.0
CPU = Level("the CPU", "rate(cpu_seconds_total[5m]) / cores")
LATER = Window("later")
INSTANTS = [BEGAN + STEP * turn for turn in range(1, 41)]


def series(*values: float, **labels: str) -> Series:
    """A series that has each value for as long, all through the window."""
    share = len(INSTANTS) / len(values)
    return Series(labels=labels, points=tuple((at, values[int(n / share)]) for n, at in enumerate(INSTANTS)))


def evidence(*found: Series, **changed: object) -> LevelEvidence:
    whole = LevelEvidence(expr=CPU.expr, window="later", began=BEGAN + STEP, step=STEP, series=found)
    return replace(whole, **changed)  # type: ignore[arg-type]  # its own fields


def scraped(instants: Sequence[float] = INSTANTS) -> AlertEvidence:
    up = Series(labels={"job": "app"}, points=tuple((at, 1.0) for at in instants))
    return AlertEvidence(read=True, up=(up,), scrape_interval=STEP)


def told(*levels: LevelEvidence, alerts: AlertEvidence | None = None, ended: float | None = ENDED) -> Record:
    """The record of a run with one window."""
    return Record(
        run_id="1",
        scenario=Scenario(name="s", hypothesis="h"),
        control=Control.NONE,
        time_scale=60.0,
        seed=1,
        runtime="fake",
        began=990.0,
        ended=1020.0,
        windows=(Span(name="later", kind="observe", began=BEGAN, ended=ended),),
        levels=levels,
        alerts=scraped() if alerts is None else alerts,
    )
