"""Matrix: what each alert made of each root cause, read from recorded runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import TypeAdapter

from harness import store
from harness.alerts.coverage import Coverage
from harness.alerts.history import History
from harness.errors import UsageError
from harness.judge import judge
from harness.load.driver import read_samples
from harness.model.evidence import coverage_problem, load_problem
from harness.model.matrix import Cell, Column, Matrix, Row
from harness.model.record import AlertSample, Record
from harness.model.verdict import Control, Outcome
from reports import matrix as report

FORMS = {"md": report.markdown, "html": report.html}
SOURCE = "source"  # the label of a rule that says whose it is


def write(folders: Sequence[Path], runs: Path, form: str) -> str:
    """The matrix of the runs in `folders`, or of each scenario's latest run below `runs`, as md, html or json. Raises
    UsageError where there is no run, or a folder holds none."""
    if form != "json" and form not in FORMS:
        raise UsageError(f"--format {form}: choose one of {', '.join([*FORMS, 'json'])}")
    records = [store.load(folder, read_samples) for folder in folders] or list(latest(runs))
    if not records:
        raise UsageError(f"there are no recorded runs below {runs}", hint="`gameday run` makes one")
    matrix = matrix_of(records)
    if form == "json":
        return TypeAdapter(Matrix).dump_json(matrix, indent=1).decode() + "\n"
    return FORMS[form](matrix)


def latest(runs: Path) -> Iterator[Record]:
    """The latest recorded run of each scenario, by its name; a control is none, for it leaves something out."""
    for scenario in sorted(path for path in runs.glob("*") if path.is_dir()):
        folders = sorted((path for path in scenario.glob("*") if not path.is_symlink()), reverse=True)
        recorded = (store.load(path, read_samples) for path in folders if (path / store.RECORD).is_file())
        yield from islice((record for record in recorded if record.control is Control.NONE), 1)


def matrix_of(records: Iterable[Record]) -> Matrix:
    """One row for each record, by cause; one column for each alert that was loaded in any, the runbook's first."""
    whole = list(records)
    rules = [rule for record in whole for rule in record.alerts.rules or ()]
    columns = dict.fromkeys(Column(alert=rule.name, source=rule.labels.get(SOURCE, "")) for rule in rules)
    rows = [_row(record) for record in whole]
    return Matrix(
        columns=tuple(sorted(columns, key=lambda column: column.source)),
        rows=tuple(sorted(rows, key=lambda row: (bool(row.cause), row.cause, row.scenario, row.run_id))),
    )


def _row(record: Record) -> Row:
    outcome = judge(record).outcome
    stretch = _stretch(record)
    names = dict.fromkeys(rule.name for rule in record.alerts.rules or ())
    return Row(
        scenario=record.scenario.name,
        run_id=record.run_id,
        cause=" and ".join(fault.description for fault in record.faults),
        outcome=outcome,
        cells={name: _cell(record, name, stretch) for name in names},
        hit=_hit(record, stretch),
        spoilt=_spoilt(record, outcome, stretch),
    )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The wall instants between which a cause was there, and when people began to respond (infinite: never)."""

    began: float
    ended: float
    response: float


def _stretch(record: Record) -> _Stretch | None:
    """When the causes of `record` were there: from the first injection to the last healing. Without faults, what was
    observed; None where there was nothing."""
    steps = [record.window(step.window) for step in record.steps if step.purpose == "mitigate" and not step.skipped]
    response = min((span.began for span in steps if span is not None), default=float("inf"))
    if record.faults:
        injected = [fault.injected_at for fault in record.faults if fault.injected_at is not None]
        healed = [fault.healed_at or record.ended for fault in record.faults]
        return _Stretch(min(injected), max(healed), response) if injected else None
    observed = [span for span in record.windows if span.kind == "observe"]
    if not observed:
        return None
    return _Stretch(observed[0].began, max(span.ended or record.ended for span in observed), response)


def _spoilt(record: Record, outcome: Outcome, stretch: _Stretch | None) -> str:
    """Why the run proves nothing about its cause; empty where it does."""
    if record.control is not Control.NONE:
        return f"a control: {record.control}"
    if outcome in (Outcome.INVALID, Outcome.ERROR):
        return f"the run is {outcome}"
    return "nothing was broken or observed" if stretch is None else ""


def _hit(record: Record, stretch: _Stretch | None) -> float | None:
    if stretch is None or load_problem(record):
        return None
    until = min(stretch.ended, max(stretch.response, stretch.began))
    samples = [sample for sample in record.samples if stretch.began <= sample.planned < until]
    return sum(not sample.ok for sample in samples) / len(samples) if samples else None


def _cell(record: Record, name: str, stretch: _Stretch | None) -> Cell:
    """What the alert `name` made of the cause that was there in `stretch`."""
    watched = Coverage(record, name, {})
    flaw = watched.unread() or watched.not_loaded()
    if flaw is not None or stretch is None:
        return Cell(sight="unknown", why=flaw.said if flaw is not None else "nothing was broken or observed")
    step = record.alerts.evaluation_interval
    spells = _spells(History(record.alerts, name, {}).active(record.began, record.ended), step)
    if any(spell[0].at < stretch.began <= spell[-1].at + 1.5 * step for spell in spells):
        return Cell(sight="unknown", why="it was active already")
    # What became active a moment after the healing was on its way: the last scrape and evaluation may be later.
    late = stretch.ended + 2 * (step + record.alerts.scrape_interval)
    because = [spell for spell in spells if stretch.began <= spell[0].at <= late]
    fired = [(spell, one) for spell in because for one in spell if one.state == "firing"]
    if fired:
        spell, first = fired[0]
        return _seen(record, "fired", spell, first, stretch)
    blind = _unsighted(record, watched, stretch)
    if blind is not None and blind.sight == "unknown":
        return blind
    if because:
        return _seen(record, "pending", because[0], because[0][0], stretch)
    return blind or Cell(sight="quiet")


def _seen(record: Record, sight: str, spell: list[AlertSample], first: AlertSample, stretch: _Stretch) -> Cell:
    return Cell(
        sight="fired" if sight == "fired" else "pending",
        after=(first.at - stretch.began) * record.time_scale,
        resolution=record.alerts.evaluation_interval * record.time_scale,
        responded=spell[0].at > stretch.response,
    )


def _spells(active: Iterable[AlertSample], step: float) -> list[list[AlertSample]]:
    """The stretches in which the alert was active at every evaluation."""
    spells: list[list[AlertSample]] = []
    for one in active:
        if spells and one.at - spells[-1][-1].at < 1.5 * step:
            spells[-1].append(one)
        else:
            spells.append([one])
    return spells


def _unsighted(record: Record, watched: Coverage, stretch: _Stretch) -> Cell | None:
    """Why the alert's silence in `stretch` says less than that it was quiet; None where it says just that."""
    began, ended = stretch.began, stretch.ended
    flaw = watched.silent(began, ended) or watched.gone() or watched.not_evaluated(began, ended)
    if flaw is not None:
        return Cell(sight="unknown", why=flaw.said)
    if ended - began < 2 * record.alerts.evaluation_interval:
        return Cell(sight="unknown", why="it was over before Prometheus looked twice")
    samples = sorted(
        (sample for sample in record.samples if began <= sample.planned < ended), key=lambda sample: sample.planned
    )
    idle = load_problem(record) or coverage_problem(record, samples, began, ended)
    if idle:
        return Cell(sight="unknown", why=f"{idle}, and without users any alert is quiet")
    unfed = watched.not_fed(began, ended)
    if unfed is None:
        return None
    if record.faults and watched.not_fed(watched.began, began) is None:
        return Cell(sight="blind", why=unfed.said)
    return Cell(sight="unknown", why=unfed.said)
