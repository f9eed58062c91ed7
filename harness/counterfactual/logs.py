"""Logs: the run with lines of its services' logs in other places, or nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from harness.counterfactual.base import Counterfactual
from harness.model.record import LogEvidence, LogLine, Record

Lines = Callable[[LogEvidence], Iterator[str]]


def _lacking(record: Record) -> Record | None:
    if not any(log.lines for log in record.logs):
        return None
    return replace(record, logs=tuple(replace(log, lines=()) for log in record.logs))


def _everywhere(record: Record, texts: Lines) -> Record | None:
    """Each of `texts` of a log is written in every window."""
    instants = [
        (span.began + (record.ended if span.ended is None else span.ended)) / 2
        for span in record.windows
        if span.kind != "load"
    ]
    logs = tuple(
        replace(
            log,
            lines=(*log.lines, *(LogLine(text=text, began=at, ended=at) for text in texts(log) for at in instants)),
        )
        for log in record.logs
    )
    return replace(record, logs=logs) if logs != record.logs else None


def _written(log: LogEvidence) -> Iterator[str]:
    """Of each text that was looked for, the first line that holds it."""
    for text in log.texts:
        yield from [line.text for line in log.lines if text in line.text][:1]


def of_logs() -> Iterator[Counterfactual]:
    """What services might have written."""
    yield Counterfactual(name="lines of other times", grade="moved", of=lambda record: _everywhere(record, _written))
    yield Counterfactual(name="no such line", grade="made up", of=_lacking)
    yield Counterfactual(
        name="such a line in every window",
        grade="made up",
        of=lambda record: _everywhere(record, lambda log: iter(log.texts)),
    )
