"""The impact of a run, from the conductor's question to the files in its folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness import Arrivals, Control, session, store
from harness.load.driver import read_samples
from harness.model.impact import ImpactEvidence
from harness.model.judgement import Judgement
from harness.model.load import SAMPLES_COLUMNS, SAMPLES_HEADER, sample_line
from harness.model.record import AlertEvidence, FaultRecord, Record, Scenario
from harness.rejudge import write_reports
from harness.run import Run
from harness.testing import FakeClock, FakeFault, FakeSandbox, ScriptedLoad, fake_cast
from tests.reports import outage


def _saved(folder: Path, impact: ImpactEvidence | None) -> Record:
    """The outage as a run that was recorded in `folder`, concluded as the session does."""
    run = outage.record(rate=8.0)
    lines = [SAMPLES_HEADER, SAMPLES_COLUMNS, *map(sample_line, run.samples)]
    path = folder / "samples.csv"
    path.write_text("\n".join(lines) + "\n")
    (load,) = run.loads
    load = replace(load, samples_count=len(run.samples), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    record = replace(run, loads=(load,), impact=impact)
    session._conclude(folder, record)
    return record


def test_it_is_asked_when_the_load_has_ended() -> None:
    """The question comes once, after the load, about the run's own faults and bounds; the answer is in the record."""
    clock, sandbox = FakeClock(), FakeSandbox({"app-database": "database"})
    records: list[Record] = []
    asked: list[tuple[int, tuple[float, float]]] = []
    answer = ImpactEvidence(incident=None, databases=("web:/web.db",))

    def impact(faults: Sequence[FaultRecord], alerts: AlertEvidence, bounds: tuple[float, float]) -> ImpactEvidence:
        assert isinstance(alerts, AlertEvidence)
        asked.append((sum(fault.healed_at is not None for fault in faults), bounds))
        return answer

    def conclude(record: Record) -> Judgement:
        records.append(record)
        return outage.judgement()

    cast = fake_cast(clock=clock, loads=ScriptedLoad(clock), sandbox=sandbox, conclude=conclude)
    scenario = Scenario(name="x", hypothesis="y")
    run = Run(replace(cast, impact=impact), scenario=scenario, folder=Path("1"), control=Control.NONE, seed=1)
    with sandbox, run.load(Arrivals.constant(per_second=10)), run.fault(FakeFault("database")):
        clock.sleep(5)
        assert asked == []
    run.conclude(checks=[])
    (record,) = records
    assert record.impact is answer
    assert asked == [(1, (record.began, record.ended))]


def test_every_run_writes_its_postmortem(tmp_path: Path) -> None:
    """Both forms lie beside the report, and `gameday report` writes the same ones again, byte for byte."""
    _saved(tmp_path, None)
    for form, name in (("postmortem", "postmortem.md"), ("postmortem-html", "postmortem.html")):
        first = (tmp_path / name).read_bytes()
        (path,) = write_reports([tmp_path], form, None)
        assert path == tmp_path / name
        assert path.read_bytes() == first
    assert not list(tmp_path.glob("*.failed"))


def test_the_evidence_survives_the_file(tmp_path: Path) -> None:
    """What was read of the request logs is in record.json, and comes back as it was."""
    impact = ImpactEvidence(incident=None, databases=("web:/web.db",), problems=("no such table: visits",))
    _saved(tmp_path, impact)
    assert store.load(tmp_path, read_samples).impact == impact


def test_a_record_of_before_is_judged_as_it_was(tmp_path: Path) -> None:
    """A record without the field is read, and judged to the same bytes."""
    _saved(tmp_path, None)
    verdict = (tmp_path / "verdict.json").read_bytes()
    path = tmp_path / store.RECORD
    old = json.loads(path.read_text())
    del old["impact"]
    path.write_text(json.dumps(old))
    (written,) = write_reports([tmp_path], "json", None)
    assert written.read_bytes() == verdict
    (told,) = write_reports([tmp_path], "postmortem", None)
    assert "nobody read it" in told.read_text()


@pytest.mark.parametrize("form", ["postmortem", "postmortem-html"])
def test_a_postmortem_goes_where_it_is_told(tmp_path: Path, form: str) -> None:
    """`--output` names the file."""
    (tmp_path / "run").mkdir()
    _saved(tmp_path / "run", None)
    (path,) = write_reports([tmp_path / "run"], form, tmp_path / "x.txt")
    assert path == tmp_path / "x.txt"
    assert path.read_text()
