"""Worker frozen: one of several, and how that differs from a service that is frozen or has no workers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import InjectFailed
from harness.faults import WorkerFrozen
from tests.faults.host import APP, Host, host, seen_through

__all__ = ["host"]  # the fixture
FAULT = WorkerFrozen(APP)


def test_the_worker_that_has_worked_most_is_frozen(host: Host) -> None:
    """Not the main process, and no bystander that never works."""
    main, idle, busy = host.app.processes
    host.app.processes = [replace(main, cpu_seconds=90.0), idle, replace(busy, cpu_seconds=5.0)]
    FAULT.inject(host)
    assert host.stopped == {busy.pid}
    assert FAULT.receipt(host, 1.0).measured == "1 of 2 workers frozen, 1 of 3 processes"


@pytest.mark.parametrize(
    ("which", "in_force"),
    [
        ([], False),  # replaced by its main process, or thawed
        ([1], True),
        ([1, 2], None),
        ([0], None),  # the main process is no worker
        ([0, 1], None),
    ],
)
def test_a_receipt_wants_exactly_one_worker(host: Host, which: list[int], in_force: bool | None) -> None:
    """More than one, or the main process, is another fault than this."""
    host.stopped = {host.app.processes[index].pid for index in which}
    assert FAULT.receipt(host, 1.0).in_force is in_force


def test_a_service_without_processes_is_no_proof(host: Host) -> None:
    """Where nothing runs nobody can tell, and there is nothing to thaw."""
    host.stop(APP)
    assert FAULT.receipt(host, 1.0).in_force is None
    FAULT.heal(host)
    with pytest.raises(InjectFailed):
        FAULT.inject(host)


@pytest.mark.parametrize(("workers", "said"), [(0, "has 0 workers"), (1, "has 1 workers")])
def test_it_takes_two_workers(monkeypatch: pytest.MonkeyPatch, workers: int, said: str) -> None:
    """Where nobody is left to go on the service is frozen as a whole, which is another fault."""
    alone = seen_through(Host(workers=workers), monkeypatch)
    assert said in FAULT.problems(alone)[0]
    alone.stopped = {process.pid for process in alone.app.processes[1:]}
    assert FAULT.receipt(alone, 1.0).in_force is not True


def test_workers_of_another_user_are_refused_before_anything_is_tried(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container they belong to the container's user, whom only root may stop."""
    monkeypatch.setattr("harness.faults.worker_frozen.may_signal", lambda pid: False)
    assert "another user's" in WorkerFrozen(APP).problems(host)[0]
