"""Findings: reads of recorded runs what each command line of the runbook does, and what it should read instead."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

from pydantic import TypeAdapter

from harness import store
from harness.correction import WAIT, Corrected, corrected, steps_file
from harness.errors import UsageError
from harness.lint.document import parse_document
from harness.lint.given import Given
from harness.lint.rules import dangerous
from harness.lint.subject import Subject
from harness.load.driver import read_samples
from harness.model.findings import LineFinding, LineOutcome, MissingLine, Reviewed, RunbookFindings
from harness.model.record import CommandRecord, Record, StepRecord
from harness.model.verdict import Control
from harness.model.worth import StepWorth
from harness.runbook.parse import Command, Runbook, read_runbook
from harness.runbook.steps import Step, Steps, read_steps
from harness.sandbox.topology import read_topology
from harness.worth import best, responses, worths
from reports import findings as report

FORMS: Mapping[str, Callable[[RunbookFindings], str]] = {"md": report.markdown, "patch": lambda found: found.patch}
ALL_FORMS = (*FORMS, "steps", "json")
_SAID = 160  # characters of a command's output that are repeated


Performed = Mapping[str, tuple[StepRecord, str]]  # each step as a run performed it, and of which scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The topology's runbook with its steps, and the recorded runs."""

    runbook: Runbook
    steps: Steps
    steps_file: Path
    records: Sequence[Record]

    @classmethod
    def of(cls, folders: Sequence[Path], runs: Path, compose: Path) -> Read:
        """The runs in `folders`, or those below `runs`. Raises UsageError where there is no runbook with steps."""
        topology = read_topology(compose, os.environ)
        if topology.runbook is None or topology.steps is None:
            raise UsageError(f"{compose} names no runbook with steps", hint="set x-gameday.runbook and x-gameday.steps")
        runbook = read_runbook(topology.runbook)
        return cls(
            runbook=runbook,
            steps=read_steps(topology.steps, runbook),
            steps_file=topology.steps,
            records=[store.load(folder, read_samples) for folder in folders] or list(recorded(runs)),
        )


def write(folders: Sequence[Path], runs: Path, compose: Path, form: str) -> str:
    """What the runs in `folders`, or those below `runs`, say of the topology's runbook: as md, json or patch; or the
    steps file for the corrected runbook, as steps. Raises UsageError where there is no runbook with steps."""
    if form not in ALL_FORMS:
        raise UsageError(f"--format {form}: choose one of {', '.join(ALL_FORMS)}")
    read = Read.of(folders, runs, compose)
    if form == "steps":
        return steps_file(_in_place(read.runbook, read.steps, _performed(read.records)), read.steps, read.steps_file)
    found = findings_of(read.runbook, read.steps, read.records)
    if form == "json":
        return TypeAdapter(RunbookFindings).dump_json(found, indent=1).decode() + "\n"
    return FORMS[form](found)


def recorded(runs: Path) -> Iterator[Record]:
    """Of each scenario below `runs` the latest run as it is, and every run with steps left out, the latest first."""
    for scenario in sorted(path for path in runs.glob("*") if path.is_dir()):
        folders = sorted((path for path in scenario.glob("*") if not path.is_symlink()), reverse=True)
        controls = [(folder, store.control_of(folder)) for folder in folders]
        whole = [folder for folder, control in controls if control is Control.NONE][:1]
        without = [folder for folder, control in controls if control is Control.ABLATION]
        yield from (store.load(folder, read_samples) for folder in [*whole, *without])


def findings_of(runbook: Runbook, steps: Steps, records: Iterable[Record]) -> RunbookFindings:
    """What `records` say of each command line of `runbook`, and of what it lacks. Of controls only those count that
    leave steps out: they say what users get without a step."""
    every = list(records)
    performed = _performed(every)
    told = worths(steps, every)
    used = {command for step in steps.by_name.values() for command in step.commands}
    commands = sorted((*runbook.commands, *(one for one in runbook.quoted if one in used)), key=attrgetter("line"))
    lines = [finding for command in commands for finding in _of_line(command, steps, performed, told)]
    perilous = _dangerous(runbook)
    lines = [replace(one, outcome="dangerous") if _refused(one, perilous) else one for one in lines]
    return RunbookFindings(
        source=runbook.source,
        lines=tuple(lines),
        missing=tuple(_missing(step, performed) for step in steps.by_name.values() if step.missing),
        reviewed=tuple(
            Reviewed(line=one.line, text=one.text, put=one.put, because=one.because) for one in steps.corrections
        ),
        worths=told,
        patch=_in_place(runbook, steps, performed).patch,
    )


def _dangerous(runbook: Runbook) -> set[int]:
    """The lines of which the rule `dangerous` of `gameday runbook check` has something to say."""
    document = parse_document(runbook.text, path=Path(runbook.source))
    return {said.line for said in dangerous.check(Subject(document=document, given=Given()))}


def _refused(finding: LineFinding, perilous: Collection[int]) -> bool:
    height = len(finding.text.splitlines())
    return finding.outcome == "not-here" and any(n in perilous for n in range(finding.line, finding.line + height))


def _performed(records: Iterable[Record]) -> Performed:
    """The first performance of each step in an incident; where there is none, the first of all."""
    performed: dict[str, tuple[StepRecord, str]] = {}
    in_incident: dict[str, tuple[StepRecord, str]] = {}
    for record in records:
        for step in record.steps if record.control is Control.NONE and not record.error else ():
            if not step.skipped and not step.problem and (step.effects or step.not_here):
                found = in_incident if step.name in responses(record) else performed
                found.setdefault(step.name, (step, record.scenario.name))
    return {**performed, **in_incident}


def _in_place(runbook: Runbook, steps: Steps, performed: Performed) -> Corrected:
    """The runbook with every correction that a run has proven, and those that no run can prove."""
    chosen = [step for step in steps.by_name.values() if step.corrected and (step.not_here or _proven(step, performed))]
    return corrected(runbook, chosen, steps.corrections)


def _missing(step: Step, performed: Performed) -> MissingLine:
    record, scenario = performed.get(step.name, (None, ""))
    return MissingLine(
        step=step.name,
        after=step.after,
        because=step.missing,
        corrected=step.corrected,
        proven=None if step.not_here else _proven(step, performed),
        scenario=scenario if record else "",
    )


def _of_line(command: Command, steps: Steps, performed: Performed, told: Sequence[StepWorth]) -> Iterator[LineFinding]:
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
        worth = best([one for one in told if one.step == step.name])
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
            gain=worth.gain if worth else "",
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


def _proven(step: Step, performed: Performed) -> bool:
    """Whether a run saw the correction have every effect that the text as written missed."""
    record, _ = performed.get(step.name, (None, ""))
    if record is None or not step.corrected:
        return False
    held = [effect.held for effect in record.effects if effect.variant == "corrected"]
    return bool(held) and all(held)
