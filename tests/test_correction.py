"""A runbook with its corrections in place, and the steps file that goes with it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from harness.correction import Corrected, corrected, steps_file
from harness.findings import findings_of
from harness.lint.check import check, check_file
from harness.lint.document import parse_document
from harness.lint.given import Given
from harness.model.record import CommandRecord, EffectRecord, Record, StepRecord
from harness.runbook.parse import Runbook, parse_runbook, read_runbook
from harness.runbook.steps import Step, Steps, read_steps
from tests.slo.build import record

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures" / "runbook"
TEXT = """# Outage

Ask somebody.

## Respond

```bash
enable \\
  breaker
sleep 30
flush it
look
```
"""
STEPS = """
steps:
  breaker:
    purpose: mitigate
    deadline: 30 s
    run: {respond/1.1: enable breaker, respond/1.2: sleep 30}
    effects: [{metric: open, of: "app:80", becomes: "== 1"}]
    corrected: |
      enable --token \\
        breaker
      check breaker
    accepted: {finding: did not, because: it lacks the token}
    undo: [breaker-off]
  breaker-off:
    purpose: restore
    missing: it never says how
    after: respond/1.4
    effects: [{metric: open, of: "app:80", becomes: "== 0"}]
    corrected: disable breaker
  flush:
    purpose: mitigate
    run: {respond/1.3: flush it}
    effects: [{metric: size, of: "app:80", becomes: "== 0"}]
    nothing_to_undo: none
  look:
    purpose: look
    run: {respond/1.4: look}
    effects: [{prints: "x"}]
corrections:
  - {text: Ask somebody., put: "Ask Ann.\\n\\nShe knows.", because: nobody knows whom}
  - {text: flush it, put: flush --it, because: it reads better}
"""
BOOK = parse_runbook(TEXT, source="r.md")


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    (tmp_path / "steps.yml").write_text(STEPS)
    return read_steps(tmp_path / "steps.yml", BOOK)


def chosen(steps: Steps, *names: str) -> list[Step]:
    return [steps.by_name[name] for name in names]


def again(found: Corrected, steps: Steps, folder: Path) -> Steps:
    """The steps file that goes with the corrected runbook, read with it."""
    (folder / "new.yml").write_text(steps_file(found, steps, folder / "steps.yml"))
    return read_steps(folder / "new.yml", parse_runbook(found.text, source="r.md"))


def texts(steps: Steps) -> dict[str, list[str]]:
    return {name: [command.text for command in step.commands] for name, step in steps.by_name.items()}


def test_corrections_stand_where_the_lines_were(steps: Steps) -> None:
    """A correction takes the place of its lines, waits stay, what is missing comes in behind its line, prose is
    replaced."""
    found = corrected(BOOK, chosen(steps, "breaker", "breaker-off"), steps.corrections)
    assert (
        found.text
        == """# Outage

Ask Ann.

She knows.

## Respond

```bash
enable --token \\
  breaker
check breaker
sleep 30
flush --it
look
disable breaker
```
"""
    )


def test_the_steps_file_follows(steps: Steps, tmp_path: Path) -> None:
    """Each step runs what the runbook reads now; what was accepted is gone with its correction, and all else stays."""
    found = corrected(BOOK, chosen(steps, "breaker", "breaker-off"), steps.corrections)
    new = again(found, steps, tmp_path)
    assert texts(new) == {
        "breaker": ["enable --token \\\n  breaker", "check breaker", "sleep 30"],
        "breaker-off": ["disable breaker"],
        "flush": ["flush --it"],
        "look": ["look"],
    }
    for name, step in new.by_name.items():
        old = steps.by_name[name]
        assert (step.effects, step.deadline, step.purpose, step.undo) == (
            *(old.effects, old.deadline, old.purpose, old.undo),
        )
        assert (step.accepted, step.corrected, step.missing) == ("", "", "")
    assert new.gaps() == ()


def test_what_is_not_corrected_stays_described(steps: Steps, tmp_path: Path) -> None:
    """A step whose correction nobody has seen to work keeps it, and what is known of it."""
    new = again(corrected(BOOK, [], steps.corrections), steps, tmp_path)
    assert texts(new)["breaker"] == ["enable \\\n  breaker", "sleep 30"]
    assert new.by_name["breaker"].accepted == "it lacks the token"
    assert new.by_name["breaker"].corrected == steps.by_name["breaker"].corrected
    assert (new.by_name["breaker-off"].missing, new.gaps()) == ("it never says how", ("breaker: it never says how",))
    assert new.by_name["breaker-off"].after == steps.by_name["breaker-off"].after + 2


def test_a_steps_correction_comes_before_a_reviewed_one(steps: Steps, tmp_path: Path) -> None:
    """Where both speak of a line, that holds which a run has proven."""
    (tmp_path / "steps.yml").write_text(STEPS.replace("text: flush it", "text: '  breaker'"))
    both = read_steps(tmp_path / "steps.yml", BOOK)
    assert "flush" not in corrected(BOOK, chosen(both, "breaker"), both.corrections).text.replace("flush it", "")


def test_nothing_to_correct_is_no_patch(steps: Steps) -> None:
    """The runbook stays as it is, to the last byte."""
    found = corrected(BOOK, [])
    assert (found.text, found.patch) == (TEXT, "")


# -- this project's own runbook ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ours() -> tuple[Runbook, Steps]:
    runbook = read_runbook(FIXTURES / "503-error-spike.md")
    return runbook, read_steps(FIXTURES / "steps.yml", runbook)


def proven(steps: Steps) -> Record:
    """A run in which every correction had its effect."""
    done = [
        StepRecord(
            window=step.name,
            name=step.name,
            source=step.source,
            purpose=step.purpose,
            deadline=None,
            commands=tuple(
                CommandRecord(variant="as-written", text=one.text, began=0, ended=1, exit_status=0, output="")
                for one in step.commands
            ),
            effects=tuple(_effects(step)),
            not_here=step.not_here,
        )
        for step in steps.by_name.values()
    ]
    return record([], steps=done)


def _effects(step: Step) -> Sequence[EffectRecord]:
    variant: Literal["as-written", "corrected"] = "corrected" if step.corrected else "as-written"
    return [
        EffectRecord(claim=one.claim, variant=variant, before="0", after="1", held=True, at=1) for one in step.effects
    ]  # fmt: skip


def test_the_corrected_runbook_is_clean(ours: tuple[Runbook, Steps], tmp_path: Path) -> None:
    """The patch, applied by the usual tool, leaves the static check nothing to say, notes included."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    runbook, steps = ours
    found = findings_of(runbook, steps, [proven(steps)])
    shutil.copy(FIXTURES / "503-error-spike.md", tmp_path)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=found.patch, text=True, check=True)
    assert check_file(FIXTURES / "503-error-spike.md").exit_code == 1
    checked = check_file(tmp_path / "503-error-spike.md")
    assert (checked.findings, checked.silenced, checked.exit_code) == ((), (), 0)


def test_the_published_patch_leaves_a_clean_runbook(tmp_path: Path) -> None:
    """So does the patch on the page of findings, which has only what recorded runs have proven."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    page = (ROOT / "docs" / "runbook-findings.md").read_text(encoding="utf-8")
    shown = re.search(r"^(`{3,})text\n(--- a/.*?)^\1$", page, re.MULTILINE | re.DOTALL)
    assert shown is not None
    shutil.copy(FIXTURES / "503-error-spike.md", tmp_path)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=shown[2], text=True, check=True)
    assert check_file(tmp_path / "503-error-spike.md").findings == ()


def test_every_correction_of_ours_is_needed(ours: tuple[Runbook, Steps]) -> None:
    """Without any one of the reviewed corrections the check has something to say again."""
    runbook, steps = ours
    all_steps = [step for step in steps.by_name.values() if step.corrected]
    for left_out in steps.corrections:
        rest = [one for one in steps.corrections if one is not left_out]
        text = corrected(runbook, all_steps, rest).text
        document = parse_document(text, path=Path("r.md"))
        assert check(document, Given(), {}).findings, left_out


def test_the_corrected_runbook_has_a_steps_file(ours: tuple[Runbook, Steps], tmp_path: Path) -> None:
    """Nothing is accepted in it any more, each command line has its step, and each mitigation its way back but one."""
    runbook, steps = ours
    found = corrected(runbook, [one for one in steps.by_name.values() if one.corrected], steps.corrections)
    (tmp_path / "steps.yml").write_text(steps_file(found, steps, FIXTURES / "steps.yml"))
    book = parse_runbook(found.text, source=runbook.source)
    new = read_steps(tmp_path / "steps.yml", book)
    assert list(new.by_name) == list(steps.by_name)
    assert not any(step.accepted or step.corrected or step.missing for step in new.by_name.values())
    own = {command.id for step in new.by_name.values() for command in step.commands}
    assert own - {one.id for one in book.quoted} == {one.id for one in book.commands}
    assert [gap.split(":")[0] for gap in new.gaps()] == ["tcp-keepalive"]
