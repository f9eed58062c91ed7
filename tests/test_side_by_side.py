"""Scenarios side by side: the workers of pytest-xdist hand over what one process would have said."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

# In each worker the sandbox is pretended; records are saved and judged as ever.
CONFTEST = """
from contextlib import contextmanager
from dataclasses import replace
import pytest
from harness import errors, session, store
from harness.run import Run
from harness.testing import FakeClock, ScriptedLoad, fake_cast


@contextmanager
def on_fakes(settings, scenario, progress, named):
    if scenario.name == "unusable":
        raise errors.UsageError("no such stack")
    clock = FakeClock()
    folder = store.new_folder(settings.runs, scenario.name, clock.now())
    cast = fake_cast(clock=clock, loads=ScriptedLoad(clock), conclude=lambda record: session._conclude(folder, record))
    yield Run(replace(cast, progress=progress), scenario=scenario, folder=folder, control=settings.control, seed=1)


session.open_run = on_fakes
"""
SCENARIOS = """
import pytest
from harness import Arrivals, Run, Slo, percent, seconds

def story(run):
    with run.load(Arrivals.constant(per_second=20)):
        return run.observe("calm", seconds(60))

@pytest.mark.alone
def test_first(run: Run) -> None:
    run.verify(Slo.availability(at_least=percent(50)).during(story(run)))

def test_second(run: Run) -> None:
    run.verify(Slo.availability(at_least=percent(50)).during(story(run)))

def test_unusable(run: Run) -> None:
    story(run)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.CompletedProcess[str]]:
    """What two workers come to."""
    tmp_path = tmp_path_factory.mktemp("side by side")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_them.py").write_text(SCENARIOS)
    argv = [sys.executable, "-m", "pytest", "-p", "no:locust", "-p", "no:cacheprovider", "-n", "2", "-v", "."]
    with tempfile.TemporaryDirectory(prefix="gd-") as state:  # a socket's path must be short
        environment = {**os.environ, "GAMEDAY_STATE_DIR": state}
        yield subprocess.run(
            argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150, check=False
        )


@pytest.mark.integration
def test_every_run_is_summed_up_once(told: subprocess.CompletedProcess[str]) -> None:
    """The summary at the end has each scenario's verdict and run folder, whichever worker ran it; one that can't be
    run is red."""
    assert told.returncode == 1, told.stdout
    for name in ("first", "second"):
        assert told.stdout.count(f" UNKNOWN   {name}\n") == 1, told.stdout
        assert told.stdout.count(f"runs/{name}/") == 1
    assert "no such stack" in told.stdout


@pytest.mark.integration
def test_each_line_of_progress_says_whose_it_is(told: subprocess.CompletedProcess[str]) -> None:
    """Two scenarios write to one stream."""
    lines = [line.split() for line in told.stderr.splitlines() if "observing" in line]
    assert sorted(line[0] for line in lines) == ["first", "second"]
