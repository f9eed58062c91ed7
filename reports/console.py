"""Console: the end of a run, as its people read it in a terminal or in a CI log."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.model.judgement import Judgement, Time
from harness.model.units import say_duration
from harness.model.verdict import Outcome, Verdict
from reports.words import label, say_time, why

_STYLES = {"PASS": "green", "FAIL": "red", "UNKNOWN": "yellow", "INVALID": "magenta", "ERROR": "bold red"}
_PLAIN_WIDTH = 120
# A passed claim's figures are in the report; here they would hide the one line that matters.
_LONGEST_PASS = 96


def summary(judgement: Judgement, folder: Path | None, colour: bool, *, width: int | None = None) -> str:
    """The summary of one run as lines of text: the verdict and why, the measured times, the claims, the findings,
    and where the whole report is. With `colour` it is written for a terminal, without it is plain text."""
    out = io.StringIO()
    console = Console(
        file=out,
        force_terminal=colour,
        color_system="standard" if colour else None,
        width=width or (None if colour else _PLAIN_WIDTH),
        highlight=False,
        legacy_windows=False,
    )
    console.print(_headline(judgement))
    for block in (_times(judgement), _claims(judgement), _findings(judgement)):
        if block is not None:
            console.print()
            console.print(Padding(block, (0, 0, 0, 2)))
    if folder is not None:
        console.print()
        console.print(_where(folder), soft_wrap=True)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _headline(judgement: Judgement) -> RenderableType:
    word = judgement.outcome.value
    first = Text.assemble((f" {word} ", f"bold reverse {_STYLES[word]}"), "  ", (judgement.scenario, "bold"))
    return Group(first, Padding(Text(_line(why(judgement))), (0, 0, 0, 2)))


def _times(judgement: Judgement) -> RenderableType | None:
    """The measured times; a part of another stands under it."""
    if not judgement.times:
        return None
    table = _table()
    for name, time in judgement.times.items():
        whole, _, part = name.partition("/")
        nested = bool(part) and whole in judgement.times
        style = "dim" if nested else ""
        table.add_row(
            Text(f"  {part}" if nested else name, style=style),
            Text(_short_time(time) if nested else say_time(time), style=style or "bold"),
            Text(_line(time.said), style=style),
        )
    return table


def _short_time(time: Time) -> str:
    return f"{say_duration(time.value_seconds_runbook)} ± {say_duration(time.resolution_seconds)}"


def _claims(judgement: Judgement) -> RenderableType | None:
    if not judgement.verdicts:
        return None
    table = _table()
    for verdict in judgement.verdicts:
        word = label(verdict)
        style = _STYLES.get(word, "magenta")
        table.add_row(Text(word, style=f"bold {style}"), _claim(verdict))
    return table


def _claim(verdict: Verdict) -> RenderableType:
    observed = _line(verdict.observed)
    if verdict.outcome is Outcome.PASS and not verdict.vacuous:
        short = observed if len(observed) <= _LONGEST_PASS else observed[: _LONGEST_PASS - 1].rstrip() + "…"
        return Group(Text(_line(verdict.claim)), Text(short, style="dim"))
    notes = [
        f"limit {verdict.limit}" if verdict.limit else "",
        f"resolution {verdict.resolution}" if verdict.resolution else "",
    ]
    lines = [Text(_line(verdict.claim), style="bold"), Text(observed)]
    if any(notes):
        lines.append(Text(_line(" · ".join(filter(None, notes))), style="dim"))
    lines += [Text(_line(f"evidence: {line}"), style="dim") for line in verdict.evidence[:6]]
    return Group(*lines)


def _findings(judgement: Judgement) -> RenderableType | None:
    if not judgement.findings:
        return None
    table = _table()
    for finding in judgement.findings:
        table.add_row(Text("finding", style="yellow"), Text(_line(finding)))
    return table


def _where(folder: Path) -> RenderableType:
    page = folder / "report.html"
    return Text.assemble(("  report  ", "dim"), str(page if page.exists() else folder))


def _table() -> Table:
    return Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)


def _line(said: str) -> str:
    """One line without control characters: what a server wrote must not move the reader's cursor."""
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())
