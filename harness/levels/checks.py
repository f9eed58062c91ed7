"""Checks: the claims about what Prometheus has measured, judged from a record alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from harness.model.record import LevelEvidence, Record, Series
from harness.model.timeline import Span
from harness.model.units import say_duration
from harness.model.verdict import Control, Outcome, Verdict

LEAST_SHARE = 0.9  # of the instants that were asked for must have a value
# Prometheus goes on telling a value for minutes after the last scrape. One that took so many intervals too long, and
# this many wall seconds, is a stretch in which nobody looked.
SCRAPES_MISSED = 3
LEAST_PAUSE = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelKept:
    """The value of `expr` was on the right side of its limit at each instant of each window."""

    kind: Literal["level.kept"] = "level.kept"
    name: str
    expr: str
    sign: Literal["<", ">="]
    limit: float
    windows: tuple[str, ...]

    @property
    def claim(self) -> str:
        return f"{self.name} {self.sign} {self.limit:g} during {' and '.join(self.windows)}"

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset()

    def judge(self, record: Record) -> Verdict:
        return _judged(record, self, f"{self.sign} {self.limit:g}", self._within)

    def _within(self, series: Series) -> tuple[Outcome, str]:
        values = [value for _, value in series.points]
        worst = max(values) if self.sign == "<" else min(values)
        kept = worst < self.limit if self.sign == "<" else worst >= self.limit
        said = f"{min(values):.3g} to {max(values):.3g}"
        return (Outcome.PASS if kept else Outcome.FAIL), said


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelWent:
    """The value of `expr` was each of `values` in their order, in each window."""

    kind: Literal["level.went"] = "level.went"
    name: str
    expr: str
    values: tuple[float, ...]
    windows: tuple[str, ...]

    @property
    def claim(self) -> str:
        return f"{self.name} goes {self._path} during {' and '.join(self.windows)}"

    @property
    def _path(self) -> str:
        return " -> ".join(f"{value:g}" for value in self.values)

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset()

    def judge(self, record: Record) -> Verdict:
        return _judged(record, self, self._path, self._passed)

    def _passed(self, series: Series) -> tuple[Outcome, str]:
        values = [value for _, value in series.points]
        turns = [values[0], *(later for earlier, later in pairwise(values) if later != earlier)]
        rest = iter(turns)
        went = all(value in rest for value in self.values)
        said = " -> ".join(f"{value:g}" for value in turns[:12]) + (" …" if len(turns) > 12 else "")
        return (Outcome.PASS if went else Outcome.FAIL), said


def _judged(
    record: Record,
    check: LevelKept | LevelWent,
    limit: str,
    test: Callable[[Series], tuple[Outcome, str]],
) -> Verdict:
    """The verdict on a claim about a level: refuted in one window it is refuted, unknown in one it is no pass."""
    found = [_during(record, check.expr, window, test) for window in check.windows]
    outcomes = {outcome for outcome, _, _ in found}
    outcome = next((bad for bad in (Outcome.FAIL, Outcome.UNKNOWN) if bad in outcomes), Outcome.PASS)
    if not found:
        outcome = Outcome.UNKNOWN
    said = "; ".join(
        text if len(found) == 1 else f"{window}: {text}"
        for window, (own, text, _) in zip(check.windows, found, strict=True)
        if own is outcome
    )
    step = max((step for _, _, step in found), default=0.0)
    return Verdict(
        claim=check.claim,
        outcome=outcome,
        observed=said or "no window was named",
        limit=limit,
        resolution=f"a value each {say_duration(step * record.time_scale)}" if step else "",
        evidence=(check.expr,),
    )


def _during(
    record: Record, expr: str, window: str, test: Callable[[Series], tuple[Outcome, str]]
) -> tuple[Outcome, str, float]:
    """The outcome in one window, what to say of it, and wall seconds between two values."""
    span = record.window(window)
    if span is None or span.ended is None:
        return Outcome.UNKNOWN, f"it never {'began' if span is None else 'ended'}", 0.0
    evidence = next((each for each in record.levels if (each.expr, each.window) == (expr, window)), None)
    if evidence is None:
        return Outcome.UNKNOWN, "nobody asked Prometheus for it", 0.0
    if problem := evidence.problem or _gap(record, span) or _thin(evidence, span):
        return Outcome.UNKNOWN, problem, evidence.step
    judged = [(test(series), series) for series in evidence.series]
    outcome = Outcome.FAIL if any(own is Outcome.FAIL for (own, _), _ in judged) else Outcome.PASS
    shown = [f"{said}{_labels(series)}" for (own, said), series in judged if own is outcome]
    return outcome, ", ".join(shown[:4]) + (" …" if len(shown) > 4 else ""), evidence.step


def _thin(evidence: LevelEvidence, span: Span) -> str:
    """Why these values don't cover the window; empty where they do."""
    if not evidence.series:
        return "there is no such series"
    lasted = (span.ended or span.began) - evidence.began
    wanted = max(1, int(lasted / evidence.step)) if evidence.step > 0 else 0
    few = min(len(series.points) for series in evidence.series)
    if not wanted or few < LEAST_SHARE * wanted:
        return f"only {few} of {wanted} values are there"
    return ""


def _gap(record: Record, span: Span) -> str:
    """Why Prometheus can't be believed here: it did not scrape for a while; empty where it did."""
    if not record.alerts.read or not record.alerts.up:
        return "; ".join(record.alerts.problems) or "when Prometheus scraped could not be read"
    longest = max(LEAST_PAUSE, SCRAPES_MISSED * record.alerts.scrape_interval)
    ended = span.ended or record.ended
    for series in record.alerts.up:
        paused = _longest_pause([at for at, _ in series.points], span.began, ended)
        if paused > longest:
            return f"Prometheus did not scrape{_labels(series)} for {say_duration(paused * record.time_scale)}"
    return ""


def _longest_pause(instants: Sequence[float], began: float, ended: float) -> float:
    """The longest stretch from `began` to `ended` without one of `instants`."""
    inside = [began, *(at for at in instants if began < at < ended), ended]
    return max(later - earlier for earlier, later in pairwise(inside))


def _labels(series: Series) -> str:
    said = ", ".join(f"{name}={value}" for name, value in sorted(series.labels.items()) if name != "__name__")
    return f" ({said})" if said else ""
