"""Checks: the claims about a service's log, judged from a record alone.

A line that is missing tells as much as one that is there only where the log could be read, says when its lines were
written, and reaches back far enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.model.evidence import coverage_problem, load_problem
from harness.model.record import LogEvidence, LogLine, Record
from harness.model.timeline import Span
from harness.model.units import say_duration
from harness.model.verdict import Control, Outcome, Verdict, worst


@dataclass(frozen=True, slots=True)
class _Look:
    """What a log tells of a text in one window: the lines that were written in it for `certain`, the number of those
    of which nobody can say and of those at other times, and why a line that is not there proves nothing (empty: it
    does)."""

    certain: tuple[LogLine, ...]
    unsure: int
    elsewhere: int
    blind: str


_Absent = Callable[[Record, Span], tuple[Outcome, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogShows:
    """The service wrote a line with `text` in each of `windows`."""

    kind: Literal["log.shows"] = "log.shows"
    service: str
    text: str
    windows: tuple[str, ...]

    @property
    def claim(self) -> str:
        return f'the log of {self.service} shows "{self.text}" during {" and ".join(self.windows)}'

    def judge(self, record: Record) -> Verdict:
        return _judged(record, self, seen=Outcome.PASS, absent=lambda record, span: (Outcome.FAIL, ""))

    def red_under(self, record: Record) -> frozenset[Control]:
        """A line in a window that ends after a fault began is there because of it."""
        spans = [span for name in self.windows if (span := record.window(name)) is not None]
        faults = [span for fault in record.faults if (span := record.window(fault.window)) is not None]
        hangs = any((span.ended or record.ended) > fault.began for span in spans for fault in faults)
        return frozenset({Control.NO_FAULT}) if hangs else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLacks:
    """The service wrote no line with `text` in any of `windows`, while users came."""

    kind: Literal["log.lacks"] = "log.lacks"
    service: str
    text: str
    windows: tuple[str, ...]

    @property
    def claim(self) -> str:
        return f'the log of {self.service} does not show "{self.text}" during {" and ".join(self.windows)}'

    def judge(self, record: Record) -> Verdict:
        return _judged(record, self, seen=Outcome.FAIL, absent=self._absent)

    def _absent(self, record: Record, span: Span) -> tuple[Outcome, str]:
        samples = sorted(record.during([span]), key=lambda sample: sample.planned)
        idle = load_problem(record) or coverage_problem(record, samples, span.began, span.ended or record.ended)
        if idle:
            return Outcome.UNKNOWN, f"{idle}, and without users a service has little to write"
        return Outcome.PASS, ""

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset()


def _judged(record: Record, check: LogShows | LogLacks, *, seen: Outcome, absent: _Absent) -> Verdict:
    """The verdict on a claim about a log: that of its worst window. `seen` is the outcome where the line is there,
    `absent` tells it where it is certain that it is not, and why if that needs saying."""
    log = next((log for log in record.logs if log.service == check.service), None)
    found = [_during(record, log, check.text, window, seen, absent) for window in check.windows]
    outcome = worst(one for one, _ in found)
    resolution = max(
        (line.ended - line.began for line in _lines(log, check.text) if line.began is not None), default=0.0
    )
    return Verdict(
        claim=check.claim,
        outcome=outcome,
        observed=next((said for one, said in found if one is outcome), "no window was named"),
        resolution=f"± {_say(record, resolution)}" if resolution else "",
        evidence=(f"logs of {check.service}",),
    )


def _during(
    record: Record, log: LogEvidence | None, text: str, window: str, seen: Outcome, absent: _Absent
) -> tuple[Outcome, str]:
    span = record.window(window)
    if span is None or span.ended is None:
        return Outcome.UNKNOWN, f"{window} never {'began' if span is None else 'ended'}"
    look = _look(log, text, span.began, span.ended)
    if look.certain:
        first = look.certain[0]
        into = _say(record, _from(first) - span.began)
        return seen, f"{window}: {_count(look.certain)}, the first {into} into it: {first.text}"
    if look.unsure or look.blind:
        why = look.blind or "nobody can say whether such a line was written in it or beside it"
        return Outcome.UNKNOWN, f"{window}: {why}"
    outcome, why = absent(record, span)
    return outcome, f"{window}: " + (why or f"no such line; {look.elsewhere or 'none'} at other times")


def _look(log: LogEvidence | None, text: str, began: float, ended: float) -> _Look:
    """What `log` tells of `text` from `began` to `ended`."""
    lines = _lines(log, text)
    timed = [line for line in lines if line.began is not None]
    certain = tuple(line for line in timed if _from(line) >= began and line.ended <= ended)
    near = [line for line in lines if line.ended >= began and (line.began is None or line.began <= ended)]
    return _Look(
        certain=certain,
        unsure=len(near) - len(certain),
        blind=_blind(log, text, began),
        elsewhere=len(lines) - len(near),
    )


def _lines(log: LogEvidence | None, text: str) -> list[LogLine]:
    return [line for line in log.lines if text in line.text] if log is not None else []


def _from(line: LogLine) -> float:
    return float("-inf") if line.began is None else line.began


def _blind(log: LogEvidence | None, text: str, began: float) -> str:
    """Why a line that is not in `log` may have been written all the same; empty where it was not."""
    if log is None or text not in log.texts:
        return "the log was not searched for it"
    if log.problem:
        return f"the log could not be read: {log.problem}"
    if log.first is None:
        return "no line of the log says when it was written (a time with its zone)"
    return "the log begins later than the window" if log.first > began else ""


def _count(lines: tuple[LogLine, ...]) -> str:
    return f"{len(lines)} such lines" if len(lines) > 1 else "one such line"


def _say(record: Record, wall: float) -> str:
    """A wall duration in runbook time, in words."""
    return say_duration(wall * record.time_scale)
