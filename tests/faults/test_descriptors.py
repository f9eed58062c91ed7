"""Descriptors: a limit a little above what is open, on every process of a service."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import InjectFailed
from harness.faults import Descriptors
from harness.model.units import seconds
from harness.sandbox.base import Limits, Process
from tests.faults.host import APP, Host, host

__all__ = ["host"]  # the fixture


def busy(host: Host, *open_files: int | None) -> None:
    pairs = zip(host.app.processes, open_files, strict=True)
    host.app.processes = [replace(process, open_files=count) for process, count in pairs]


@pytest.mark.parametrize(("spare", "limit"), [(0, 30), (5, 35), (-10, 20)])
def test_the_fullest_process_sets_the_limit(host: Host, spare: int, limit: int) -> None:
    """All processes get one limit, which leaves the fullest room for `spare` more."""
    busy(host, 12, 30, 20)
    Descriptors(APP, spare=spare).inject(host)
    assert host.limits(APP).open_files == limit
    assert Descriptors(APP, spare=spare).receipt(host, 1.0).details == {
        "limit": limit,
        "room": max(0, spare),
        "full": int(spare <= 0) + int(spare < 0),
    }


@pytest.mark.parametrize(
    ("limit", "held", "alike", "in_force"),
    [
        (35, 30, True, True),
        (35, 35, True, True),
        (35, 12, True, True),  # requests went, and their connections with them
        (20, 30, True, True),  # below what is open: nothing new opens
        (1000, 30, True, False),  # somebody raised it
        (None, 30, True, False),
        (None, 30, False, None),  # one process has another limit than the rest
        (35, None, True, None),  # its open files can't be read
    ],
)
def test_a_receipt_measures_what_is_left_to_open(
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    limit: int | None,
    held: int | None,
    alike: bool,
    in_force: bool | None,
) -> None:
    """It is in force where little is left, and nobody can tell where the processes differ or can't be read."""
    host.limit(APP, Limits(open_files=limit))
    busy(host, 10, held, 10)
    monkeypatch.setattr("harness.faults.fullness.same_limit", lambda processes: alike)
    receipt = Descriptors(APP, spare=5).receipt(host, 1.0)
    assert receipt.in_force is in_force, receipt
    if in_force is not None and limit is not None:
        assert f"a limit of {limit} on each" in receipt.measured


@pytest.mark.parametrize(("held", "full"), [((12, 15, 10), 0), ((12, 20, 10), 1), ((21, 20, 25), 3)])
def test_a_receipt_says_where_the_limit_bites(host: Host, held: tuple[int, ...], full: int) -> None:
    """A limit that is set and one that keeps processes from opening anything are told apart."""
    fault = Descriptors(APP, at_most=20)
    fault.inject(host)
    busy(host, *held)
    receipt = fault.receipt(host, 1.0)
    assert receipt.in_force is True
    assert f"keeps {full} of 3 processes from opening any" in receipt.measured
    assert receipt.details["full"] == full


def test_a_fixed_limit_is_met_exactly(host: Host) -> None:
    """`at_most` does not look at what is open, and any other limit is not this one."""
    fault = Descriptors(APP, at_most=20)
    busy(host, 12, 30, 20)
    fault.inject(host)
    assert host.limits(APP).open_files == 20
    assert fault.receipt(host, 1.0).in_force is True
    host.limit(APP, Limits(open_files=21))
    assert fault.receipt(host, 1.0).in_force is False
    assert Descriptors(APP, at_most=0).problems(host) == ["app with at most 0 files has a limit of 0, and 21 as it is"]


def test_a_service_that_does_not_run_is_no_proof(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a process there is nothing to read a limit from, nor where it ends while we look."""
    host.limit(APP, Limits(open_files=12))
    with monkeypatch.context() as patch:
        patch.setattr(host, "processes", lambda service: ())
        assert Descriptors(APP).receipt(host, 1.0).in_force is None
    host.stop(APP)
    assert Descriptors(APP).receipt(host, 1.0).in_force is None
    with pytest.raises(InjectFailed, match="could not be limited"):
        Descriptors(APP).inject(host)


def test_a_service_that_is_being_restarted_is_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may end between two questions of one look: that look does not count, the next one does."""
    fault = Descriptors(APP, spare=5)
    fault.inject(host)
    gone = host.app.processes
    states = iter([gone, [], [], gone])
    monkeypatch.setattr("harness.faults.wait.PAUSE", 0.0)
    monkeypatch.setattr("harness.faults.fullness.START", seconds(5))

    def next_state(service: str) -> list[Process]:
        host.app.processes = next(states, gone)
        return host.app.processes

    limits = host.limits
    monkeypatch.setattr(host, "processes", next_state)
    monkeypatch.setattr(host, "limits", lambda service: (next_state(service), limits(service))[1])
    assert fault.receipt(host, 1.0).in_force is True


def test_a_restart_does_not_end_it(host: Host) -> None:
    """The limit holds for the processes of later starts too."""
    fault = Descriptors(APP, spare=5)
    fault.inject(host)
    host.restart(APP)
    assert fault.receipt(host, 1.0).in_force is True


def test_a_service_that_did_not_come_back_is_started(host: Host) -> None:
    """One that could not start with so few files is there again once it is healed."""
    fault = Descriptors(APP)
    fault.inject(host)
    host.kill(APP, 9, stay_down=True)
    fault.heal(host)
    assert host.app.state == "ready"
    assert fault.receipt(host, 1.0).in_force is False


def test_what_can_not_be_counted_is_not_limited(host: Host) -> None:
    """Where the open files can't be read the injection fails, and nothing was limited."""
    busy(host, 10, None, 10)
    with pytest.raises(InjectFailed, match="can't be read"):
        Descriptors(APP).inject(host)
    assert host.limits(APP) == Limits()


@pytest.mark.parametrize(
    ("spare", "limit", "said"),
    [
        (0, None, ""),
        (-10, None, "-10 files to spare has a limit of 0"),
        (5, 15, "15, and 15 as it is"),
    ],
)
def test_settings_that_can_not_work_are_said(host: Host, spare: int, limit: int | None, said: str) -> None:
    """A limit of nothing, and one that would not lower what is there, are refused with the numbers."""
    host.limit(APP, Limits(open_files=limit))
    found = Descriptors(APP, spare=spare).problems(host)
    assert (said in found[0]) if said else found == []


def test_processes_of_another_user_are_refused_before_anything_is_tried(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container they belong to the container's user, whose limits not even every root may change."""
    monkeypatch.setattr("harness.faults.descriptors.may_limit", lambda pid: False)
    assert "CAP_SYS_RESOURCE" in Descriptors(APP, at_most=9).problems(host)[0]
