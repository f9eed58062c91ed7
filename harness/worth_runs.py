"""Worth runs: performs the runs that are still missing to say what each mitigation is worth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import store
from harness.catalogue import Entry, find, scenarios
from harness.errors import UsageError
from harness.findings import Read
from harness.load.driver import read_samples
from harness.model.record import Record
from harness.model.verdict import Control
from harness.model.worth import StepWorth
from harness.running import run_scenarios
from harness.session import prepare_run
from harness.settings import Settings
from harness.worth import Kept, kept, left_out_wanted, responses, usable, worths

Performs = Callable[[Settings], Sequence[Record]]  # runs one scenario so
ATTEMPTS = 2  # of each run, where a busy machine spoilt it or the scenario has changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run that is missing: `scenario` without `left_out`, to say something of `step`. None left out: as it is."""

    step: str
    scenario: str
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.scenario}{''.join(f' without {name}' for name in self.left_out)} (for {self.step})"


def fill(
    names: Sequence[str], settings: Settings, say: Callable[[str], None], most: int = 1000
) -> tuple[StepWorth, ...]:
    """Perform what is missing in the scenarios called `names`, or in all, one run after the other and `most` of them,
    and say what the mitigations are worth. What is recorded already is not run again, so a call that was broken off can
    be repeated. Raises UsageError before anything is started where that can't work."""
    folder = Path("scenarios")
    entries = {entry.name: entry for entry in (find(folder, names) if names else scenarios(folder, settings.runs))}
    read = Read.of((), settings.runs, settings.compose)
    prepare_run(settings, {step for entry in entries.values() for step in entry.steps})
    records = list(read.records)
    tried: dict[Wanted, int] = {}
    while sum(tried.values()) < most:
        one = next(missing(read, records, entries, tried, settings), None)
        if one is None:
            break
        tried[one] = tried.get(one, 0) + 1
        say(f"runs {one}")
        records = [*_perform(entries[one.scenario], one, settings), *records]
    return tuple(told for told in worths(read.steps, records) if not names or told.scenario in entries)


def missing(
    read: Read,
    records: Sequence[Record],
    entries: Mapping[str, Entry],
    tried: Mapping[Wanted, int],
    settings: Settings,
) -> Iterator[Wanted]:
    """What has to be run next, for each mitigation in the shortest of the scenarios that perform it as a response and
    with the fewest others; a run that proved nothing once more."""
    alike = [
        one for one in records if usable(one) and (one.seed, one.time_scale) == (settings.seed, settings.time_scale)
    ]
    for step in read.steps.by_name.values():
        if step.purpose != "mitigate" or step.not_here:
            continue
        naming = [name for name, entry in entries.items() if step.name in entry.steps]
        whole = {name: next((one for one in alike if _is(one, name, Control.NONE)), None) for name in naming}
        answering = [run for run in whole.values() if run is not None and _answers(run, step.name)]
        if not answering:
            wanted = [Wanted(step=step.name, scenario=name) for name, run in whole.items() if run is None]
            yield from (one for one in wanted if not tried.get(one))
            continue
        run = min(answering, key=lambda one: (len(responses(one)), one.ended - one.began, one.scenario.name))
        own = [one for one in alike if one.scenario.name == run.scenario.name]
        (told,) = (one for one in worths(read.steps, own) if one.step == step.name)
        yield from _of(step.name, run, own, told, tried)


def _of(
    step: str, run: Record, own: Sequence[Record], told: StepWorth, tried: Mapping[Wanted, int]
) -> Iterator[Wanted]:
    name = run.scenario.name
    runs: dict[Kept, Record] = {}
    for one in own:
        runs.setdefault(kept(one), one)
    for names in left_out_wanted(step, run, runs, told):
        wanted = Wanted(step=step, scenario=name, left_out=tuple(sorted(names)))
        if not tried.get(wanted):
            yield wanted
    without = runs.get(kept(run) - {step})
    if told.again and without is not None:
        whole, lacking = Wanted(step=step, scenario=name), Wanted(step=step, scenario=name, left_out=(step,))
        older = [whole, lacking] if run.began < without.began else [lacking, whole]
        yield from (one for one in sorted(older, key=lambda one: tried.get(one, 0)) if tried.get(one, 0) < ATTEMPTS)


def _is(record: Record, scenario: str, control: Control) -> bool:
    return record.scenario.name == scenario and record.control is control


def _answers(record: Record, step: str) -> bool:
    return step in responses(record) and step in kept(record)


def _perform(entry: Entry, wanted: Wanted, settings: Settings) -> list[Record]:
    control = Control.ABLATION if wanted.left_out else Control.NONE
    done = run_scenarios([entry], replace(settings, control=control, without=wanted.left_out), quiet=True)
    if done.unusable:
        raise UsageError(f"{entry.name} can't be run", problems=done.unusable)
    return [store.load(folder, read_samples) for _, folder in done.judged]


def table(told: Collection[StepWorth]) -> str:
    """One line for each step and incident, for a terminal."""
    rows = [(one.gain, one.step, one.scenario, one.why) for one in told]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)) for row in rows
    )
