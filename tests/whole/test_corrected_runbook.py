"""The corrected runbook in a live run: its lines work as they stand."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from harness import NotProven, store
from harness.correction import corrected, steps_file
from harness.load.driver import read_samples
from harness.model.record import Scenario
from harness.runbook.parse import read_runbook
from harness.runbook.steps import read_steps
from harness.session import open_run
from harness.settings import Settings
from scenarios.test_llm_outage import test_llm_outage as llm_outage
from tests.whole.conftest import ROOT, Saboteur

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.table, pytest.mark.timeout(180)]


def test_the_corrected_runbook_has_no_findings(tmp_path: Path, state: Path) -> None:
    """With the patched runbook and the steps file that goes with it an outage passes, and no line is corrected."""
    project = tmp_path / "the project"
    for name in ("fixtures", "loadtests"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "docker-compose.yml", project)
    folder = project / "fixtures" / "runbook"
    runbook = read_runbook(folder / "503-error-spike.md")
    steps = read_steps(folder / "steps.yml", runbook)
    found = corrected(runbook, [step for step in steps.by_name.values() if step.corrected], steps.corrections)
    text = steps_file(found, steps, folder / "steps.yml")
    (folder / "503-error-spike.md").write_text(found.text)
    (folder / "steps.yml").write_text(text)

    settings = replace(Settings(), compose=project / "docker-compose.yml", runs=tmp_path / "runs")
    scenario = Scenario(name="llm_outage", hypothesis="see the scenario")
    with open_run(settings, scenario, Saboteur("nothing", "", lambda sandbox: None)) as live:
        with suppress(NotProven):
            llm_outage(live)
        judgement = live.judgement
    assert judgement is not None
    assert judgement.outcome.value == "PASS", "\n".join(map(str, judgement.verdicts))
    assert judgement.findings == ()
    record = store.load(live.folder, read_samples)
    assert {command.variant for step in record.steps for command in step.commands} == {"as-written"}
