"""The store: a run's folder can be judged again anywhere, and a damaged one is never taken for a whole one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness import Control, Outcome, UsageError, store
from harness.model.judgement import Judgement
from harness.model.load import Sample
from harness.model.record import LoadRecord, Record, Scenario
from harness.model.verdict import Verdict

SAMPLES = tuple(Sample(planned=1.0 + n, sent=1.0 + n, ended=1.5 + n, name="a", status=200, ok=True) for n in range(3))
TEXT = "three samples"


def record() -> Record:
    load = LoadRecord(
        window="load", plan="1/s", target="x", began=1, ended=4, planned=3, sent=3, finished=3, in_flight=0,
        dropped=0, complete=True, lateness_p99=0.0, lateness_max=0.0, generator_cpu=0.1,
        samples_file="samples.csv", samples_count=3, sha256=hashlib.sha256(TEXT.encode()).hexdigest(),
    )  # fmt: skip
    return Record(
        run_id="1", scenario=Scenario(name="s", hypothesis="h"), control=Control.NONE, time_scale=60, seed=1,
        runtime="fake", began=0, ended=9, loads=(load,),
    )  # fmt: skip


def read(path: Path) -> tuple[Sample, ...]:
    return SAMPLES[: 2 if path.read_text() == "two samples" else 3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store.save_record(record(), tmp_path)
    (tmp_path / "samples.csv").write_text(TEXT)
    return tmp_path


def test_a_record_comes_back_as_it_was(folder: Path) -> None:
    """What was saved is what is judged again, samples included."""
    loaded = store.load(folder, read)
    assert loaded == record()
    assert loaded.samples == SAMPLES


@pytest.mark.parametrize("damage", ["another file", "two samples", None], ids=["changed", "truncated", "missing"])
def test_damaged_samples_leave_the_load_incomplete(folder: Path, damage: str | None) -> None:
    """Samples that are missing, truncated or changed can't be judged as if they were whole."""
    path = folder / "samples.csv"
    path.unlink() if damage is None else path.write_text(damage)
    load = store.load(folder, read).loads[0]
    assert not load.complete
    assert "samples.csv" in load.problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "not a run's folder"),
        ("{", "can't be read"),
        ("[]", "format None"),
        ('{"format": 999}', "format 999"),
        ('{"format": 1}', "damaged"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    """A folder without a record, or with a broken one, is a usage error that says what is wrong."""
    if text is not None:
        (tmp_path / "record.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        store.load(tmp_path, read)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_record_of_numbers_that_are_none_is_refused(folder: Path, number: str) -> None:
    """NaN is below every limit and above none: a record that holds such a value is damaged."""
    path = folder / "record.json"
    text = path.read_text()
    assert '"lateness_p99": 0.0' in text
    path.write_text(text.replace('"lateness_p99": 0.0', f'"lateness_p99": {number}'))
    with pytest.raises(UsageError, match="can't be read"):
        store.load(folder, read)


def test_runs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    """Two runs that begin in the same second do not share a folder, and `latest` points to the newer."""
    first = store.new_folder(tmp_path, "s", 1_000_000.0)
    second = store.new_folder(tmp_path, "s", 1_000_000.0)
    assert first != second
    assert (tmp_path / "s" / "latest").resolve() == second.resolve()


def test_a_folder_that_can_not_be_made_is_a_usage_error(tmp_path: Path) -> None:
    """A file in the way is said, with the option that mends it."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(UsageError, match="--runs"):
        store.new_folder(tmp_path / "runs", "s", 1_000_000.0)


def test_a_verdict_is_saved_with_every_field(tmp_path: Path) -> None:
    """verdict.json has the scenario, the outcome and each claim with what was observed."""
    verdict = Verdict(claim="c", outcome=Outcome.FAIL, observed="o", limit="l", resolution="r", evidence=("e",))
    store.save_verdict(Judgement(scenario="s", outcome=Outcome.FAIL, verdicts=(verdict,)), tmp_path)
    saved = json.loads((tmp_path / "verdict.json").read_text())
    assert saved["outcome"] == "FAIL"
    assert saved["checks"][0] == {
        "claim": "c", "outcome": "FAIL", "observed": "o", "limit": "l", "resolution": "r", "evidence": ["e"],
        "vacuous": False,
    }  # fmt: skip


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """A file is replaced whole or not at all."""
    path = tmp_path / "record.json"
    store.write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        store.write_whole(path, "\udcff")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_samples_are_not_in_the_record_file(folder: Path) -> None:
    """record.json stays small: samples have a file of their own."""
    store.save_record(replace(record(), samples=SAMPLES), folder)
    assert "samples" not in json.loads((folder / "record.json").read_text())
