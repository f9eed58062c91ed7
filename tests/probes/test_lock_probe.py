"""The lock probe: what each lock of SQLite refuses to others, in either journal mode, as the docstrings say."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from harness.errors import SandboxError
from harness.probes import lock_probe
from harness.probes.lock_probe import is_wal, refused

BEGIN = {"exclusive": "BEGIN EXCLUSIVE", "write": "BEGIN IMMEDIATE", "read": "BEGIN"}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_probe, "_PAUSE", 0.0)


@contextmanager
def in_use(file: Path, journal: str) -> Iterator[sqlite3.Connection]:
    """A database with one row, and the connection of a service that keeps it open."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=0, check_same_thread=False)) as service:
        service.execute(f"PRAGMA journal_mode={journal}")
        service.execute("CREATE TABLE IF NOT EXISTS rows (x)")
        service.execute("INSERT INTO rows VALUES (1)")
        yield service


@contextmanager
def held(file: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """A lock of another connection."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as holder:
        holder.execute(BEGIN[mode])
        if mode == "read":
            holder.execute("SELECT count(*) FROM rows").fetchall()
        yield holder


@pytest.mark.parametrize(
    ("journal", "mode", "found"),
    [
        ("delete", "exclusive", "reading"),
        ("delete", "write", "writing"),
        ("delete", "read", "finishing"),  # the commit
        ("wal", "exclusive", "writing"),
        ("wal", "write", "writing"),
        ("wal", "read", "finishing"),  # a checkpoint of the whole log
    ],
)
def test_each_lock_refuses_what_its_docstring_says(tmp_path: Path, journal: str, mode: str, found: str) -> None:
    """Nothing before, in either journal mode just its own while it is held, nothing once it is let go."""
    file = tmp_path / "with space.db"
    with in_use(file, journal) as service:
        assert is_wal(file) is (journal == "wal")
        assert refused(file) == "nothing"
        with held(file, mode):
            if journal == "wal" and mode == "read":
                service.execute("INSERT INTO rows VALUES (2)")  # an empty log has nothing that a reader could keep
            assert refused(file) == found
        assert refused(file) == "nothing"


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_the_probe_changes_nothing(tmp_path: Path, journal: str) -> None:
    """Looking, with or without a lock, leaves the rows as they are and no lock behind."""
    file = tmp_path / "x.db"
    with in_use(file, journal) as service:
        refused(file)
        with held(file, "write"):
            refused(file)
        service.execute("INSERT INTO rows VALUES (2)")
        assert service.execute("SELECT x FROM rows").fetchall() == [(1,), (2,)]


def test_a_writer_that_waits_for_a_reader_keeps_new_readers_out(tmp_path: Path) -> None:
    """In rollback mode a reader that stays makes a commit hold PENDING: the harm is greater than the lock itself."""
    file = tmp_path / "x.db"
    with in_use(file, "delete") as service, held(file, "read"):
        service.execute("BEGIN IMMEDIATE")
        service.execute("INSERT INTO rows VALUES (2)")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            service.execute("COMMIT")
        assert refused(file) == "reading"
        service.execute("ROLLBACK")


def test_a_lock_that_comes_and_goes_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit of the service locks everybody out for an instant: what a later try gets was not refused."""
    file = tmp_path / "x.db"
    with in_use(file, "delete"):
        holding = held(file, "exclusive")
        holding.__enter__()
        monkeypatch.setattr("harness.probes.lock_probe.time.sleep", lambda _: holding.__exit__(None, None, None))
        assert refused(file) == "nothing"


@pytest.mark.parametrize(("gaps", "found"), [(0, "nothing"), (1, "nothing"), (2, "reading"), (3, "reading")])
def test_gaps_between_two_locks_can_be_forgiven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gaps: int, found: str
) -> None:
    """Who locks again and again is seen to, where no more than so many of eight tries are granted."""
    file = tmp_path / "x.db"
    with in_use(file, "delete") as service:
        free = iter([False, True, True, False, False, False, False, False] * 3)

        def lock_or_not(_: float = 0) -> None:
            if service.in_transaction:
                service.execute("ROLLBACK")
            if not next(free):
                service.execute("BEGIN EXCLUSIVE")

        lock_or_not()
        monkeypatch.setattr("harness.probes.lock_probe.time.sleep", lock_or_not)
        assert refused(file, gaps=gaps) == found


@pytest.mark.parametrize("content", [None, b"", b"not a database, however long it may be"])
def test_what_is_no_database_can_not_be_told(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing, empty or something else is an error, and is not made into a database."""
    file = tmp_path / "x.db"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SandboxError, match=r"x\.db"):
        refused(file)
    assert not file.exists() if content is None else file.read_bytes() == content


def test_a_damaged_database_is_not_taken_for_a_locked_one(tmp_path: Path) -> None:
    """An error that is no lock is said as it is."""
    file = tmp_path / "x.db"
    file.write_bytes(b"SQLite format 3\0" + bytes(100))
    with pytest.raises(SandboxError, match="can't be asked"):
        refused(file)
