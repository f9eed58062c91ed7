"""Service down: killed or frozen, what its receipts say, and who may bring the service back."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import HealFailed, InjectFailed
from harness.faults import ServiceDown
from harness.model.units import seconds
from harness.probes.probe import Answer
from harness.sandbox.base import Address
from tests.faults.host import APP, PORT, Host, host, seen_through

__all__ = ["host"]  # the fixture


def test_a_killed_service_stays_down(host: Host) -> None:
    """Its restart policy does not bring it back, and a caller is refused."""
    ServiceDown(APP).inject(host)
    assert host.processes(APP) == ()
    assert ServiceDown(APP).receipt(host, 1.0).measured.startswith("refused")


def test_a_kill_is_done_once_callers_are_refused(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sockets of a dead process outlive it by a moment, in which a caller is reset."""
    met = iter([Answer("reset", 0.003), Answer("reset", 0.003), Answer("refused", 0.001)])
    monkeypatch.setattr("harness.faults.look.ask", lambda address, patience: next(met))
    monkeypatch.setattr("harness.faults.service_down.START", seconds(2))
    ServiceDown(APP).inject(host)
    assert next(met, None) is None


def test_a_frozen_service_keeps_its_processes(host: Host) -> None:
    """Nobody answers, yet every process is there, and each is frozen."""
    ServiceDown(APP, how="frozen").inject(host)
    receipt = ServiceDown(APP, how="frozen").receipt(host, 1.0)
    assert receipt.details == {"processes": 3, "frozen": 3}
    assert receipt.measured == "no answer within 1 s; processes: 3, frozen: 3"


@pytest.mark.parametrize(
    ("how", "reply", "state", "frozen", "in_force"),
    [
        ("killed", "refused", "exited", 0, True),
        ("killed", "answered", "ready", 0, False),
        ("killed", "refused", "starting", 0, None),  # somebody starts it just now
        ("killed", "answered", "exited", 0, None),  # somebody else sits on its port
        ("killed", "silent", "ready", 0, None),
        ("killed", "silent", "paused", 3, None),  # another fault, not this one
        ("frozen", "silent", "paused", 3, True),
        ("frozen", "answered", "ready", 0, False),
        ("frozen", "silent", "paused", 2, None),  # one of them was thawed
        ("frozen", "silent", "ready", 0, None),  # it hangs by itself
        ("frozen", "answered", "paused", 3, None),  # somebody else answers in its place
        ("frozen", "refused", "exited", 0, None),
        ("frozen", "closed", "ready", 0, None),
        ("frozen", "turned away", "ready", 0, None),
    ],
)
def test_a_receipt_holds_only_where_callers_and_processes_agree(
    host: Host, how: Any, reply: Any, state: Any, frozen: int, in_force: bool | None
) -> None:
    """Neither silence nor missing processes are enough alone; a healthy service is one that answers and runs."""
    host.app.state, host.answers, host.frozen = state, Answer(reply, 0.01), frozen
    if state == "exited":
        host.app.processes = []
    assert ServiceDown(APP, how=how).receipt(host, 1.0).in_force is in_force


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_service_that_an_operator_restarted_is_left_to_run(host: Host, how: Any) -> None:
    """A restart ends either way; healing then finds nothing to do, and starts nothing anew."""
    fault = ServiceDown(APP, how=how)
    fault.inject(host)
    host.restart(APP)
    assert fault.receipt(host, 1.0).in_force is False
    started = host.app.starts
    fault.heal(host)
    assert host.app.starts == started


def test_a_frozen_service_that_was_killed_meanwhile_is_started(host: Host) -> None:
    """Healing brings the service back, whatever has become of it."""
    fault = ServiceDown(APP, how="frozen")
    fault.inject(host)
    host.kill(APP, 9, stay_down=True)
    fault.heal(host)
    assert host.app.state == "ready"


def test_a_service_that_does_not_come_back_is_not_healed(host: Host) -> None:
    """A service that can't be started any more leaves the sandbox dirty, and that is said."""
    fault = ServiceDown(APP)
    fault.inject(host)
    host.app.given["BAD"] = "1"
    with pytest.raises(HealFailed, match="not back"):
        fault.heal(host)


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_process_that_does_not_take_the_signal_fails_the_injection(
    host: Host, monkeypatch: pytest.MonkeyPatch, how: Any
) -> None:
    """A receipt is taken at once after the injection: it returns when every process has been hit, or fails."""
    monkeypatch.setattr(host, "kill", lambda service, number, stay_down=False: None)
    with pytest.raises(InjectFailed, match="took the signal"):
        ServiceDown(APP, how=how).inject(host)


def test_what_does_not_run_can_not_be_frozen(host: Host) -> None:
    """Somebody was quicker: the injection fails instead of proving nothing."""
    host.stop(APP)
    with pytest.raises(InjectFailed, match="app frozen"):
        ServiceDown(APP, how="frozen").inject(host)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ServiceDown("ap"), "there is no service 'ap'; there are: app"),
        (ServiceDown("ap", how="frozen"), "there is no service 'ap'; there are: app"),
        (ServiceDown(APP, how="gone"), "how='gone' is not one of killed, frozen"),  # type: ignore[arg-type]
    ],
    ids=["killed unknown", "frozen unknown", "unknown way"],
)
def test_settings_that_can_not_work_are_said(host: Host, fault: ServiceDown, said: str) -> None:
    """An unknown service is answered with those that are there."""
    assert fault.problems(host) == [said]


def test_a_service_that_is_down_already_is_said(host: Host) -> None:
    """Nothing is proven by killing what does not run."""
    host.kill(APP, 9, stay_down=True)
    assert ServiceDown(APP).problems(host) == ["app does not run: it is exited killed by SIGKILL"]


def test_silence_must_be_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port whose protocol we do not speak never answers, so that freezing it could not be seen; killing it can."""
    mute = seen_through(Host(addresses={PORT: Address("127.0.0.1", 17080)}), monkeypatch)
    assert "speaks no protocol" in ServiceDown(APP, how="frozen").problems(mute)[0]
    assert ServiceDown(APP).problems(mute) == []


def test_a_service_that_nobody_can_call_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address nobody could see that it is down."""
    alone = seen_through(Host(addresses={}), monkeypatch)
    assert ServiceDown(APP).problems(alone) == ["app has no address at which a caller would miss it"]
    alone.kill(APP, 9, stay_down=True)
    assert ServiceDown(APP).receipt(alone, 1.0).in_force is None


def test_every_address_must_be_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """With several ports, one that still answers keeps the receipt from being a proof."""
    two = {PORT: Address("127.0.0.1", 17080, "http"), 81: Address("127.0.0.1", 17081, "http")}
    host = seen_through(Host(addresses=two), monkeypatch)
    fault = ServiceDown(APP)
    fault.inject(host)
    assert fault.receipt(host, 1.0).in_force is True
    met = {17080: Answer("refused", 0.001), 17081: Answer("answered", 0.001)}
    monkeypatch.setattr("harness.faults.look.ask", lambda address, patience: met[address.port])
    assert fault.receipt(host, 1.0).in_force is None


def test_a_port_that_the_kernel_keeps_open_proves_no_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a frozen service's ports only those count on which the service itself would have to answer."""
    two = {PORT: Address("127.0.0.1", 17080, "http"), 81: Address("127.0.0.1", 17081)}
    host = seen_through(Host(addresses=two), monkeypatch)
    fault = ServiceDown(APP, how="frozen")
    fault.inject(host)
    met = {17080: Answer("silent", 1.0), 17081: Answer("answered", 0.2)}
    monkeypatch.setattr("harness.faults.look.ask", lambda address, patience: met[address.port])
    assert fault.receipt(host, 1.0).in_force is True
