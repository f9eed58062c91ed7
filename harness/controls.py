"""Controls: recorded runs in, what turns each of their claims red out; and the runs that it takes.

python -m harness.controls FILE       write the page, of all scenarios, from the runs recorded below runs/
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from harness import store
from harness.catalogue import Entry, scenarios
from harness.counterfactual.alerts import Labels
from harness.counterfactual.every import counterfactuals
from harness.errors import HarnessError, UsageError
from harness.judge import ABANDONED, judge, kinds_of_claims, own_claims
from harness.load.driver import read_samples
from harness.model.controls import Cell, Claim, ControlMatrix, ScenarioControls
from harness.model.evidence import load_problem
from harness.model.judgement import Judgement
from harness.model.record import Record
from harness.model.verdict import Control, Outcome, Verdict, worst
from harness.rejudge import save
from harness.running import run_scenarios
from harness.settings import Settings
from reports import controls as report

FORMS: Mapping[str, Callable[[ControlMatrix], str]] = {"md": report.markdown, "html": report.html}
LIVE = (Control.NO_FAULT, Control.NO_MITIGATION)
Fingerprints = Mapping[str, str]  # of each scenario's file as it is now, by the scenario's name


@dataclass(frozen=True, slots=True)
class Kept:
    """One recorded run, judged. `spoilt` says why it proves nothing; empty where it does."""

    record: Record
    judgement: Judgement
    own: frozenset[str]
    spoilt: str


def write(matrix: ControlMatrix, form: str) -> str:
    """The matrix as md, html or json."""
    if form == "json":
        return TypeAdapter(ControlMatrix).dump_json(matrix, indent=1, exclude_defaults=True).decode() + "\n"
    return FORMS[form](matrix)


def check_form(form: str) -> None:
    """Raises UsageError where `form` is none of those that can be written."""
    if form != "json" and form not in FORMS:
        raise UsageError(f"--format {form}: choose one of {', '.join([*FORMS, 'json'])}")


# -- recorded runs -------------------------------------------------------------------------------------------------


def of_folders(folders: Sequence[Path]) -> ControlMatrix:
    """The matrix of the runs in `folders`, whatever version of their scenarios they are of. Raises UsageError where a
    folder holds no run."""
    runs: dict[str, dict[Control, Kept]] = defaultdict(dict)
    for folder in folders:
        one = _kept(store.load(folder, read_samples))
        runs[one.record.scenario.name][one.record.control] = one
    return matrix_of(runs, {})


def of_runs(runs: Path, now: Fingerprints) -> ControlMatrix:
    """The matrix of all scenarios in `now`, from the runs recorded below `runs` of the versions that they have now."""
    return matrix_of({name: latest(runs / name, fingerprint) for name, fingerprint in now.items()}, now)


def latest(folder: Path, fingerprint: str, time_scale: float | None = None) -> Mapping[Control, Kept]:
    """Of one scenario's runs the latest under each control, at any time scale or at this one; a run that proves nothing
    only where there is no other."""
    found: dict[Control, Kept] = {}
    paths = sorted((path for path in folder.glob("*") if not path.is_symlink()), reverse=True)
    for path in paths:
        done = {control for control, one in found.items() if not one.spoilt}
        if done.issuperset((Control.NONE, *LIVE)):
            break
        if not (path / store.RECORD).is_file():
            continue
        record = store.load(path, read_samples)
        scaled = time_scale in (None, record.time_scale)
        if scaled and record.scenario.fingerprint == fingerprint and record.control not in done:
            one = _kept(record)
            if not one.spoilt or record.control not in found:
                found[record.control] = one
    return found


def _kept(record: Record) -> Kept:
    judgement, own = judge(record), frozenset(own_claims(record))
    return Kept(record, judgement, own, _spoilt(record, judgement, own))


def _spoilt(record: Record, judgement: Judgement, own: frozenset[str]) -> str:
    """Why a run proves nothing: we broke, or it was not the experiment intended. What a scenario claims may come to
    any outcome under a control."""
    if record.error:
        return f"it broke off: {record.error}"
    for verdict in judgement.verdicts:
        if verdict.claim not in own and verdict.outcome in (Outcome.INVALID, Outcome.ERROR):
            return f"{verdict.outcome}: {verdict.claim}: {verdict.observed}"
    cut = next((event.subject for event in record.events if event.kind == ABANDONED), "")
    return f"it was cut short: {cut}" if cut else load_problem(record)


# -- the matrix ----------------------------------------------------------------------------------------------------


def matrix_of(runs: Mapping[str, Mapping[Control, Kept]], now: Fingerprints) -> ControlMatrix:
    """What turns each claim red, by these runs."""
    there = {name: kept for name, kept in runs.items() if Control.NONE in kept}
    heard = _heard([kept[Control.NONE].record for kept in there.values()])
    labels = {alert: tuple(dict(each) for each in by_labels) for alert, by_labels in heard.items()}
    return ControlMatrix(
        scenarios=tuple(_scenario(name, kept, labels) for name, kept in sorted(there.items())),
        absent=tuple(sorted({*runs, *now} - there.keys())),
        heard=tuple(
            (alert, tuple(sorted({name for names in by_labels.values() for name in names})))
            for alert, by_labels in sorted(heard.items())
        ),
    )


def _heard(records: Iterable[Record]) -> Mapping[str, Mapping[tuple[tuple[str, str], ...], Sequence[str]]]:
    """By alert: the labels with which it fired, and the scenarios in whose runs it did."""
    found: dict[str, dict[tuple[tuple[str, str], ...], list[str]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        firing = {
            (one.name, tuple(sorted(one.labels.items()))) for one in record.alerts.states if one.state == "firing"
        }
        for name, labels in sorted(firing):
            found[name][labels].append(record.scenario.name)
    return found


def _scenario(name: str, kept: Mapping[Control, Kept], heard: Mapping[str, Sequence[Labels]]) -> ScenarioControls:
    as_it_is = kept[Control.NONE]
    applying = applicable(as_it_is.record)
    live = {control: kept[control] for control in applying if control in kept}
    spoilt = {control: why for control, one in live.items() if (why := one.spoilt or _other(one, as_it_is))}
    sound = {control: one for control, one in live.items() if control not in spoilt}
    trouble = _trouble(as_it_is)
    used = [as_it_is, *sound.values()]
    return ScenarioControls(
        scenario=name,
        fingerprint=as_it_is.record.scenario.fingerprint,
        outcome=as_it_is.judgement.outcome,
        claims=() if trouble else tuple(_claims(as_it_is, sound, heard, whole=len(sound) == len(applying))),
        runs=tuple((one.record.control.value, one.record.run_id) for one in used),
        missing=tuple(control.value for control in applying if control not in live),
        spoilt=(
            *([f"the run as it is: {trouble}"] if trouble else []),
            *(f"the run under {control}: {why}" for control, why in spoilt.items()),
        ),
        seconds=round(sum(one.record.ended - one.record.began for one in used), 1),
    )


def applicable(record: Record) -> tuple[Control, ...]:
    """The live controls that have something to leave out of this story."""
    found = [Control.NO_FAULT] if record.faults else []
    return (*found, *([Control.NO_MITIGATION] if any(step.purpose != "look" for step in record.steps) else []))


def _trouble(as_it_is: Kept) -> str:
    """Why a run as it is can't be the measure for its controls."""
    if as_it_is.spoilt or as_it_is.judgement.outcome in (Outcome.PASS, Outcome.FAIL):
        return as_it_is.spoilt
    worst_of = (one for one in as_it_is.judgement.verdicts if one.outcome is as_it_is.judgement.outcome)
    first = next(worst_of)
    return f"{first.outcome}: {first.claim}: {first.observed}"


def _other(one: Kept, as_it_is: Kept) -> str:
    return "" if one.own == as_it_is.own else "it made other claims than the run as it is: run both again"


def _claims(
    as_it_is: Kept, live: Mapping[Control, Kept], heard: Mapping[str, Sequence[Labels]], *, whole: bool
) -> Iterator[Claim]:
    cells: dict[str, list[Cell]] = defaultdict(list)
    before = by_claim(as_it_is.judgement.verdicts)
    for control, one in live.items():
        after = by_claim(one.judgement.verdicts)
        for claim in before:
            cells[claim].append(_lived(control, after.get(claim)))
    kinds = kinds_of_claims(as_it_is.record)
    for counter in counterfactuals(heard):
        record = counter.of(as_it_is.record)
        if record is None:
            continue
        after = by_claim(judge(record).verdicts)
        for claim, verdict in before.items():
            if not counter.is_about(kinds.get(claim, "")):
                continue
            became = after[claim].outcome if claim in after else verdict.outcome
            turned = became is not verdict.outcome and became is counter.red and counter.grade != "taken away"
            cells[claim].append(Cell(control=counter.name, grade=counter.grade, outcome=became, turned=turned))
    for claim, verdict in before.items():
        yield _concluded(verdict, tuple(cells[claim]), whole=whole)


def _lived(control: Control, verdict: Verdict | None) -> Cell:
    if verdict is None:
        return Cell(control=control.value, grade="live", outcome=None, turned=False)
    outcome = Outcome.PASS if verdict.vacuous else verdict.outcome
    return Cell(
        control=control.value, grade="live", outcome=outcome, turned=outcome is Outcome.FAIL, green=verdict.vacuous
    )


def by_claim(verdicts: Iterable[Verdict]) -> Mapping[str, Verdict]:
    """The verdicts by their claims; where one was made twice, the worse one."""
    found: dict[str, Verdict] = {}
    for verdict in verdicts:
        known = found.get(verdict.claim)
        if known is None or worst([known.outcome, verdict.outcome]) is verdict.outcome:
            found[verdict.claim] = verdict
    return found


def _concluded(verdict: Verdict, cells: tuple[Cell, ...], *, whole: bool) -> Claim:
    """Whether the claim can turn red, by what became of it. One that stays green where it must not is vacuous, unless
    another run turned it: evidence that is moved or made up is no answer to a run."""
    told = tuple(cell for cell in cells if cell.turned or cell.grade == "live")
    claim = Claim(claim=verdict.claim, outcome=verdict.outcome, cells=told)
    if verdict.outcome is not Outcome.PASS:
        return claim  # it was seen to be red as it is
    green = next((cell.control for cell in cells if cell.green), "")
    if green and not claim.turned_by("live"):
        return replace(
            claim,
            vacuous=f"it stays green under {green}, which leaves out what it is about",
            remedy="claim it of what the fault hits and the steps mend, in a window that lies between them, or drop it",
        )
    blind = next((cell for cell in cells if cell.grade == "taken away" and cell.outcome is Outcome.PASS), None)
    if blind is not None:
        return replace(claim, vacuous="it passes without any evidence", remedy="mend the check: it must be UNKNOWN")
    if any(cell.turned for cell in cells):
        return claim
    if not whole:
        return replace(claim, undecided="nothing has turned it red so far, and not every control was run")
    doubt = [cell.control for cell in cells if cell.outcome is Outcome.UNKNOWN and cell.grade != "taken away"]
    if doubt:
        said = f"nothing refutes it: at worst it is UNKNOWN ({', '.join(doubt)})"
        return replace(claim, vacuous=said, remedy="tighten its limit, or let the run go on for longer than it allows")
    return replace(claim, vacuous="nothing turns it red", remedy="tighten its limit, or drop it")


# -- runs ----------------------------------------------------------------------------------------------------------


def run_each(
    entries: Sequence[Entry], settings: Settings, *, missing: bool, quiet: bool, say: Callable[[str], None]
) -> ControlMatrix:
    """Run each scenario as it is and under each control that has something to leave out, and hold the results against
    each other. With `missing`, of a run that `settings.runs` has already that one is taken. Raises UsageError where a
    scenario can't be run."""
    kept: dict[str, Mapping[Control, Kept]] = {}
    for entry in entries:
        known = latest(settings.runs / entry.name, entry.fingerprint, settings.time_scale) if missing else {}
        found = dict(known)
        _run(entry, Control.NONE, settings, found, quiet=quiet, say=say)
        for control in applicable(found[Control.NONE].record) if Control.NONE in found else ():
            _run(entry, control, settings, found, quiet=quiet, say=say)
        kept[entry.name] = found
    return matrix_of(kept, {entry.name: entry.fingerprint for entry in entries})


def _run(
    entry: Entry,
    control: Control,
    settings: Settings,
    found: dict[Control, Kept],
    *,
    quiet: bool,
    say: Callable[[str], None],
) -> None:
    """Run `entry` under `control`, unless what was `found` has such a run that proves something."""
    if control in found and not (found[control].spoilt or (control is Control.NONE and _trouble(found[control]))):
        return
    say(f"{entry.name}: {'as it is' if control is Control.NONE else control}")
    done = run_scenarios([entry], replace(settings, control=control), quiet=quiet)
    if done.unusable:
        raise UsageError(f"{entry.name} can't be run", problems=done.unusable)
    for problem in done.broken:
        say(f"gameday: {problem}")
    for _, folder in done.judged:
        try:
            found[control] = _kept(store.load(folder, read_samples))
        except HarnessError as problem:
            say(f"gameday: {problem}")


def main() -> None:
    """`python -m harness.controls FILE`: write the page of the scenarios that are here; its outcome is the status."""
    (file,) = sys.argv[1:]
    runs = Path("runs")
    matrix = of_runs(runs, {entry.name: entry.fingerprint for entry in scenarios(Path("scenarios"), runs)})
    save(Path(file), write(matrix, "md"))
    sys.exit(matrix.outcome.exit_code)


if __name__ == "__main__":
    main()
