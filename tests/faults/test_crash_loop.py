"""Crash loop: settings with which a service ends at once, and how that differs from one that hangs or is stopped."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import HealFailed, InjectFailed
from harness.faults import CrashLoop
from harness.probes.probe import Answer
from harness.sandbox.base import Address, Process
from tests.faults.host import APP, PORT, Host, host, seen_through

__all__ = ["host"]  # the fixture
FAULT = CrashLoop(APP, {"BAD": "1"})


def test_the_service_is_started_again_and_again(host: Host) -> None:
    """The bad settings are in, the first start failed, and the policy has tried once more."""
    FAULT.inject(host)
    assert host.app.settings == {"BAD": "1"}
    receipt = FAULT.receipt(host, 1.0)
    assert receipt.details == {"state": "failed", "starts": 3}
    assert "ended while it started: exit status 1; starts: 3" in receipt.measured


def test_healing_gives_the_topology_its_settings_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the service was started with before holds again, not an empty value."""
    host = seen_through(Host(environment={"SIZE": "4"}, breaks=lambda settings: settings["SIZE"] == "0"), monkeypatch)
    fault = CrashLoop(APP, {"SIZE": "0"})
    fault.inject(host)
    fault.heal(host)
    assert host.app.settings == {"SIZE": "4"}
    assert host.app.state == "ready"


def test_settings_that_the_service_survives_are_no_crash_loop(host: Host) -> None:
    """Where it comes up all the same the injection fails."""
    with pytest.raises(InjectFailed, match="came up all the same"):
        CrashLoop(APP, {"GOOD": "1"}).inject(host)


def test_a_service_that_nobody_starts_again_is_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a restart policy it ends once, and the injection fails."""
    with pytest.raises(InjectFailed, match="nothing starts it again"):
        FAULT.inject(seen_through(Host(policy=False), monkeypatch))


def process(pid: int) -> Process:
    return Process(pid=pid, started="1@x", parent=1, command="app", resident=1, cpu_seconds=0, open_files=3)


@pytest.mark.parametrize(
    ("reply", "state", "running", "in_force"),
    [
        ("refused", "exited", False, True),
        ("refused", "failed", False, True),
        ("answered", "ready", True, False),
        ("refused", "stopped", False, None),  # an operator stopped it: nothing tries any more
        ("refused", "starting", True, None),  # it hangs
        ("silent", "paused", True, None),
        ("answered", "exited", False, None),  # somebody else answers in its place
    ],
)
def test_a_receipt_holds_only_for_a_start_that_ended(
    host: Host, reply: Any, state: Any, running: bool, in_force: bool | None
) -> None:
    """Not answering is not enough: its latest start must have ended, and not by an operator's hand."""
    host.app.state, host.answers = state, Answer(reply, 0.01)
    host.app.processes = [process(7)] if running else []
    assert FAULT.receipt(host, 1.0).in_force is in_force


def test_a_start_that_is_under_way_is_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is there when we look, and gone at the next look, is a start that ended."""
    host.app.state = "starting"
    host.answers = Answer("refused", 0.01)
    seen = iter([(process(7),), (process(7),), (process(8),)])
    monkeypatch.setattr(host, "processes", lambda service: next(seen))
    monkeypatch.setattr("harness.faults.wait.PAUSE", 0.0)
    assert FAULT.receipt(host, 1.0).in_force is True


def test_a_service_that_an_operator_repaired_is_no_crash_loop(host: Host) -> None:
    """Good settings and a restart end it."""
    FAULT.inject(host)
    host.restart(APP, {"BAD": None})
    assert FAULT.receipt(host, 1.0).in_force is False


def test_a_service_that_stays_broken_is_not_healed(host: Host) -> None:
    """Where the service does not come up with its own settings either, the sandbox is dirty."""
    FAULT.inject(host)
    host.app.environment = {"BAD": "always"}
    with pytest.raises(HealFailed, match="not back"):
        FAULT.heal(host)


def test_settings_that_can_not_work_are_all_said(host: Host) -> None:
    """An unknown service and an empty environment are reported together."""
    assert len(CrashLoop("ap", {}).problems(host)) == 2


def test_every_address_must_be_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """With several ports, one that still answers keeps the receipt from being a proof."""
    two = {PORT: Address("127.0.0.1", 17080, "http"), 81: Address("127.0.0.1", 17081, "http")}
    host = seen_through(Host(addresses=two), monkeypatch)
    FAULT.inject(host)
    assert FAULT.receipt(host, 1.0).in_force is True
    met = {17080: Answer("refused", 0.001), 17081: Answer("answered", 0.001)}
    monkeypatch.setattr("harness.faults.look.ask", lambda address, patience: met[address.port])
    assert FAULT.receipt(host, 1.0).in_force is None
