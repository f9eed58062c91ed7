"""CPU neighbour: which crowding counts as in force, and what it can't be put on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import HealFailed, InjectFailed
from harness.faults import CpuNeighbour, Descriptors
from harness.model.units import seconds
from harness.probes.cpu import cores_used, wanted_by
from harness.probes.crowding import Crowding
from harness.sandbox.base import Limits, Process
from tests.faults.busy_host import APP, BusyHost, busy

__all__ = ["busy"]

FAULT = CpuNeighbour(APP, burners=4)
ONE, TWO = frozenset({1}), frozenset({0, 1})
SOUND = Crowding(pinned=ONE, running=4, burners=4, strays=0, burnt=0.55, used=0.45)
CALM = Crowding(pinned=None, running=4, burners=0, strays=0, burnt=0.0, used=0.3)


@pytest.mark.parametrize(
    ("seen", "in_force", "gone"),
    [
        (SOUND, True, False),  # half of the core to four burners, half to four workers
        (replace(SOUND, burnt=1.0, used=0.0), True, False),  # the service has nothing to do
        (replace(SOUND, burnt=0.3, used=0.2), True, False),  # strangers use the rest
        (replace(SOUND, burnt=0.2, used=0.1), False, False),  # so do they, too much of it
        (replace(SOUND, burnt=0.35, used=0.65), False, False),  # less than their share
        (replace(SOUND, burners=3), False, False),  # one was ended
        (replace(SOUND, burners=3, strays=1), False, False),  # one was moved to another core
        (replace(SOUND, pinned=None), False, False),  # the service was let go
        (replace(SOUND, pinned=TWO), False, False),
        (replace(SOUND, pinned=None, running=0, used=0.0), True, False),  # it is down for a restart
        (CALM, False, True),
        (replace(CALM, pinned=TWO), False, True),
        (replace(CALM, pinned=ONE), False, False),  # the pin was left behind
        (replace(CALM, strays=1), False, False),
        (replace(CALM, running=0), False, False),  # nobody knows where it will run
    ],
)
def test_all_of_it_is_in_force_none_of_it_is_gone(seen: Crowding, in_force: bool, gone: bool) -> None:
    """Every burner on the service's one core and with its share of it; what lies between can't be told."""
    assert (seen.as_intended(4), seen.is_gone()) == (in_force, gone)
    assert "burners" in str(seen)


def test_the_service_is_pinned_to_a_core_that_the_harness_can_do_without(busy: BusyHost) -> None:
    """The last core is shared with the burners, the others stay free."""
    FAULT.inject(busy)
    assert busy.limits(APP).cores == frozenset({1})
    assert busy._order()["core"] == 1
    FAULT.heal(busy)
    assert busy.app.limits == Limits()


def test_a_limit_of_another_kind_stays(busy: BusyHost) -> None:
    """Beside a neighbour a service can run out of files, and each fault ends by itself."""
    few = Descriptors(APP, at_most=20)
    few.inject(busy)
    FAULT.inject(busy)
    assert busy.limits(APP) == Limits(cores=ONE, open_files=20, memory=1000)
    FAULT.heal(busy)
    assert busy.limits(APP) == Limits(open_files=20, memory=1000)
    few.heal(busy)
    assert busy.app.limits == Limits()


def test_burners_that_get_nothing_are_no_neighbours(busy: BusyHost) -> None:
    """A core that others burn already fails the injection."""
    busy.burnt = 0.1
    with pytest.raises(InjectFailed, match="4 burners"):
        FAULT.inject(busy)


def test_burners_elsewhere_can_not_be_told(busy: BusyHost) -> None:
    """A receipt with burners on another core than the service's is neither in force nor gone."""
    FAULT.inject(busy)
    busy.cores_of_burners = dict.fromkeys(range(5000, 5004), frozenset({0}))
    receipt = FAULT.receipt(busy, 0.0)
    assert receipt.in_force is None
    assert "4 more elsewhere" in receipt.measured


def test_a_killed_program_is_not_in_force(busy: BusyHost) -> None:
    """Where somebody ended the burners, the service is still pinned: it can't be told."""
    FAULT.inject(busy)
    busy.end("burn-app", grace=0)
    busy.cores_of_burners = {}
    assert FAULT.receipt(busy, 0.0).in_force is None


def test_the_pin_is_lifted_where_the_burners_can_not_be_ended(busy: BusyHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """One half that can't be healed does not keep the other in, and is reported."""
    FAULT.inject(busy)
    monkeypatch.setattr(busy, "end", lambda name, grace: busy.helpers[name])
    with pytest.raises(HealFailed, match="did not end"):
        FAULT.heal(busy)
    assert busy.limits(APP).cores is None


def test_what_can_not_work_is_all_said(busy: BusyHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """No burners, one core only, and a service that has one core as it is."""
    busy.limit(APP, Limits(cores=ONE))
    monkeypatch.setattr("harness.faults.cpu_neighbour.os.sched_getaffinity", lambda pid: {0})
    found = CpuNeighbour(APP, burners=0).problems(busy)
    assert [word in said for word, said in zip(("0 burners", "one core only", "pinned"), found, strict=True)] == [
        True
    ] * 3


def test_a_service_that_does_not_run_can_not_be_crowded(busy: BusyHost) -> None:
    """It is said before the run."""
    busy.stop(APP)
    assert FAULT.problems(busy) == ["app does not run"]


def test_an_unknown_service_is_said(busy: BusyHost) -> None:
    """A typo is a problem, not a failure later on."""
    assert "no service 'ap'" in CpuNeighbour("ap").problems(busy)[0]


def test_a_service_that_gets_no_cpu_wants_it_all_the_same() -> None:
    """What a thread has waited for at the run queue counts like what it has used."""
    mine = Process(pid=os.getpid(), started="me", parent=1, command="", resident=0, cpu_seconds=3.0, open_files=None)
    wanted = wanted_by(SimpleNamespace(processes=lambda service: [mine]), "app")
    assert wanted[f"{mine.pid}@me"] == 3.0
    waited = Path(f"/proc/{mine.pid}/task/{mine.pid}/schedstat")
    if waited.exists():
        assert 0 < wanted[f"{waited}@me"] <= int(waited.read_text().split()[1]) / 1e9


def test_use_is_counted_for_those_who_were_there_all_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that began or ended meanwhile is left out; the rest is divided by the time that has passed."""
    passed = iter([10.0, 12.0])
    monkeypatch.setattr("harness.probes.cpu.time.monotonic", lambda: next(passed))
    monkeypatch.setattr("harness.probes.cpu.time.sleep", lambda _: None)
    looks = iter([{"a": 1.0, "b": 5.0}, {"a": 2.5, "c": 9.0}])
    assert cores_used(lambda: next(looks), over=seconds(2)) == [0.75]
