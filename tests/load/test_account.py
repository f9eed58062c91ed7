"""The engine's account is held against what it left behind; whatever does not add up is said."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from harness.load.account import Files, Order, settle
from harness.model.load import Arrivals, Sample
from harness.model.record import LoadRecord
from harness.model.units import minutes
from loadtests.sample_file import SampleFile

BEGAN = 1000.0
ORDER = Order(
    window="load",
    plan=Arrivals.constant(10, lasting=minutes(1)),
    time_scale=60,
    seed=1,
    target="http://127.0.0.1:1",
    spawned=998.0,
    ready=999.98,
)  # at scale 60 ten arrivals within one second


def sample(number: int) -> Sample:
    planned = round(BEGAN + number / 10 + 0.05, 6)
    return Sample(planned=planned, sent=planned, ended=round(planned + 0.01, 6), name="GET /", status=200, ok=True)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """What an engine leaves that did all it was asked to do."""
    files = Files(folder=tmp_path / "load" / "load")
    files.folder.mkdir(parents=True)
    with SampleFile(files.samples) as file:
        for number in range(10):
            file.write(sample(number))
    told = {"at": BEGAN + 1.0, "began": BEGAN, "sent": 10, "finished": 9, "open": 1, "dropped": 0}
    files.progress.write_text(json.dumps(told))
    sign(files)
    return files


def sign(files: Files, **change: Any) -> None:
    signed = {
        "format": 1,
        "reason": "the plan ended",
        "began": BEGAN,
        "stopped": BEGAN + 1.0,
        "ended": BEGAN + 1.02,
        "planned": 10,
        "sent": 10,
        "finished": 10,
        "in_flight": 0,
        "dropped": 0,
        "samples": 10,
        "sha256": hashlib.sha256(files.samples.read_bytes()).hexdigest(),
        "lateness": {"p50": 0.001, "p99": 0.002, "max": 0.003},
        "cpu_seconds": 0.0102,
    }
    files.sign_off.write_text(json.dumps({**signed, **change}))


def account(files: Files, status: int | None = 0) -> tuple[LoadRecord, tuple[Sample, ...]]:
    return settle(ORDER, files, status=status, now=BEGAN + 3.0, run_folder=files.folder.parents[1])


def test_an_account_that_adds_up_is_complete(files: Files) -> None:
    """Every figure of the sign-off is in the record, and the samples file by its place in the run's folder."""
    record, samples = account(files)
    assert (record.complete, record.problem) == (True, "")
    assert (record.planned, record.sent, record.finished, record.samples_count) == (10, 10, 10, 10)
    assert (record.began, record.ended, record.lateness_p99) == (BEGAN, BEGAN + 1.0, 0.002)
    assert record.samples_file == "load/load/samples.csv"
    assert record.generator_cpu == pytest.approx(0.01)
    assert record.plan == "10/s for 1 min (open model)"
    assert samples == tuple(map(sample, range(10)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reason": "the maximum duration was reached"}, "stopped by itself: the maximum duration"),
        ({"samples": 11}, "signed off 11 samples, 10 are there"),
        ({"sha256": "0" * 64}, "sha256 differs"),
        ({"finished": 9}, "do not add up"),
        ({"sent": 11, "finished": 11}, "do not add up"),  # an arrival without a sample
        ({"planned": 12}, "by the plan it is another number"),
        ({"began": BEGAN - 20, "stopped": BEGAN - 19}, "clock and ours do not agree"),
        ({"began": BEGAN + 0.4, "stopped": BEGAN + 1.4}, "older than the load"),
        ({"format": 2}, "did not sign off"),
        ({"sent": "many"}, "did not sign off"),
        ({"lateness": None}, "did not sign off"),
    ],
)
def test_a_sign_off_that_contradicts_the_rest_is_not_believed(files: Files, change: dict[str, Any], said: str) -> None:
    """The record is incomplete and says why; nothing is raised."""
    sign(files, **change)
    record, _ = account(files)
    assert not record.complete
    assert said in record.problem


def test_a_killed_engine_leaves_an_incomplete_account(files: Files) -> None:
    """No sign-off: what it last told and what it wrote are kept, and its end is told."""
    files.sign_off.unlink()
    with files.samples.open("a") as file:
        file.write("1001.05,10")
    record, samples = account(files, status=-9)
    assert not record.complete
    assert "did not sign off: it ended with exit status -9" in record.problem
    assert "10 bytes of a torn last sample were cut off" in record.problem
    assert (record.sent, record.finished, record.in_flight, record.samples_count, len(samples)) == (10, 9, 1, 10, 10)
    assert record.sha256 == hashlib.sha256(files.samples.read_bytes()).hexdigest()


def test_an_engine_that_left_nothing_at_all_has_a_record_all_the_same(files: Files) -> None:
    """An empty folder is an incomplete load, not a crash of ours."""
    for path in (files.samples, files.progress, files.sign_off):
        path.unlink()
    record, samples = account(files, status=None)
    assert (record.complete, samples, record.samples_count) == (False, (), 0)
    assert "is still there" in record.problem
    assert "does not exist" in record.problem


def test_samples_that_can_not_be_read_leave_the_account_incomplete(files: Files) -> None:
    """A doctored line spoils the whole file, sign-off or not."""
    files.samples.write_text(files.samples.read_text().replace(",200,1,", ",200,7,", 1))
    record, samples = account(files)
    assert (record.complete, samples) == (False, ())
    assert ":3: not a sample" in record.problem
