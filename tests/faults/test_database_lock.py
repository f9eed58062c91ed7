"""Database lock: what its receipts make of what is refused, and by whom it is held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import InjectFailed
from harness.faults import DatabaseLock
from harness.model.units import hours
from tests.faults.busy_host import APP, BusyHost, busy

__all__ = ["busy"]


@pytest.mark.parametrize(
    ("mode", "wal", "refused", "in_force"),
    [
        ("exclusive", False, "reading", True),
        ("exclusive", False, "writing", None),  # somebody else's lesser lock
        ("exclusive", True, "writing", True),
        ("write", False, "writing", True),
        ("write", False, "finishing", None),
        ("write", True, "writing", True),
        ("read", False, "finishing", True),
        ("read", False, "reading", True),  # a writer waits for our reader to go
        ("read", True, "finishing", True),
        ("read", False, "nothing", False),
        ("exclusive", False, "nothing", False),
    ],
)
def test_a_lock_is_in_force_where_it_refuses_what_it_should(
    busy: BusyHost, monkeypatch: pytest.MonkeyPatch, mode: Any, wal: bool, refused: Any, in_force: bool | None
) -> None:
    """By mode and journal mode; more harm than that is ours too, less is somebody else's."""
    fault = DatabaseLock(APP, "/data/x.db", mode=mode)
    busy.refused = "reading"
    fault.inject(busy)
    monkeypatch.setattr("harness.faults.database_lock.is_wal", lambda file: wal)
    busy.refused = refused
    receipt = fault.receipt(busy, 0.0)
    assert receipt.in_force is in_force, receipt
    assert refused in receipt.measured


def test_a_lock_of_somebody_else_is_not_ours(busy: BusyHost) -> None:
    """A locked file without our program, before or after, can't be told."""
    busy.refused = "reading"
    receipt = DatabaseLock(APP, "/data/x.db").receipt(busy, 0.0)
    assert receipt.in_force is None
    assert "not by us" in receipt.measured


def test_a_lock_that_does_not_hold_fails_the_injection(busy: BusyHost) -> None:
    """What the file does not refuse is no fault, and the log with the reason is named."""
    busy.refused = "nothing"
    with pytest.raises(InjectFailed, match="nothing is refused") as failed:
        DatabaseLock(APP, "/data/x.db").inject(busy)
    assert "hold_lock-app-data-x.db.log" in str(failed.value)


def test_a_program_that_gave_up_fails_the_injection(busy: BusyHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends by itself where it does not get the lock: nobody waits any longer."""
    monkeypatch.setattr("harness.faults.database_lock.TAKES_AT_MOST", hours(1))
    fault = DatabaseLock(APP, "/data/x.db")
    busy.refused = "nothing"
    spawn = busy.spawn

    def ends_at_once(name: str, *args: Any, **given: Any) -> Any:
        spawn(name, *args, **given)
        return busy.end(name, grace=0)

    monkeypatch.setattr(busy, "spawn", ends_at_once)
    with pytest.raises(InjectFailed, match="its program ended"):
        fault.inject(busy)


def test_its_order_does_not_stand_on_the_command_line(busy: BusyHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program is told may hold a token, and everybody may read a command line."""
    given: list[str] = []
    spawn = busy.spawn

    def noted(name: str, argv: Any, **rest: Any) -> Any:
        given.extend(argv)
        return spawn(name, argv, **rest)

    monkeypatch.setattr(busy, "spawn", noted)
    DatabaseLock(APP, "/data/x.db").inject(busy)
    assert not any("x.db" in word for word in given)
    assert busy._order()["file"] == "/nowhere/data/x.db"


def test_what_can_not_work_is_all_said(busy: BusyHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mode that SQLite does not have, and a file in no mount."""
    found = DatabaseLock(APP, "/etc/x.db", mode="shared").problems(busy)  # type: ignore[arg-type]  # that is the test
    assert len(found) == 2
    assert "its mounts: /data" in found[1]


def test_a_file_that_is_no_database_is_said(busy: BusyHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the run, with its name."""
    from harness.probes.lock_probe import is_wal

    monkeypatch.setattr("harness.faults.database_lock.is_wal", is_wal)
    assert str(Path("/nowhere/data/x.db")) in DatabaseLock(APP, "/data/x.db").problems(busy)[0]
