"""What the memory watch does with what it sees."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.sandbox import memory
from harness.sandbox.memory import MemoryWatch

MAIN = 10
LIMIT = 1000


@dataclass
class Machine:
    """Processes of one service: what each holds, by pid, shared pages counted in full and by its share; and whom the
    watch ended."""

    full: dict[int, int] = field(default_factory=dict)
    shares: dict[int, int] = field(default_factory=dict)
    killed: list[int] = field(default_factory=list)
    slow_to_die: bool = False
    listings: int = 0

    def hold(self, **held: int) -> None:
        """`p10=500`: process 10 holds 500 bytes, all its own."""
        self.full = {int(name[1:]): size for name, size in held.items()}
        self.shares = dict(self.full)

    def listed(self, roots: Iterable[int]) -> dict[int, set[int]]:
        self.listings += 1
        return {root: set(self.full) for root in roots}

    def end(self, pid: int, number: int) -> bool:
        assert number == signal.SIGKILL
        self.killed.append(pid)
        if not self.slow_to_die:
            del self.full[pid], self.shares[pid]
        return True


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()

    @dataclass(frozen=True)
    class FakeIdentity:
        pid: int

        @staticmethod
        def of(pid: int) -> FakeIdentity | None:
            return FakeIdentity(pid) if pid in made.full else None

        @property
        def alive(self) -> bool:
            return self.pid in made.full

        def send(self, number: int) -> bool:
            return made.end(self.pid, number)

    monkeypatch.setattr(memory, "Identity", FakeIdentity)
    monkeypatch.setattr(memory, "families", made.listed)
    monkeypatch.setattr(memory, "resident", lambda pid: made.full.get(pid, 0))
    monkeypatch.setattr(memory, "newest_process", lambda: max(made.full, default=1))
    monkeypatch.setattr(memory, "share", lambda pid: made.shares.get(pid, 0))
    return made


@dataclass
class Watched:
    """A watch over one service with a limit; `events` are those that it told."""

    watch: MemoryWatch
    events: list[tuple[str, str, dict[str, Any]]]
    log: Path
    service: Any
    now: float = 100.0

    def look(self, later: float = 0.2) -> None:
        self.now += later
        self.watch.look(self.now)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    events: list[tuple[str, str, dict[str, Any]]] = []
    log = tmp_path / "app.log"
    log.write_text("last words\n")
    service = SimpleNamespace(
        child=SimpleNamespace(pid=MAIN, running=True),
        limits=SimpleNamespace(memory=LIMIT),
        plan=SimpleNamespace(name="app", log=str(log)),
    )
    watch = MemoryWatch({"app": service}, lambda kind, subject, **rest: events.append((kind, subject, rest)))  # type: ignore[dict-item]  # as much of a service as the watch looks at
    return Watched(watch, events, log, service)


def test_nothing_happens_below_the_limit(machine: Machine, watched: Watched) -> None:
    """Processes that hold as much as they may are left alone."""
    machine.hold(p10=400, p11=600)
    for _ in range(10):
        watched.look()
    assert (machine.killed, watched.events, watched.log.read_text()) == ([], [], "last words\n")


def test_the_largest_is_killed_and_the_log_says_so(machine: Machine, watched: Watched) -> None:
    """Past the limit the process that holds most is ended; an event and a line in the service's own log tell it."""
    machine.hold(p10=300, p11=500, p12=250)
    watched.look()
    assert machine.killed == [11]
    assert watched.events == [("service.oom-killed", "app", {"pid": 11, "resident": 1050, "limit": LIMIT})]
    line = watched.log.read_text().splitlines()[-1]
    assert line.startswith("Memory cgroup out of memory: Killed process 11 (")
    watched.look()
    assert machine.killed == [11], "the rest is within the limit"


def test_growth_between_two_looks_is_seen(machine: Machine, watched: Watched) -> None:
    """A process that was small at the last look is ended at the next."""
    machine.hold(p10=300, p11=300)
    watched.look()
    machine.hold(p10=300, p11=800)
    watched.look(0.2)
    assert machine.killed == [11]


def test_a_new_process_is_counted_within_a_second(machine: Machine, watched: Watched) -> None:
    """What was forked since the last census is found by the next."""
    machine.hold(p10=300)
    watched.look()
    machine.hold(p10=300, p11=800)
    for _ in range(5):
        watched.look(0.2)
    assert machine.killed == [11]


def test_processes_are_listed_only_where_something_was_forked(machine: Machine, watched: Watched) -> None:
    """Listing all processes of a machine is what costs: it is left out as long as the newest of them stays the same."""
    machine.hold(p10=300, p11=300)
    for _ in range(20):
        watched.look()
    assert machine.listings == 1
    machine.hold(p10=300, p11=300, p12=300)
    for _ in range(20):
        watched.look()
    assert machine.listings == 2


def test_shared_pages_count_once(machine: Machine, watched: Watched) -> None:
    """Processes that share nearly all they hold are within a limit that their sum would pass."""
    machine.full = {10: 900, 11: 900, 12: 900}
    machine.shares = {10: 300, 11: 300, 12: 300}
    for _ in range(12):
        watched.look()
    assert machine.killed == []
    machine.shares = {10: 300, 11: 450, 12: 300}  # 11 wrote to what was shared: it holds no more, but alone
    for _ in range(6):
        watched.look()
    assert machine.killed == [11]


def test_nobody_else_is_killed_while_one_still_dies(machine: Machine, watched: Watched) -> None:
    """A process takes a moment to give back what it held; no second one is ended for that."""
    machine.slow_to_die = True
    machine.hold(p10=600, p11=700)
    for _ in range(3):
        watched.look()
    assert machine.killed == [11]
    machine.hold(p10=1600)
    watched.look(1.0)
    assert machine.killed == [11, 10], "it is gone, and it was not enough"


def test_a_service_without_a_limit_may_take_what_there_is(machine: Machine, watched: Watched) -> None:
    """No limit, no look."""
    machine.hold(p10=10**12)
    watched.service.limits.memory = None
    watched.look()
    assert machine.killed == []


def test_a_log_that_can_not_be_written_is_done_without(machine: Machine, watched: Watched) -> None:
    """The kill counts, and its event; a log folder that vanished ends nothing."""
    machine.hold(p10=2000)
    watched.service.plan.log = str(watched.log / "no" / "such")
    watched.look()
    assert machine.killed == [10]
    assert [kind for kind, *_ in watched.events] == ["service.oom-killed"]
