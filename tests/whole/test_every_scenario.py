"""Every scenario: each way to spoil it, and each control, once for all of them.

A table of scenarios and of what is done to them. `make test` takes one cell of every fourth row (tests/whole/
test_sabotage.py has the rows for one scenario), `make table` all of it, which takes hours.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from importlib import import_module
from itertools import product

import pytest

from harness import Control
from harness.faults import decode
from harness.journal import Journal
from harness.run import Run
from harness.sandbox.processes import ProcessSandbox
from tests.whole.conftest import ROOT, RunStory, Saboteur, Story, unaccounted
from tests.whole.strikes import delete_the_rules, kill, kill_the_load, stop_scraping

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.sabotage, pytest.mark.timeout(180)]
NOBODY = ("nothing", "", lambda sandbox: None)


def stories() -> Iterator[Story]:
    """The test functions in scenarios/ that take a run."""
    for path in sorted((ROOT / "scenarios").glob("test_*.py")):
        module = import_module(f"scenarios.{path.stem}")
        for name, found in vars(module).items():
            if name.startswith("test_") and getattr(found, "__annotations__", {}).get("run") in (Run, "Run"):
                yield found


def take_the_fault_out(sandbox: ProcessSandbox) -> None:
    for undo in Journal(sandbox.folder).open_promises().values():
        decode(undo).heal(sandbox)


STORIES = {story.__name__.removeprefix("test_"): story for story in stories()}
STARTED, INSIDE = ("load.began", ""), ("fault.injected", "")
STRIKES = {
    "prometheus killed": (STARTED, kill("prometheus")),
    "prometheus frozen": (STARTED, kill("prometheus", signal.SIGSTOP)),
    "alertmanager killed": (STARTED, kill("alertmanager")),
    "receiver killed": (STARTED, kill("receiver")),
    "rules deleted": (STARTED, delete_the_rules),
    "nothing scraped": (STARTED, stop_scraping),
    "load killed": (STARTED, kill_the_load),
    "toxiproxy killed": (STARTED, kill("toxiproxy")),
    "fault taken out": (INSIDE, take_the_fault_out),
}
# Taking out a fault needs one, and these have none.
FAULTLESS = {"quiet_when_healthy", "rolling_restart", "deploy", "healthy_limit"}


def cells(rows: list[str]) -> list[object]:
    """The whole table; all but a few cells are marked."""
    found: list[object] = []
    for (at, row), (column, name) in product(enumerate(rows), enumerate(STORIES)):
        if row == "fault taken out" and name in FAULTLESS:
            continue
        taken = at % 4 == 0 and column == (3 * at + 5) % len(STORIES)
        found.append(pytest.param(row, name, id=f"{row}, {name}", marks=[] if taken else [pytest.mark.table]))
    return found


@pytest.mark.parametrize(("strike", "name"), cells(list(STRIKES)))
def test_no_sabotage_ever_passes(run_story: RunStory, strike: str, name: str) -> None:
    """Whatever is broken behind the back of whichever scenario, it is never PASS, and never a traceback."""
    when, blow = STRIKES[strike]
    saboteur = Saboteur(*when, blow)
    told = run_story(STORIES[name], saboteur)
    assert saboteur.struck
    assert told.judgement.outcome.value != "PASS", "\n".join(map(str, told.judgement.verdicts))


@pytest.mark.parametrize(("control", "name"), cells([Control.NO_FAULT.value, Control.NO_MITIGATION.value]))
def test_no_claim_is_vacuous(run_story: RunStory, control: str, name: str) -> None:
    """Under a control every claim that hangs on what was left out turns red, and nothing breaks."""
    told = run_story(STORIES[name], Saboteur(*NOBODY), Control(control))
    said = "\n".join(map(str, told.judgement.verdicts))
    assert not any(verdict.vacuous for verdict in told.judgement.verdicts), said
    assert told.judgement.outcome.value != "ERROR", said


@pytest.mark.table
@pytest.mark.parametrize("name", STORIES)
def test_every_scenario_passes(run_story: RunStory, name: str) -> None:
    """With nothing done to it, it passes, and its postmortem accounts for every 503."""
    told = run_story(STORIES[name], Saboteur(*NOBODY))
    assert told.judgement.outcome.value == "PASS", "\n".join(map(str, told.judgement.verdicts))
    assert unaccounted(told.folder) == []
