"""Repeats: how times and claims spread over many runs, as a document for people."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.repeats import Bound, Flaky, Repeats, Series, Spread, say_median
from harness.model.units import say_duration, say_ratio
from reports import html as pages
from reports import markdown as texts

FEW = 6  # as many runs does an interval of a median take


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One time, in words."""

    name: str
    said: str
    median: str
    spread: str
    runs: str
    resolution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One series, in words."""

    title: str
    outcomes: str
    failed: str
    red: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    flaky: tuple[tuple[str, str], ...]


def markdown(repeats: Repeats) -> str:
    """All series as Markdown."""
    return texts.tidy(texts.template("repeats.md.j2").render(parts=_parts(repeats)))


def html(repeats: Repeats) -> str:
    """All series as one page that asks nothing of any other file or server."""
    return pages.template("repeats.html.j2").render(parts=_parts(repeats)) + "\n"


def _parts(repeats: Repeats) -> tuple[Part, ...]:
    return tuple(_part(series) for series in repeats.series)


def _part(series: Series) -> Part:
    under = "" if series.control == "none" else f" under {series.control}"
    return Part(
        title=f"{series.scenario}{under}: {len(series.runs)} runs",
        outcomes=", ".join(f"{count} {outcome}" for outcome, count in series.outcomes.items()),
        failed=say_bound(series.failed),
        red=say_bound(series.red),
        lines=tuple(map(_line, series.times)),
        notes=tuple(_notes(series)),
        flaky=tuple((one.claim, _counts(one)) for one in series.flaky),
    )


def say_bound(bound: Bound) -> str:
    """`0 of 100 (0 % to 3.62 %)`."""
    return f"{bound.hits} of {bound.count} ({say_ratio(bound.lower)} to {say_ratio(bound.upper)})"


def _line(spread: Spread) -> Line:
    whole, _, part = spread.name.partition("/")
    censored = f", {len(spread.censored)} not: over {_range(spread.censored)}" if spread.censored else ""
    unknown = f", {spread.unknown} unknown" if spread.unknown else ""
    return Line(
        name=f"- {part}" if part else whole,
        said=spread.said,
        median=say_median(spread),
        spread=_range(spread.reached) if spread.reached else "-",
        runs=f"{len(spread.reached)}{censored}{unknown}",
        resolution=f"± {say_duration(spread.resolution)}" if spread.reached else "",
    )


def _range(values: tuple[float, ...]) -> str:
    low, high = say_duration(round(min(values), 3)), say_duration(round(max(values), 3))
    return low if low == high else f"{low} to {high}"


def _notes(series: Series) -> list[str]:
    version = f", version {series.fingerprint} of the scenario" if series.fingerprint else ""
    notes = [f"Time scale {series.time_scale:g}, seed {series.seed}{version}."]
    counted = len(series.runs) - series.uncounted
    if series.uncounted:
        notes.append(f"INVALID or ERROR, so that their times are not counted: {series.uncounted}.")
    if series.times and counted < FEW:
        notes.append(f"Too few for an interval of 95 % around a median: it takes {FEW} runs, {counted} count.")
    if series.phases:
        low, high = min(series.phases), max(series.phases)
        notes.append(f"Phases of the first fault, drawn uniformly: {low:.2f} to {high:.2f} of a cycle of the watchers.")
    elif series.times:
        notes.append("Phases were not drawn: the runs were not made by --repeat.")
    return notes


def _counts(flaky: Flaky) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in flaky.outcomes.items())
