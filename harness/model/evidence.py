"""Evidence: whether the samples are all there, so that a conclusion may be drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harness.model.load import Sample
from harness.model.record import Record
from harness.model.units import say_ratio

LEAST_SHARE = 0.95  # of the planned arrivals must have left a sample
# What share of a judged stretch may pass without an arrival. Among n arrivals at random instants a gap of 16/n comes
# by chance once in n * exp(-16) stretches, less than once in ten thousand.
WIDEST_GAP = 0.05
CHANCE_GAP = 16.0


def load_problem(record: Record) -> str:
    """Why no conclusion can be drawn from the samples of this run at all; empty if they are sound."""
    if not record.loads:
        return "there was no load"
    for load in record.loads:
        if not load.complete:
            said = f": {load.problem}" if load.problem else ""
            return f"the load generator of {load.window} did not sign off{said}"
    promised = sum(load.samples_count for load in record.loads)
    if promised != len(record.samples):
        return f"{promised} samples were recorded, {len(record.samples)} are here"
    return ""


def coverage_problem(record: Record, samples: Sequence[Sample], began: float, ended: float) -> str:
    """Why `samples`, ordered by their planned instant, don't cover the stretch from `began` to `ended`; empty if
    they do.

    Arrivals that left no sample can't be placed, so all of the run's are held against this stretch: it can only
    look worse covered than it was.
    """
    if not samples:
        return "no samples"
    planned = sum(load.planned for load in record.loads)
    sent = sum(load.sent for load in record.loads)
    dropped = sum(load.dropped for load in record.loads)
    missing = max(0, planned - sent, planned - len(record.samples), dropped)
    share = len(samples) / (len(samples) + missing)
    if share < LEAST_SHARE:
        return (
            f"target rate not reached: {missing} planned arrivals left no sample, so perhaps only {say_ratio(share)} "
            "of this stretch was tried"
        )
    length = ended - began
    on = sum(max(0.0, min(load.ended or record.ended, ended) - max(load.began, began)) for load in record.loads)
    if length - on > WIDEST_GAP * length:
        return f"no load was on for {say_ratio((length - on) / length)} of this stretch"
    instants = [began, *(sample.planned for sample in samples), ended]
    gap = max(later - earlier for earlier, later in pairwise(instants))
    if gap > max(WIDEST_GAP, CHANCE_GAP / len(samples)) * length:
        return f"no arrivals for {say_ratio(gap / length)} of this stretch"
    return ""
