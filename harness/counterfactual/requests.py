"""Requests: the run as its users would have had it, had the system served them otherwise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace

from harness.counterfactual.base import Counterfactual
from harness.model.load import Sample
from harness.model.record import Record
from harness.model.verdict import Outcome

LATE = 60.0  # wall seconds: users have long gone
AT_ONCE = 0.005  # wall seconds that an answer takes which nothing is wrong with


def _as_in_the_fault(record: Record) -> Record | None:
    """Every request outside of the first part of a fault, before anybody responded, has an answer of that part."""
    injected = [fault.injected_at for fault in record.faults if fault.injected_at is not None]
    if not injected:
        return None
    began, until = min(injected), _response(record, min(injected))
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in record.samples:
        if began <= sample.planned < until:
            found[sample.name].append(sample)
    if not found:
        return None
    numbers = dict.fromkeys(found, 0)
    moved = []
    for sample in record.samples:
        if began <= sample.planned < until or sample.name not in found:
            moved.append(sample)
            continue
        there = found[sample.name]
        moved.append(_moved(there[numbers[sample.name] % len(there)], sample.planned))
        numbers[sample.name] += 1
    return replace(record, samples=tuple(moved))


def _response(record: Record, began: float) -> float:
    """When the first fault was over, or somebody responded to it."""
    healed = [fault.healed_at for fault in record.faults if fault.healed_at is not None]
    spans = (record.window(step.window) for step in record.steps if step.purpose != "look" and not step.skipped)
    return min([record.ended, *healed, *(span.began for span in spans if span is not None and span.began > began)])


def _moved(sample: Sample, planned: float) -> Sample:
    by = planned - sample.planned
    return replace(
        sample,
        planned=planned,
        sent=sample.sent + by,
        ended=None if sample.ended is None else sample.ended + by,
        censored=None if sample.censored is None else sample.censored + by,
    )


def _each(change: Callable[[Sample], Sample]) -> Callable[[Record], Record | None]:
    def of(record: Record) -> Record | None:
        return replace(record, samples=tuple(map(change, record.samples))) if record.samples else None

    return of


def _refused(sample: Sample) -> Sample:
    return replace(sample, ended=sample.sent + AT_ONCE, censored=None, status=503, ok=False, error="refused")


def _late(sample: Sample) -> Sample:
    return replace(
        sample,
        ended=None if sample.ended is None else sample.ended + LATE,
        censored=None if sample.censored is None else sample.censored + LATE,
    )


def _answered(sample: Sample) -> Sample:
    return replace(sample, ended=sample.sent + AT_ONCE, censored=None, status=200, ok=True, error="")


def _behind(record: Record) -> Record | None:
    if not record.loads:
        return None
    return replace(record, loads=tuple(replace(load, lateness_p99=LATE, lateness_max=LATE) for load in record.loads))


def of_requests() -> Iterator[Counterfactual]:
    """What users might have got, and a load that was not the one planned."""
    yield Counterfactual(name="users served as in the fault", grade="moved", of=_as_in_the_fault)
    yield Counterfactual(name="every request refused", grade="made up", of=_each(_refused))
    yield Counterfactual(name="every answer a minute late", grade="made up", of=_each(_late))
    yield Counterfactual(name="no user was ever hit", grade="made up", of=_each(_answered))
    yield Counterfactual(name="the generator fell behind", grade="made up", of=_behind, red=Outcome.INVALID)
