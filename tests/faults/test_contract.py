"""What every fault must do, whatever it breaks: one row a fault, each in a fake world in which it works."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

import pytest

from harness import faults
from harness.errors import HarnessError, HealFailed
from harness.faults import (
    Answered,
    Cpu,
    CpuNeighbour,
    CpuQuota,
    CrashLoop,
    DatabaseLock,
    Descriptors,
    Fault,
    HeavyRequests,
    IdleConnections,
    Locked,
    Memory,
    RedisFull,
    ScrapeGap,
    ServiceDown,
    UpstreamMisbehaves,
    UpstreamOutage,
    WorkerFrozen,
    decode,
    encode,
)
from harness.probes.probe import Answer
from harness.sandbox.base import Address, require
from harness.testing import FakeSandbox
from tests.faults.busy_host import PROBE, BusyHost, measured_on
from tests.faults.host import APP, PORT, Host, seen_through
from tests.faults.store import Store
from tests.faults.store import asked_in as spoken_in
from tests.faults.watcher import Watcher, asked_in


@dataclass(frozen=True, slots=True)
class World:
    """A fake sandbox, and how all that it can be asked is made to fail."""

    sandbox: Any
    ruin: Callable[[], None]


def links(monkeypatch: pytest.MonkeyPatch) -> World:
    sandbox = FakeSandbox({"app-model": "model", "batch-model": "model", "app-cache": "cache"})
    met = {True: Answer("refused", 0.001), False: Answer("answered", 0.001)}
    disabled = Address("127.0.0.1", 1)
    monkeypatch.setattr("harness.faults.breakage.ask", lambda address, patience: met[address == disabled])

    def ruin() -> None:
        for link in sandbox.links():
            link.dead = True

    return World(sandbox, ruin)


def services(monkeypatch: pytest.MonkeyPatch) -> World:
    host = seen_through(Host(), monkeypatch)
    host.held = 100
    return World(host, lambda: setattr(host, "dead", True))


def busy_services(monkeypatch: pytest.MonkeyPatch) -> World:
    host = measured_on(BusyHost(), monkeypatch)
    return World(host, lambda: setattr(host, "dead", True))


def scraping(monkeypatch: pytest.MonkeyPatch) -> World:
    watcher = asked_in(Watcher(), monkeypatch)
    return World(watcher, lambda: setattr(watcher, "dead", True))


def storing(monkeypatch: pytest.MonkeyPatch) -> World:
    store = spoken_in(Store(), monkeypatch)
    return World(store, lambda: setattr(store, "dead", True))


Row = tuple[Fault, Callable[[pytest.MonkeyPatch], World]]
ROWS: tuple[Row, ...] = (
    (UpstreamOutage("model"), links),
    (ServiceDown(APP), services),
    (ServiceDown(APP, how="frozen"), services),
    (CrashLoop(APP, {"BAD": "1"}), services),
    (Descriptors(APP, spare=5), services),
    (Descriptors(APP, spare=-3), services),
    (Descriptors(APP, at_most=9), services),
    (IdleConnections(APP, PORT, 100), services),
    (WorkerFrozen(APP), services),
    (CpuNeighbour(APP, burners=4), busy_services),
    (CpuQuota(APP, cores=0.5), services),
    (DatabaseLock(APP, "/data/x.db"), busy_services),
    (HeavyRequests(APP, PORT, "/jobs", 8, Cpu(1.5)), busy_services),
    (HeavyRequests(APP, PORT, "/jobs", 8, Memory(0.9), body="{}"), busy_services),
    (HeavyRequests(APP, PORT, "/report", 1, Locked("/data/x.db"), method="GET"), busy_services),
    (HeavyRequests(APP, PORT, "/jobs", 8, Answered(), headers={"X-User": "7"}), busy_services),
    (UpstreamMisbehaves(APP, "stall", PROBE), busy_services),
    (ScrapeGap("shop"), scraping),
    (RedisFull("redis", database=1), storing),
)
FAULTS = [fault for fault, _ in ROWS]


@pytest.fixture(params=ROWS, ids=[str(fault) for fault in FAULTS])
def row(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, World]]:
    fault, make = request.param
    world = make(monkeypatch)
    yield fault, world
    if isinstance(world.sandbox, FakeSandbox):
        world.sandbox.__exit__()


def test_every_fault_has_a_row() -> None:
    """No fault that can be injected goes without these tests, and each has a name of its own."""
    known = get_args(faults.AnyFault)
    assert set(known) <= {type(fault) for fault in FAULTS}
    kinds = [one.__dataclass_fields__["kind"].default for one in known]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_settings_only(fault: Any) -> None:
    """It is frozen, says what it is in one line, and is offered by name."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        fault.kind = "other"
    assert not hasattr(fault, "__dict__"), "it can hold state: dataclass(slots=True) is missing"
    assert "\n" not in str(fault)
    assert not str(fault).startswith(type(fault).__name__), "str() is only what dataclass made"
    assert type(fault).__name__ in faults.__all__


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_journal_brings_a_fault_back(fault: Fault) -> None:
    """What is written down before an injection, as JSON, is read back as the same fault."""
    assert decode(json.loads(json.dumps(encode(fault)))) == fault


def test_it_works_where_its_needs_are_met(row: tuple[Fault, World]) -> None:
    """A sandbox that has what it needs has no problem with it."""
    fault, world = row
    require(world.sandbox, *fault.needs)
    assert fault.problems(world.sandbox) == []


def test_it_is_seen_while_it_is_in_force_and_only_then(row: tuple[Fault, World]) -> None:
    """Not in force before, in force once injected, not in force once healed, and again so once healed twice."""
    fault, world = row
    assert fault.receipt(world.sandbox, 1.0).in_force is False
    fault.inject(world.sandbox)
    during = fault.receipt(world.sandbox, 2.0)
    assert during.in_force is True, during
    assert during.at == 2.0
    assert during.intended
    assert during.measured
    for _ in range(2):
        fault.heal(world.sandbox)
        assert fault.receipt(world.sandbox, 3.0).in_force is False


def test_another_process_can_heal_it(row: tuple[Fault, World]) -> None:
    """The fault that the journal brings back heals what this one did."""
    fault, world = row
    fault.inject(world.sandbox)
    decode(encode(fault)).heal(world.sandbox)
    assert fault.receipt(world.sandbox, 3.0).in_force is False


def test_healing_what_was_never_injected_harms_nothing(row: tuple[Fault, World]) -> None:
    """The promise to heal stands before the injection: it may be kept where there was none."""
    fault, world = row
    fault.heal(world.sandbox)
    assert fault.receipt(world.sandbox, 1.0).in_force is False
    assert fault.problems(world.sandbox) == []


def test_a_dead_sandbox_is_never_a_proof(row: tuple[Fault, World]) -> None:
    """Where the sandbox answers nothing any more the receipt can't tell, and does not raise."""
    fault, world = row
    fault.inject(world.sandbox)
    world.ruin()
    receipt = fault.receipt(world.sandbox, 1.0)
    assert receipt.in_force is None, receipt
    assert receipt.measured


def test_a_dead_sandbox_is_said_and_not_healed(row: tuple[Fault, World]) -> None:
    """An injection and a healing that can't be done say so; neither counts as done."""
    fault, world = row
    world.ruin()
    with pytest.raises(HarnessError):
        fault.inject(world.sandbox)
    with pytest.raises(HealFailed):
        fault.heal(world.sandbox)


def test_its_traffic_can_be_asked_for_at_any_time(row: tuple[Fault, World]) -> None:
    """A count or None, before, during and after, and never a rise that was not there."""
    fault, world = row
    for act in (fault.flush, fault.inject, fault.heal, fault.flush):
        act(world.sandbox)
        count = fault.traffic(world.sandbox)
        assert count is None or count >= 0
