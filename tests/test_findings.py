"""What recorded runs say of each line of a runbook, and the patch that follows."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from harness import store
from harness.findings import findings_of, recorded
from harness.model.findings import RunbookFindings
from harness.model.record import CommandRecord, EffectRecord, Record, Scenario, StepRecord
from harness.model.timeline import Span
from harness.model.verdict import Control
from harness.runbook.parse import parse_runbook, read_runbook
from harness.runbook.steps import Steps, read_steps
from tests.slo.build import BEGAN, fault, record

ROOT = Path(__file__).parent.parent
TEXT = """# Outage

## Respond

```bash
enable breaker
sleep 30
flush it
look
never
```

Then `measure it`, and `not this`.
"""
STEPS = """
steps:
  breaker:
    purpose: mitigate
    run: {respond/1.1: enable breaker, respond/1.2: sleep 30}
    effects: [{metric: open, of: "app:80", becomes: "== 1"}]
    corrected: enable --token breaker
    accepted: {finding: did not, because: it lacks the token}
    nothing_to_undo: none
  flush:
    purpose: mitigate
    run: {respond/1.3: flush it}
    effects: [{metric: size, of: "app:80", becomes: "== 0"}]
    corrected: flush --all
    accepted: {finding: did not, because: it flushes nothing}
    nothing_to_undo: none
  look:
    purpose: look
    run: {respond/1.4: look}
    not_here: there is nothing to look at
  measure:
    purpose: look
    run: {respond/code.1: measure it}
    effects: [{prints: fast}]
"""
RUNBOOK = parse_runbook(TEXT, source="r.md")


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    (tmp_path / "steps.yml").write_text(STEPS)
    return read_steps(tmp_path / "steps.yml", RUNBOOK)


def command(text: str, *, status: int | None = 0, refused: str = "") -> CommandRecord:
    return CommandRecord(
        variant="as-written", text=text, began=0, ended=1, exit_status=status, output="unauthorized", refused=refused
    )


def effect(held: bool | None, variant: Literal["as-written", "corrected"] = "as-written") -> EffectRecord:
    return EffectRecord(claim="open == 1", variant=variant, before="0", after="0", held=held, at=1.0)


def performed(
    name: str, commands: Sequence[CommandRecord], effects: Sequence[EffectRecord], *, not_here: str = ""
) -> StepRecord:
    return StepRecord(
        window=name,
        name=name,
        source="r.md:6",
        purpose="mitigate",
        deadline=None,
        commands=tuple(commands),
        effects=tuple(effects),
        accepted="it lacks the token",
        not_here=not_here,
    )


def told(*steps: StepRecord, control: Control = Control.NONE) -> Record:
    return record([], steps=steps, control=control)


def found(steps: Steps, *records: Record) -> RunbookFindings:
    return findings_of(RUNBOOK, steps, records)


BREAKER = [command("enable breaker"), command("sleep 30")]


@pytest.mark.parametrize(
    ("status", "effects", "outcome"),
    [
        (0, [effect(True)], "works"),
        (0, [effect(False), effect(True, "corrected")], "no-effect"),
        (1, [effect(True)], "fails"),
        (None, [effect(False)], "fails"),
        (0, [effect(None)], "unknown"),
        (0, [], "not-run"),  # nothing was observed
    ],
)
def test_a_line_is_judged_as_it_was_written(
    steps: Steps, status: int | None, effects: list[EffectRecord], outcome: str
) -> None:
    """What its correction did afterwards does not make a line work."""
    run = told(performed("breaker", [command("enable breaker", status=status), BREAKER[1]], effects))
    assert found(steps, run).lines[0].outcome == outcome


def test_lines_that_no_run_performed_say_so(steps: Steps) -> None:
    """A line without a run, without a step, or only with a control's run, is not-run."""
    control = told(performed("breaker", BREAKER, [effect(True)]), control=Control.ABLATION)
    lines = found(steps, control).lines
    assert [line.outcome for line in lines] == ["not-run"] * 6
    assert [line.step for line in lines] == ["breaker", "breaker", "flush", "look", "", "measure"]


def test_a_refused_line_says_why(steps: Steps) -> None:
    """What this system has no place for is not-here, with the reason of the steps file."""
    looked = performed("look", [command("look", status=None, refused="no such command")], [], not_here="then")
    line = found(steps, told(looked)).lines[3]
    assert (line.outcome, line.because) == ("not-here", "there is nothing to look at")


def test_the_patch_has_what_was_proven_and_keeps_the_waits(steps: Steps) -> None:
    """A correction that a run saw work takes the place of its lines; one that was not seen does not."""
    breaker = performed("breaker", BREAKER, [effect(False), effect(True, "corrected")])
    flush = performed("flush", [command("flush it")], [effect(False), effect(False, "corrected")])
    both = found(steps, told(breaker, flush))
    changed = [line for line in both.patch.splitlines() if re.match(r"[+-](?![+-])", line)]
    assert changed == ["-enable breaker", "+enable --token breaker"]
    assert [line.proven for line in both.lines[:3]] == [True, None, False]  # a wait needs no correction
    assert found(steps).patch == ""


def test_the_patch_applies(steps: Steps, tmp_path: Path) -> None:
    """Its owners can apply it with the usual tool."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    both = found(steps, told(performed("breaker", BREAKER, [effect(False), effect(True, "corrected")])))
    (tmp_path / "r.md").write_text(TEXT)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=both.patch, text=True, check=True)
    assert (tmp_path / "r.md").read_text() == TEXT.replace("enable breaker", "enable --token breaker")


def test_what_a_line_does_in_an_incident_comes_first(steps: Steps) -> None:
    """A run in which a root cause was there says more of a response than one on a healthy system."""
    calm = told(performed("breaker", BREAKER, [effect(True)]))
    hit = replace(
        record([], steps=[performed("breaker", BREAKER, [effect(False)])], faults=[fault(0, 9)]),
        windows=(Span(name="breaker", kind="step", began=BEGAN + 1, ended=BEGAN + 2),),
        scenario=Scenario(name="hit", hypothesis=""),
    )
    line = found(steps, calm, hit).lines[0]
    assert (line.outcome, line.scenario) == ("no-effect", "hit")


def test_what_would_destroy_is_told_from_what_is_not_here(tmp_path: Path) -> None:
    """A refused line that would take more than an operator means to is said to be dangerous."""
    text = "## Do\n\n```bash\ndocker system prune -f\nkubectl get pods\n```\n"
    book = parse_runbook(text, source="r.md")
    both = "purpose: look, not_here: there is none"
    asked = {"a": "do/1.1: docker system prune -f", "b": "do/1.2: kubectl get pods"}
    written = ", ".join(f"{name}: {{run: {{{line}}}, {both}}}" for name, line in asked.items())
    (tmp_path / "steps.yml").write_text(f"steps: {{{written}}}")
    runs = [
        performed(name, [command(text, status=None, refused="no such command")], [], not_here="there is none")
        for name, text in (("a", "docker system prune -f"), ("b", "kubectl get pods"))
    ]
    lines = findings_of(book, read_steps(tmp_path / "steps.yml", book), [told(*runs)]).lines
    assert [line.outcome for line in lines] == ["dangerous", "not-here"]


def test_of_recorded_runs_those_with_steps_left_out_are_read_as_well(tmp_path: Path) -> None:
    """The latest as it is, and each without steps; no other control."""
    for number, control in enumerate((Control.NONE, Control.ABLATION, Control.NONE, Control.NO_FAULT)):
        folder = store.new_folder(tmp_path, "s", 1000.0 * number)
        store.save_record(replace(record([], control=control), run_id=folder.name), folder)
        assert store.control_of(folder) is control
    (tmp_path / "s" / "torn").mkdir()
    (tmp_path / "s" / "torn" / "record.json").write_text('{\n "control": "sideways"')
    assert store.control_of(tmp_path / "s" / "torn") is None
    assert [one.control for one in recorded(tmp_path)] == [Control.NONE, Control.ABLATION]
    assert [one.run_id for one in recorded(tmp_path)] == ["19700101-003320", "19700101-001640"]


def test_inline_code_that_a_step_names_is_a_line(steps: Steps) -> None:
    """It has a row of its own, in its place; inline code that no step names has none."""
    lines = found(steps, told(performed("measure", [command("measure it")], [effect(True)]))).lines
    assert [(line.text, line.outcome) for line in lines][-2:] == [("never", "not-run"), ("measure it", "works")]


def test_a_broken_off_run_says_nothing(steps: Steps) -> None:
    """What a run of an error has seen of a step is not counted."""
    run = told(performed("breaker", BREAKER, [effect(True)]))
    assert found(steps, replace(run, error="we broke")).lines[0].outcome == "not-run"


def test_every_line_of_our_runbook_has_a_step_and_a_finding() -> None:
    """The page of findings has each command line, none of them untried, and says what is known to be wrong with it."""
    runbook = read_runbook(ROOT / "fixtures" / "runbook" / "503-error-spike.md")
    steps = read_steps(ROOT / "fixtures" / "runbook" / "steps.yml", runbook)
    page = (ROOT / "docs" / "runbook-findings.md").read_text()
    rows = re.findall(r"^\| (\d+) \| .* \| ([\w-]+) \| ([\w-]+) \| [\w: -]* \| \w+ \|$", page, re.MULTILINE)
    having = {(command.line, step.name) for step in steps.by_name.values() for command in step.commands}
    quoted = {command.line for command in runbook.quoted}
    assert {command.line for command in runbook.commands} == {line for line, _ in having if line not in quoted}
    assert {(int(line), step) for line, step, _ in rows} == having
    assert "not-run" not in {outcome for _, _, outcome in rows}
    faulty = {step for _, step, outcome in rows if outcome in ("no-effect", "fails")}
    assert faulty == {step.name for step in steps.by_name.values() if step.accepted}
