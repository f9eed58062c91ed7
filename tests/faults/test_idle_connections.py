"""Idle connections: how many are really held, and what one more caller meets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.errors import InjectFailed
from harness.faults import IdleConnections
from harness.probes.probe import Answer
from harness.sandbox.base import Exit
from tests.faults.host import APP, PORT, Host, host

__all__ = ["host"]  # the fixture
FAULT = IdleConnections(APP, PORT, 200)


def test_the_program_is_told_where_and_how_many(host: Host) -> None:
    """It gets the address as it is here, the count, and a time after which it ends by itself."""
    host.held = 200
    FAULT.inject(host)
    order = json.loads(host.asked_for["GAMEDAY_ORDER"])
    assert order.pop("at_most") > 0
    assert order == {"host": "127.0.0.1", "port": 17080, "count": 200}


@pytest.mark.parametrize(
    ("held", "reply", "in_force"),
    [
        (200, "answered", True),
        (200, "silent", True),
        (181, "answered", True),  # some were closed just now
        (150, "answered", False),
        (150, "turned away", True),  # it is full: others have the rest
        (150, "silent", True),
        (99, "turned away", False),  # full, but not of ours
        (0, "refused", False),
        (0, "answered", False),
        (None, "answered", None),
    ],
)
def test_a_receipt_counts_what_is_held(host: Host, held: int | None, reply: Any, in_force: bool | None) -> None:
    """Connections that the server took and closed again do not count, however many were opened."""
    host.held = 200
    FAULT.inject(host)
    host.held, host.answers = held, Answer(reply, 0.01)
    receipt = FAULT.receipt(host, 1.0)
    assert receipt.in_force is in_force
    if held is not None:
        assert receipt.measured.startswith(f"{held} of 200 held; one more caller: ")


@pytest.mark.parametrize("helper", [None, Exit(pid=4000, status=-9)], ids=["never started", "killed"])
def test_without_its_program_it_is_not_in_force(host: Host, helper: Exit | None) -> None:
    """A program that is gone holds nothing, whoever has its pid by now."""
    host.held = 200
    if helper:
        FAULT.inject(host)
        host.helpers = dict.fromkeys(host.helpers, helper)
    receipt = FAULT.receipt(host, 1.0)
    assert receipt.in_force is False
    assert receipt.details == {"held": 0}


def test_connections_that_can_not_be_held_fail_the_injection(host: Host) -> None:
    """Where the server does not keep them the injection fails, with what was measured."""
    host.held = 12
    with pytest.raises(InjectFailed, match="12 of 200 held"):
        FAULT.inject(host)
    FAULT.heal(host)
    assert [helper.status for helper in host.helpers.values()] == [0]


def test_settings_that_can_not_work_are_all_said(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown port, and more connections than one process may hold open, are reported together."""
    monkeypatch.setattr("resource.getrlimit", lambda kind: (256, 256))
    found = IdleConnections(APP, 81, 200).problems(host)
    assert found == [
        "service app has no port 81",
        "a count of 200 is outside 1 .. 192, what one process here may hold open",
    ]


@pytest.mark.parametrize("count", [0, -1, 20_001])
def test_a_count_has_bounds(host: Host, count: int) -> None:
    """Nothing to hold, and more than there are outgoing ports, are refused."""
    assert len(IdleConnections(APP, PORT, count).problems(host)) == 1
