"""The journal keeps its word: what it returns from is on the disk, and what is on the disk is read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.journal import NAME, Journal

UNDO = {"kind": "outage", "upstream": "openai", "list": [1, 2]}


def test_a_promise_is_open_until_it_is_kept(tmp_path: Path) -> None:
    """Promises are open in their order; keeping one closes it, keeping it twice does no harm."""
    journal = Journal(tmp_path)
    first, second = journal.promise(UNDO), journal.promise({"kind": "other"})
    assert list(journal.open_promises().items()) == [(first, UNDO), (second, {"kind": "other"})]
    journal.kept(first)
    journal.kept(first)
    assert Journal(tmp_path).open_promises() == {second: {"kind": "other"}}


def test_no_journal_means_no_promises(tmp_path: Path) -> None:
    """A sandbox in which nothing was ever promised has nothing to heal."""
    assert Journal(tmp_path).open_promises() == {}


def test_a_promise_is_on_the_disk_when_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and, for a new file, its folder are flushed to the disk, after the line is written."""
    synced: list[str] = []

    def fsync(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        synced.append(path.name if path.is_dir() else f"{path.name}: {path.read_text().count('promise')}")

    monkeypatch.setattr(os, "fsync", fsync)
    journal = Journal(tmp_path)
    journal.promise(UNDO)
    journal.promise(UNDO)
    assert synced == [f"{NAME}: 1", tmp_path.name, f"{NAME}: 2"]


@pytest.mark.parametrize("cut", range(1, 80))
def test_a_line_cut_short_loses_only_itself(tmp_path: Path, cut: int) -> None:
    """Wherever a crash cuts the last line, earlier promises stand, and later ones can be written and read."""
    journal = Journal(tmp_path)
    first = journal.promise({"kind": "a"})
    whole = journal.path.stat().st_size
    second = journal.promise(UNDO)
    size = journal.path.stat().st_size
    os.truncate(journal.path, max(whole, size - cut))
    still = journal.open_promises()
    assert still[first] == {"kind": "a"}
    assert set(still) <= {first, second}
    third = journal.promise({"kind": "c"})
    assert {first, third} <= set(journal.open_promises())


def test_a_promise_that_lacks_only_its_line_end_counts(tmp_path: Path) -> None:
    """A whole promise without its newline is open: healing once too often does no harm."""
    journal = Journal(tmp_path)
    promise = journal.promise(UNDO)
    os.truncate(journal.path, journal.path.stat().st_size - 1)
    assert journal.open_promises() == {promise: UNDO}


@pytest.mark.parametrize(
    "damage",
    ["what?", '{"promise": "x"}', '{"promise": "x", "undo": 3}', "[1]", "\x00\x00", '{"promise": "y", "undo": {'],
)
def test_a_damaged_line_is_an_error(tmp_path: Path, damage: str) -> None:
    """A line in the middle that is nobody's is said: nobody knows what it promised."""
    journal = Journal(tmp_path)
    journal.promise(UNDO)
    with journal.path.open("a") as file:
        file.write(f"{damage}\n")
    journal.promise(UNDO)
    with pytest.raises(HarnessError, match="damaged at line 2"):
        journal.open_promises()


@pytest.mark.parametrize("undo", [{"kind": object()}, {"kind": {1, 2}}])
def test_what_cannot_be_written_is_not_promised(tmp_path: Path, undo: dict[str, object]) -> None:
    """An undo that is no JSON is refused before the harm is done."""
    with pytest.raises(HarnessError, match="can't be written"):
        Journal(tmp_path).promise(undo)
    assert Journal(tmp_path).open_promises() == {}


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """Where the sandbox's folder is gone nothing can be promised."""
    with pytest.raises(HarnessError, match="can't be written"):
        Journal(tmp_path / "gone").promise(UNDO)


def test_a_journal_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """Not being able to read the promises is not the same as there being none."""
    (tmp_path / NAME).mkdir()
    with pytest.raises(HarnessError, match="can't be read"):
        Journal(tmp_path).open_promises()
