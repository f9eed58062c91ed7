"""Repeated runs: one that says nothing about the system may be repeated, one that says FAIL may not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# The judge is pretended: each scenario's runs come to the outcomes in its name, one after the other.
CONFTEST = """
from contextlib import contextmanager
from pathlib import Path
from harness import Outcome, session
from harness.model.judgement import Judgement
from harness.run import Run
from harness.testing import fake_cast

RUNS = {}


@contextmanager
def on_fakes(settings, scenario, progress, named):
    at = RUNS[scenario.name] = RUNS.get(scenario.name, -1) + 1
    outcome = Outcome[scenario.name.split("_then_")[at].upper()]
    cast = fake_cast(conclude=lambda record: Judgement(scenario=scenario.name, outcome=outcome, verdicts=()))
    yield Run(cast, scenario=scenario, folder=Path(f"run-{at}"), control=settings.control, seed=1)


session.open_run = on_fakes
"""
SCENARIO = "def test_{name}(run):\n    run.verify()\n\n"


RUNS = {
    "invalid_then_pass": ["INVALID", "PASS"],
    "invalid_then_fail": ["INVALID", "FAIL"],
    "invalid_then_invalid": ["INVALID", "INVALID"],
    "fail_then_pass": ["FAIL"],
    "unknown_then_pass": ["UNKNOWN"],
    "error_then_pass": ["ERROR"],
}


@pytest.mark.integration
def test_only_an_invalid_run_is_repeated(tmp_path: Path) -> None:
    """With `--reruns 1 --only-rerun InvalidRun`; every run is in the summary, and the last one decides."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text("".join(SCENARIO.format(name=name) for name in RUNS))
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:locust", "-p", "no:cacheprovider", "."]
    argv += ["--reruns", "1", "--only-rerun", "InvalidRun"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    shown = {name: [words[0] for words in lines if words[1:] == [name]] for name in RUNS}
    assert shown == RUNS, done.stdout
    assert "5 failed, 1 passed, 3 rerun" in done.stdout
