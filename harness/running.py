"""Running: `gameday run` is pytest on the chosen scenarios, with our exit status instead of pytest's."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.catalogue import Entry
from harness.errors import UsageError
from harness.model.judgement import Judgement
from harness.model.verdict import Control, Outcome, worst
from harness.pytest_plugin import RESULTS, Results
from harness.rejudge import judge_folder
from harness.settings import Settings
from harness.store import verdict_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What the scenarios came to. `expected` is how many had to be judged: fewer is never a pass, nor is anything
    `broken`. `unusable` are configuration problems, `broken` errors of ours, each as its own message."""

    judged: tuple[tuple[Judgement, Path], ...]
    expected: int
    unusable: tuple[str, ...]
    broken: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        outcomes = [judgement.outcome for judgement, _ in self.judged]
        if self.unusable and not self.judged:
            return UsageError.exit_code
        if len(outcomes) < self.expected or self.broken:
            outcomes.append(Outcome.ERROR)
        return worst(outcomes).exit_code

    def as_json(self) -> list[Any]:
        return [{"run": str(folder), **json.loads(verdict_json(judgement))} for judgement, folder in self.judged]


class _Keep:
    """Takes the results over from pytest's config when its session ends, and what no scenario is there to tell."""

    def __init__(self) -> None:
        self.results = Results()
        self.unusable: list[str] = []
        self.interrupted = False

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.interrupted = excinfo.type is KeyboardInterrupt  # pytest's own ways to stop come here too

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            causes = [line.removeprefix("E ").strip() for line in report.longreprtext.splitlines() if line[:2] == "E "]
            self.unusable.append(f"{report.nodeid} can't be imported: {' '.join(causes) or report.longreprtext}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.results = session.config.stash[RESULTS]
        self.results.unusable += self.unusable


def run_scenarios(
    entries: Sequence[Entry],
    settings: Settings,
    *,
    repeat: int = 1,
    quiet: bool = False,
    have: Mapping[str, Mapping[int, Path]] | None = None,
) -> Done:
    """Run `entries` in this process, each `repeat` times, one after the other. Of several repetitions each has draws of
    its own; those that a scenario has already, by their number, are judged again in their folders. Raises
    KeyboardInterrupt where somebody interrupts it: what was judged until then is in its run folders."""
    have = have or {}
    judged = [(judge_folder(folder)[0], folder) for known in have.values() for folder in known.values()]
    expected = len(judged)
    unusable: list[str] = []
    broken: list[str] = []
    for number in range(1, repeat + 1):
        wanted = [entry for entry in entries if number not in have.get(entry.name, {})]
        nodes = list(dict.fromkeys(entry.node for entry in wanted))
        if not nodes:
            continue
        keep = _Keep()
        with redirect_stdout(sys.stderr) if quiet else nullcontext():
            status = pytest.main([*_arguments(settings, number if repeat > 1 else 0), *nodes], plugins=[keep])
        if keep.interrupted:
            raise KeyboardInterrupt
        expected += len(nodes)
        judged += keep.results.judged
        unusable += keep.results.unusable
        broken += keep.results.broken or _amiss(wanted, keep.results, status)
    return Done(
        judged=tuple(judged),
        expected=expected,
        unusable=tuple(dict.fromkeys(unusable)),
        broken=tuple(text for text in dict.fromkeys(broken) if text not in unusable),
    )


def _amiss(entries: Sequence[Entry], results: Results, status: int) -> list[str]:
    """What no verdict tells of: a scenario that was left out, or something that failed after every verdict was PASS."""
    if results.unusable:
        return []
    judged = {judgement.scenario for judgement, _ in results.judged}
    left_out = [f"{entry.name} was not judged" for entry in entries if entry.name not in judged]
    green = all(judgement.outcome is Outcome.PASS for judgement, _ in results.judged)
    if status and green and not left_out:
        return [f"pytest ended with status {int(status)} though every verdict was PASS: something broke afterwards"]
    return left_out


def _arguments(settings: Settings, repetition: int) -> list[str]:
    return [
        *("-p", "no:locust"),  # its import patches sockets
        *("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"),  # this is `harness`, at work
        *("-p", "no:cacheprovider"),  # a run writes nothing but its own folder
        *("-o", "addopts=", "-o", "console_output_style=classic"),
        *("--no-header", "--no-summary", "-q"),
        f"--runtime={settings.runtime}",
        f"--time-scale={settings.time_scale}",
        *([] if settings.control is Control.ABLATION else [f"--control={settings.control.value}"]),
        f"--seed={settings.seed}",
        f"--repetition={repetition}",
        f"--runs={settings.runs}",
        f"--compose={settings.compose}",
        f"--order={','.join(settings.order)}",
        *(f"--without={step}" for step in settings.without),
    ]
