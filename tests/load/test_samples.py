"""Samples are read whole or not at all; while they come, they are followed without complaint."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from harness.errors import EvidenceMissing
from harness.load.samples import SampleTail, cut_torn_end, read_samples
from harness.model.load import SAMPLES_COLUMNS, SAMPLES_HEADER, Sample, sample_line
from loadtests.sample_file import SampleFile

ONE = Sample(planned=1.0, sent=1.25, ended=2.0, name="GET /", status=200, ok=True)
TWO = Sample(planned=2.0, sent=2.25, ended=None, censored=9.0, name="GET /", status=0, ok=False, error="still, open")
HEAD = f"{SAMPLES_HEADER}\n{SAMPLES_COLUMNS}\n"
LINES = f"{HEAD}{sample_line(ONE)}\n{sample_line(TWO)}\n"


def test_what_the_engine_writes_is_what_the_harness_reads(tmp_path: Path) -> None:
    """Both sides agree on the format, the count and the sha256."""
    path = tmp_path / "samples.csv"
    with SampleFile(path) as file:
        file.write(ONE)
        file.flush()
        file.write(TWO)
    assert read_samples(path) == (ONE, TWO)
    assert file.count == 2
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_samples_of_another_run_are_never_written_over(tmp_path: Path) -> None:
    """A samples file is made anew or not at all."""
    path = tmp_path / "samples.csv"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        SampleFile(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a samples file"),  # empty
        (SAMPLES_HEADER + "\n", "not a samples file"),  # half a header
        (LINES.replace(SAMPLES_HEADER, "gameday-samples,2"), "not a samples file"),  # another version
        (LINES.replace("ended", "stopped"), "not a samples file"),  # other columns
        (LINES[:-8], ":4: the last line is torn"),
        (LINES.replace("200,1", "200,2"), ":3: not a sample: status 200"),
        (LINES.replace("1.250000", ""), ":3: not a sample"),
        (HEAD + "\n" + LINES, ":3: not a sample"),  # an empty line
        (LINES + HEAD, ":5: not a sample"),  # two files behind each other
    ],
)
def test_a_file_that_is_torn_or_odd_anywhere_is_no_evidence(tmp_path: Path, text: str, said: str) -> None:
    """Reading stops at the first line that no engine writes, and names it."""
    path = tmp_path / "samples.csv"
    path.write_text(text)
    with pytest.raises(EvidenceMissing, match=said):
        read_samples(path)


def test_a_missing_or_unreadable_file_is_no_evidence(tmp_path: Path) -> None:
    """No samples is not zero samples."""
    with pytest.raises(EvidenceMissing, match="does not exist"):
        read_samples(tmp_path / "samples.csv")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(EvidenceMissing, match="can't be read"):
        read_samples(tmp_path / "binary")


@pytest.mark.parametrize("torn", ["", "1.0,2.0", '3.000000,3.250000,4.000000,,200,1,"GET'])
def test_the_torn_end_of_a_killed_run_is_cut_off(tmp_path: Path, torn: str) -> None:
    """What stands behind the last line end goes; whole lines stay as they are."""
    path = tmp_path / "samples.csv"
    path.write_text(LINES + torn)
    assert cut_torn_end(path) == len(torn)
    assert path.read_text() == LINES
    assert read_samples(path) == (ONE, TWO)


def test_a_tail_gives_every_sample_once_and_only_when_its_line_is_whole(tmp_path: Path) -> None:
    """It may look at any moment: before there is a file, in the middle of a line, after an odd one."""
    path = tmp_path / "samples.csv"
    tail = SampleTail(path)
    assert list(tail.new()) == []
    path.write_text(LINES[:-8])
    assert list(tail.new()) == [ONE]
    with path.open("a") as file:
        file.write(LINES[-8:] + "odd\n" + sample_line(ONE))
    assert list(tail.new()) == [TWO]
    with path.open("a") as file:
        file.write("\n")
    assert list(tail.new()) == [ONE]
    assert list(tail.new()) == []
