"""The driver runs our ab in a process of its own, and turns what it left into a record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness import Benchmark, Outcome, UsageError, Window, seconds
from harness.benchmark.driver import BenchmarkDriver
from harness.errors import SandboxError
from harness.sandbox.base import Address, Exit
from harness.testing import FakeClock, FakeSandbox
from tests.benchmark.build import BENCHMARK, record

REPLY = {"sent": 1.0, "connected": 1.1, "first": 1.2, "ended": 1.3, "status": 200, "received": 42, "length": 2}
TOLD = {
    "format": 1,
    "began": 1.0,
    "ended": 2.0,
    "stopped": "",
    "cpu_seconds": 0.25,
    "replies": [{**REPLY, "error": ""}],
}


@dataclass
class Spawning(FakeSandbox):
    """A sandbox whose helpers do `program` with their folder at once; its answer is the exit status."""

    program: Callable[[Path], int | None] = lambda folder: 0
    argv: Sequence[str] = ()
    ended: list[str] = field(default_factory=list)
    status: int | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def address(self, service: str, port: int) -> Address:
        if service != "app":
            raise UsageError(f"there is no {service}:{port}")
        return Address("127.0.0.1", 4711, "http")

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        log: Path | None = None,
    ) -> Exit:
        assert log is not None
        log.write_text("ab: it said something\n")
        self.argv, self.status = argv, self.program(directory)
        return self.spawned(name)

    def spawned(self, name: str) -> Exit:
        return Exit(pid=1, status=self.status)

    def end(self, name: str, *, grace: float) -> Exit:
        self.ended.append(name)
        return self.spawned(name)


def leaves(**changed: object) -> Callable[[Path], int | None]:
    def program(folder: Path) -> int | None:
        (folder / "requests.json").write_text(json.dumps({**TOLD, **changed}))
        return 0

    return program


def driver(tmp_path: Path, sandbox: FakeSandbox) -> BenchmarkDriver:
    return BenchmarkDriver(sandbox=sandbox, folder=tmp_path / "run", clock=FakeClock(scale=60))


def test_what_it_left_is_the_record(tmp_path: Path) -> None:
    """Every request is kept, and the share of a core that our client used; its process is ended in any case."""
    sandbox = Spawning(program=leaves())
    ran = driver(tmp_path, sandbox).run(BENCHMARK, "within 1 hour")
    assert (ran.window, ran.target, ran.problem, ran.client_cpu) == ("within 1 hour", "app:80/health", "", 0.25)
    assert [reply.length for reply in ran.replies] == [2]
    assert sandbox.ended == ["benchmark-within-1-hour"]
    assert list(sandbox.argv[-8:]) == [
        *("-n", "1000", "-c", "10", "--at-most=60", "--allow=127.0.0.1"),
        f"--record={tmp_path / 'run/benchmark/within-1-hour/requests.json'}",
        "http://127.0.0.1:4711/health",
    ]


def test_a_second_one_in_the_same_window_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Evidence is never written over."""
    both = driver(tmp_path, Spawning(program=leaves()))
    both.run(BENCHMARK, "w")
    both.run(BENCHMARK, "w")
    assert sorted(path.name for path in (tmp_path / "run/benchmark").iterdir()) == ["w", "w-2"]


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        (lambda folder: 1, "the benchmark left no account: ab: it said something"),
        (lambda folder: None, "left no account"),  # it hangs
        (leaves(format=2), "its account can't be read: ValueError('format 2')"),
        (leaves(replies=[REPLY]), "can't be read"),
        (leaves(replies=[{**REPLY, "error": "", "more": 1}]), "can't be read"),
        (leaves(began="soon"), "can't be read"),
        (lambda folder: (folder / "requests.json").write_text("{") and None, "can't be read"),
    ],
)
def test_an_odd_account_is_a_problem_and_no_traceback(
    tmp_path: Path, program: Callable[[Path], int | None], problem: str
) -> None:
    """Whatever became of the program, the run goes on, and its claim is UNKNOWN."""
    ran = driver(tmp_path, Spawning(program=program)).run(BENCHMARK, "later")
    assert problem in ran.problem
    assert BENCHMARK.during(Window("later")).judge(record(ran)).outcome is Outcome.UNKNOWN


def test_a_service_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    """Nothing but the sandbox's own addresses is ever asked."""
    ran = driver(tmp_path, Spawning(program=leaves())).run(replace(BENCHMARK, service="elsewhere"), "later")
    assert ran.problem == "there is no elsewhere:80"


def test_a_sandbox_that_can_not_spawn_is_a_problem(tmp_path: Path) -> None:
    """Without a supervisor to end it, it is not started."""
    assert "can't run a benchmark" in driver(tmp_path, FakeSandbox()).run(BENCHMARK, "later").problem


def test_a_sandbox_that_breaks_is_a_problem(tmp_path: Path) -> None:
    """An error of the sandbox is told, not raised."""

    def breaks(folder: Path) -> int | None:
        raise SandboxError("the supervisor is gone")

    assert driver(tmp_path, Spawning(program=breaks)).run(BENCHMARK, "later").problem == "the supervisor is gone"


def test_what_may_take_long_is_waited_for(tmp_path: Path) -> None:
    """A benchmark is given all of its time, and some more to write down."""
    clock = FakeClock()
    short = Benchmark(
        "app", 80, "/", requests=100, at_once=1, p99=seconds(1), rate=50, mean=seconds(1), at_most=seconds(5)
    )
    BenchmarkDriver(sandbox=Spawning(program=lambda folder: None), folder=tmp_path, clock=clock).run(short, "w")
    assert 20.0 <= clock.now() - 1_000_000.0 < 21.0
