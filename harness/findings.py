"""Findings: reads of recorded runs what each command line of the runbook does, and what it should read instead."""

from __future__ import annotations

import difflib
import os
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path

from pydantic import TypeAdapter

from harness import store
from harness.errors import UsageError
from harness.load.driver import read_samples
from harness.matrix import latest
from harness.model.findings import LineFinding, LineOutcome, RunbookFindings
from harness.model.record import CommandRecord, Record, StepRecord
from harness.model.verdict import Control
from harness.runbook.parse import Command, Runbook, read_runbook
from harness.runbook.steps import Step, Steps, read_steps
from harness.sandbox.topology import read_topology
from reports import findings as report

FORMS: Mapping[str, Callable[[RunbookFindings], str]] = {"md": report.markdown, "patch": lambda found: found.patch}
WAIT = "sleep "  # a line that only waits does what it says
_SAID = 160  # characters of a command's output that are repeated


def write(folders: Sequence[Path], runs: Path, compose: Path, form: str) -> str:
    """What the runs in `folders`, or each scenario's latest below `runs`, say of the topology's runbook, as md, json or
    patch. Raises UsageError where there is no runbook with steps."""
    if form != "json" and form not in FORMS:
        raise UsageError(f"--format {form}: choose one of {', '.join([*FORMS, 'json'])}")
    topology = read_topology(compose, os.environ)
    if topology.runbook is None or topology.steps is None:
        raise UsageError(f"{compose} names no runbook with steps", hint="set x-gameday.runbook and x-gameday.steps")
    runbook = read_runbook(topology.runbook)
    records = [store.load(folder, read_samples) for folder in folders] or list(latest(runs))
    text = topology.runbook.read_text(encoding="utf-8")
    found = findings_of(runbook, text, read_steps(topology.steps, runbook), records)
    if form == "json":
        return TypeAdapter(RunbookFindings).dump_json(found, indent=1).decode() + "\n"
    return FORMS[form](found)


def findings_of(runbook: Runbook, text: str, steps: Steps, records: Iterable[Record]) -> RunbookFindings:
    """What `records` say of each command line of `runbook`, whose text is `text`. Controls are left out."""
    performed: dict[str, tuple[StepRecord, str]] = {}
    for record in records:
        for step in record.steps if record.control is Control.NONE and not record.error else ():
            if not step.skipped and not step.problem and (step.effects or step.not_here):
                performed.setdefault(step.name, (step, record.scenario.name))
    used = {command for step in steps.by_name.values() for command in step.commands}
    lines = [
        finding
        for command in sorted(
            (*runbook.commands, *(quoted for quoted in runbook.quoted if quoted in used)), key=attrgetter("line")
        )
        for finding in _of_line(command, steps, performed)
    ]
    proven = [step for step in steps.by_name.values() if _proven(step, performed)]
    return RunbookFindings(source=runbook.source, lines=tuple(lines), patch=patch(runbook, text, proven))


def patch(runbook: Runbook, text: str, steps: Iterable[Step]) -> str:
    """A unified diff that puts the corrections of `steps` in the place of their command lines; what several steps say
    of the same line stands there once each. Waits stay: a correction comes after them. Empty where nothing is to be
    corrected."""
    replaced: dict[int, list[str]] = {}  # the first line of what is replaced -> what comes there
    gone: set[int] = set()
    for step in steps:
        acting = [command for command in step.commands if not command.text.startswith(WAIT)]
        numbers = [n for command in acting for n in range(command.line, command.line + _height(command))]
        place = replaced.setdefault(numbers[0], [])
        fresh = textwrap.dedent(step.corrected).rstrip("\n").splitlines()
        place += [] if _stands(fresh, place) else fresh
        gone |= set(numbers)
    old = text.splitlines(keepends=True)
    new: list[str] = []
    for number, line in enumerate(old, 1):
        new += [f"{one}\n" for one in replaced.get(number, ())]
        new += [] if number in gone else [line]
    return "".join(difflib.unified_diff(old, new, f"a/{runbook.source}", f"b/{runbook.source}"))


def _height(command: Command) -> int:
    return len(command.text.splitlines())


def _stands(lines: Sequence[str], place: Sequence[str]) -> bool:
    return any(list(place[at : at + len(lines)]) == list(lines) for at in range(len(place) - len(lines) + 1))


def _of_line(command: Command, steps: Steps, performed: Mapping[str, tuple[StepRecord, str]]) -> Iterator[LineFinding]:
    """One finding for each step that has this line; one that says so where none has."""
    having = [step for step in steps.by_name.values() if command in step.commands]
    for step in having:
        record, scenario = performed.get(step.name, (None, ""))
        if record is None:
            yield LineFinding(
                id=command.id,
                line=command.line,
                text=command.text,
                step=step.name,
                outcome="not-run",
                because=step.not_here,
            )
            continue
        run = next((one for one in record.commands if one.text == command.text and one.variant == "as-written"), None)
        outcome = _outcome(record, run)
        faulty = outcome in ("no-effect", "fails")
        yield LineFinding(
            id=command.id,
            line=command.line,
            text=command.text,
            step=step.name,
            outcome=outcome,
            said=_said(record, run) if faulty else "",
            because=step.accepted if faulty else step.not_here,
            corrected=step.corrected if faulty else "",
            proven=_proven(step, performed) if faulty and step.corrected else None,
            scenario=scenario,
        )
    if not having:
        yield LineFinding(id=command.id, line=command.line, text=command.text, step="", outcome="not-run")


def _outcome(step: StepRecord, run: CommandRecord | None) -> LineOutcome:
    if run is None:
        return "not-run"
    if run.refused:
        return "not-here"
    if run.exit_status != 0:
        return "fails"
    if run.text.startswith(WAIT):
        return "works"
    held = [effect.held for effect in step.effects if effect.variant == "as-written"]
    if False in held:
        return "no-effect"
    return "works" if held and None not in held else "unknown"


def _said(step: StepRecord, run: CommandRecord | None) -> str:
    """What the line printed, and which effect was missed."""
    output = " ".join((run.output if run else "").split())
    printed = f"it said: {output[:_SAID]}{'…' if len(output) > _SAID else ''}" if output else "it said nothing"
    missed = [e for e in step.effects if e.variant == "as-written" and e.held is False]
    return "; ".join(
        [printed, *(f"{e.claim}: {e.before} before, {e.after} after" for e in missed if len(e.claim) < _SAID)]
    )


def _proven(step: Step, performed: Mapping[str, tuple[StepRecord, str]]) -> bool:
    """Whether a run saw the correction have every effect that the text as written missed."""
    record, _ = performed.get(step.name, (None, ""))
    if record is None or not step.corrected:
        return False
    held = [effect.held for effect in record.effects if effect.variant == "corrected"]
    return bool(held) and all(held)
