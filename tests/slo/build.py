"""Records for the tests of objectives: a steady load of which each test breaks what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.model.load import Sample
from harness.model.record import FaultRecord, LoadRecord, Record, Scenario, StepRecord
from harness.model.timeline import Span
from harness.model.verdict import Control

BEGAN = 1_000_000.0
RATE = 100


def sample(
    at: float,
    *,
    status: int = 200,
    ok: bool | None = None,
    took: float | None = 0.05,
    waited: float = 0.0,
) -> Sample:
    """One request planned `at` seconds after the run began; `took` None leaves it unanswered after `waited`."""
    planned = BEGAN + at
    answered = took is not None
    return Sample(
        planned=planned,
        sent=planned,
        ended=planned + took if took is not None else None,
        name="GET /",
        status=status if answered else 0,
        ok=(status == 200 if ok is None else ok) and answered,
        censored=None if answered else planned + waited,
    )


def steady(began: float, ended: float, rate: int = RATE, **kind: object) -> list[Sample]:
    """`rate` alike requests per second over a stretch."""
    count = round((ended - began) * rate)
    return [sample(began + i / rate, **kind) for i in range(count)]  # type: ignore[arg-type]  # sample's own keywords


def spoilt(samples: Sequence[Sample], bad: Sequence[Sample]) -> list[Sample]:
    """`samples` with as many as there are in `bad` replaced, evenly spread, each at its own instant."""
    result = list(samples)
    for i, wrong in enumerate(bad):
        place = (i * len(result)) // len(bad)
        moved = result[place].planned - wrong.planned
        result[place] = replace(
            wrong,
            planned=wrong.planned + moved,
            sent=wrong.sent + moved,
            ended=None if wrong.ended is None else wrong.ended + moved,
            censored=None if wrong.censored is None else wrong.censored + moved,
        )
    return result


def load(samples: Sequence[Sample], ended: float, **changed: object) -> LoadRecord:
    """The sound record of a load that left `samples`."""
    whole = LoadRecord(
        window="load",
        plan="100/s",
        target="http://127.0.0.1",
        began=BEGAN,
        ended=BEGAN + ended,
        planned=len(samples),
        sent=len(samples),
        finished=len(samples),
        in_flight=0,
        dropped=0,
        complete=True,
        lateness_p99=0.001,
        lateness_max=0.002,
        generator_cpu=0.1,
        samples_count=len(samples),
    )
    return replace(whole, **changed)  # type: ignore[arg-type]  # its own fields


def record(
    samples: Iterable[Sample],
    *,
    ended: float = 10.0,
    windows: Sequence[Span] | None = None,
    loads: Sequence[LoadRecord] | None = None,
    faults: Sequence[FaultRecord] = (),
    steps: Sequence[StepRecord] = (),
    control: Control = Control.NONE,
    scale: float = 60.0,
) -> Record:
    """A run of `ended` wall seconds with one window, `w`, over all of it."""
    listed = tuple(samples)
    return Record(
        run_id="r",
        scenario=Scenario(name="s", hypothesis="h"),
        control=control,
        time_scale=scale,
        seed=1,
        runtime="fake",
        began=BEGAN,
        ended=BEGAN + ended,
        windows=tuple(windows) if windows is not None else (span("w", 0.0, ended),),
        loads=(load(listed, ended),) if loads is None else tuple(loads),
        faults=tuple(faults),
        steps=tuple(steps),
        samples=listed,
    )


def span(name: str, began: float, ended: float | None) -> Span:
    """An observed window, in seconds after the run began."""
    return Span(name=name, kind="observe", began=BEGAN + began, ended=None if ended is None else BEGAN + ended)


def fault(began: float | None, ended: float | None) -> FaultRecord:
    """A fault whose window is called `f`; without instants it was skipped."""
    return FaultRecord(
        window="f",
        description="an outage",
        settings={},
        injected_at=None if began is None else BEGAN + began,
        healed_at=None if ended is None else BEGAN + ended,
        skipped=began is None,
    )
