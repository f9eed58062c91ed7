"""Whole runs: the shipped scenario on the shipped sandbox, with something done to it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from harness import Control, HarnessError, NotProven, store
from harness.load.driver import read_samples
from harness.model.judgement import Judgement
from harness.model.record import Scenario
from harness.model.timeline import Event
from harness.run import Run
from harness.sandbox.processes import ProcessSandbox, attach, sandboxes
from harness.session import open_run
from harness.settings import Settings
from reports.cost import rows_counted
from reports.reconciliation import reconcile, whole_run
from scenarios import test_llm_outage as llm_outage

ROOT = Path(__file__).parent.parent.parent


@dataclass(slots=True)
class Saboteur:
    """Watches the run's events as people would, and strikes once, at the first one of this kind."""

    kind: str
    subject: str
    strike: Callable[[ProcessSandbox], None]
    struck: bool = field(default=False)

    def event(self, elapsed: float, event: Event) -> None:
        if not self.struck and event.kind == self.kind and self.subject in event.subject:
            self.struck = True
            self.strike(only_sandbox())

    def waiting(self, phase: str, elapsed: float, expected: float, status: str) -> None:
        pass


def only_sandbox() -> ProcessSandbox:
    """The one sandbox of this test: its state folder is its own."""
    (state,) = (state for state in sandboxes() if not state.detached)
    return attach(state.name)


@dataclass(frozen=True, slots=True)
class Told:
    """One run of a shipped scenario."""

    judgement: Judgement
    folder: Path

    def of(self, part: str) -> list[str]:
        """The outcomes of the claims that have `part` in them."""
        return [verdict.outcome.value for verdict in self.judgement.verdicts if part in verdict.claim]


def unaccounted(folder: Path) -> list[str]:
    """What the runbook's own count of 503s and the load generator's leave open in the run of `folder`."""
    record = store.load(folder, read_samples)
    assert record.impact is not None
    open_ends = list(record.impact.problems)
    counted, done, whole = rows_counted(record), reconcile(record), whole_run(record)
    if record.impact.incident and done and (counted is None or counted[0].count != done.logged):
        open_ends.append(f"the query says {counted and counted[0].rows}, the log has {done.logged}")
    return open_ends + [f"unexplained: {each}" for each in (done, whole) if each and each.unexplained]


Story = Callable[[Run], None]
RunStory = Callable[..., Told]
RunOutage = Callable[..., Told]


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of this test's own, with a path short enough for a socket."""
    with TemporaryDirectory(prefix="gd-") as folder:
        monkeypatch.setenv("GAMEDAY_STATE_DIR", folder)
        yield Path(folder)


@pytest.fixture
def run_story(tmp_path: Path, state: Path) -> RunStory:
    """Run a shipped scenario to its judgement; nothing may stay of its sandbox."""

    def run(story: Story, saboteur: Saboteur, control: Control = Control.NONE) -> Told:
        settings = Settings(compose=ROOT / "docker-compose.yml", runs=tmp_path / "runs", control=control)
        scenario = Scenario(name=story.__name__.removeprefix("test_"), hypothesis="see the scenario")
        with open_run(settings, scenario, saboteur) as live:
            try:
                with suppress(NotProven):
                    story(live)
            except HarnessError as problem:  # as the pytest plugin does: what breaks off is judged, and is an ERROR
                live.conclude(checks=live.claimed, error=str(problem))
            assert live.judgement is not None
        assert not list(state.iterdir()), "something of the sandbox is left"
        return Told(live.judgement, live.folder)

    return run


@pytest.fixture
def run_outage(run_story: RunStory) -> RunOutage:
    """Run the LLM outage."""

    def run(saboteur: Saboteur, control: Control = Control.NONE) -> Told:
        return run_story(llm_outage.test_llm_outage, saboteur, control)

    return run
