"""Whole runs: the shipped scenario on the shipped sandbox, with something done to it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from harness import Control, NotProven
from harness.model.judgement import Judgement
from harness.model.record import Scenario
from harness.model.timeline import Event
from harness.run import Run
from harness.sandbox.processes import ProcessSandbox, attach, sandboxes
from harness.session import open_run
from harness.settings import Settings
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
class Outage:
    """One run of the shipped LLM outage."""

    judgement: Judgement
    folder: Path

    def of(self, part: str) -> list[str]:
        """The outcomes of the claims that have `part` in them."""
        return [verdict.outcome.value for verdict in self.judgement.verdicts if part in verdict.claim]


RunOutage = Callable[..., Outage]


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of this test's own, with a path short enough for a socket."""
    with TemporaryDirectory(prefix="gd-") as folder:
        monkeypatch.setenv("GAMEDAY_STATE_DIR", folder)
        yield Path(folder)


@pytest.fixture
def run_outage(tmp_path: Path, state: Path) -> RunOutage:
    """Run the shipped scenario to its judgement; nothing may stay of its sandbox."""

    def run(saboteur: Saboteur, control: Control = Control.NONE) -> Outage:
        settings = Settings(compose=ROOT / "docker-compose.yml", runs=tmp_path / "runs", control=control)
        scenario = Scenario(name="llm_outage", hypothesis="see the scenario")
        with open_run(settings, scenario, saboteur) as live:
            judgement = _tell(live)
        assert not list(state.iterdir()), "something of the sandbox is left"
        return Outage(judgement, live.folder)

    return run


def _tell(live: Run) -> Judgement:
    with suppress(NotProven):
        llm_outage.test_llm_outage(live)
    assert live.judgement is not None
    return live.judgement
