"""Every sandbox whose services are processes must do all of this; the fake must too, where nothing real is needed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SandboxError, UsageError
from harness.sandbox.base import CanKill, CanLimit, CanRestart, HasProcesses, Limits, State
from harness.sandbox.processes import ProcessSandbox, open_sandbox
from harness.testing import FakeService, FakeServices
from tests.sandbox.stack import ask, eventually, write_stack

ONE = frozenset(sorted(os.sched_getaffinity(0))[:1])
MEMORY = 300 * 2**20  # what the stack's `front` may use


@dataclass(frozen=True)
class Subject:
    """A sandbox with `back` (two processes, brought back by its policy) and `front` (one process, never brought back),
    and the environment that a service was really started with."""

    sandbox: ProcessSandbox | FakeServices
    settings: Callable[[str], Mapping[str, str]]
    patience: float = 0.5  # seconds in which a service that comes back would have come back

    def state(self, service: str) -> State:
        return next(status.state for status in self.sandbox.services() if status.name == service)

    def main(self, service: str) -> int:
        """The pid of its main process; 0 where it does not run."""
        return next((process.pid for process in self.sandbox.processes(service)), 0)

    def runs(self, service: str) -> bool:
        return self.state(service) == "ready"

    def comes_back(self, service: str, after: int) -> bool:
        """Whether it runs again, as another process than `after`."""
        return eventually(lambda: self.runs(service) and self.main(service) not in (0, after), 5)


@contextmanager
def _processes(folder: Path) -> Iterator[Subject]:
    def limited(services: dict[str, Any]) -> None:
        services["front"]["mem_limit"] = "300m"

    with open_sandbox(write_stack(folder, limited), parts={}, render={}, logs=folder / "logs") as sandbox:
        ports = {"front": 8000, "back": 9000}
        yield Subject(sandbox, lambda service: ask(sandbox, service, ports[service])["env"])


@contextmanager
def _fake(folder: Path) -> Iterator[Subject]:
    services = {
        "back": FakeService(policy=True, workers=1, environment={"ROLE": "back"}),
        "front": FakeService(memory=MEMORY),
    }
    sandbox = FakeServices(services, cores=frozenset(os.sched_getaffinity(0)))
    with sandbox:
        yield Subject(sandbox, lambda service: services[service].settings, patience=0)


RUNTIMES = [
    pytest.param(_processes, marks=[pytest.mark.integration, pytest.mark.timeout(60)], id="processes"),
    pytest.param(_fake, id="fake"),
]


@pytest.fixture(params=RUNTIMES, scope="module")
def subject(
    request: pytest.FixtureRequest, module_state: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    with request.param(tmp_path_factory.mktemp("a stack")) as made:
        yield made


def test_it_has_the_abilities(subject: Subject) -> None:
    """The sandbox can restart, kill, limit and show processes."""
    assert all(isinstance(subject.sandbox, one) for one in (CanRestart, CanKill, CanLimit, HasProcesses))


def test_the_main_process_comes_first(subject: Subject) -> None:
    """A service's processes are told one by one: the main one first, then those that it started."""
    main, child = subject.sandbox.processes("back")
    shown = next(status for status in subject.sandbox.services() if status.name == "back")
    assert str(main.pid) == shown.identity
    assert child.parent == main.pid
    for process in (main, child):
        assert process.command
        assert 100_000 < process.resident < 10**9
        assert process.cpu_seconds >= 0
        assert process.open_files is not None
        assert process.open_files > 2
    assert main.started != child.started


def test_a_service_that_does_not_run_has_no_processes(subject: Subject) -> None:
    """Nothing runs of a stopped service, and none of its limits can be read."""
    subject.sandbox.stop("front")
    assert list(subject.sandbox.processes("front")) == []
    with pytest.raises(SandboxError, match="front does not run"):
        subject.sandbox.limits("front")
    subject.sandbox.start("front")
    assert len(subject.sandbox.processes("front")) == 1


@pytest.mark.parametrize("comeback", ["start", "restart"])
def test_what_is_held_down_stays_down_until_somebody_starts_it(subject: Subject, comeback: str) -> None:
    """A kill that is to stay beats the restart policy; an operator's start or restart brings the service back, and
    its policy holds again."""
    subject.sandbox.kill("back", signal.SIGKILL, stay_down=True)
    assert eventually(lambda: subject.state("back") == "exited", 2)
    assert not eventually(lambda: subject.state("back") != "exited", subject.patience)
    assert list(subject.sandbox.processes("back")) == []
    getattr(subject.sandbox, comeback)("back")
    pid = subject.main("back")
    subject.sandbox.kill("back", signal.SIGKILL)
    assert subject.comes_back("back", after=pid)


def test_a_kill_that_finds_nobody_is_an_error_unless_it_is_to_stay(subject: Subject) -> None:
    """A signal to a service that is down is refused; holding it down is what was wanted, so that is not."""
    subject.sandbox.kill("back", signal.SIGKILL, stay_down=True)
    assert eventually(lambda: subject.state("back") == "exited", 2)
    subject.sandbox.kill("back", signal.SIGKILL, stay_down=True)
    with pytest.raises(SandboxError, match="back does not run"):
        subject.sandbox.kill("back", signal.SIGKILL)
    subject.sandbox.start("back")
    assert subject.runs("back")


def test_a_frozen_service_is_not_brought_back_and_thaws(subject: Subject) -> None:
    """SIGSTOP stops a service, which keeps its processes; SIGCONT lets it go on."""
    before = [process.pid for process in subject.sandbox.processes("back")]
    subject.sandbox.kill("back", signal.SIGSTOP)
    assert eventually(lambda: subject.state("back") == "paused", 2)
    assert [process.pid for process in subject.sandbox.processes("back")] == before
    subject.sandbox.kill("back", signal.SIGCONT)
    assert eventually(lambda: subject.runs("back"), 2)


def test_a_restart_thaws_a_frozen_service(subject: Subject) -> None:
    """An operator's restart ends a frozen service as it ends any other, without waiting for it to be killed."""
    before = subject.main("back")
    subject.sandbox.kill("back", signal.SIGSTOP)
    began = time.monotonic()
    subject.sandbox.restart("back")
    assert subject.runs("back")
    assert subject.main("back") != before
    assert time.monotonic() - began < 5


def test_a_setting_of_none_is_given_back_to_the_topology(subject: Subject) -> None:
    """A setting that the topology has gets its value back, another is taken away; the others stay as they were."""
    subject.sandbox.restart("back", {"ROLE": "other", "EXTRA": "1", "MORE": "2"})
    assert {name: subject.settings("back")[name] for name in ("ROLE", "EXTRA", "MORE")} == {
        "ROLE": "other",
        "EXTRA": "1",
        "MORE": "2",
    }
    subject.sandbox.restart("back", {"ROLE": None, "EXTRA": None, "NEVER_SET": None})
    settings = subject.settings("back")
    assert settings["ROLE"] == "back"
    assert "EXTRA" not in settings
    assert "NEVER_SET" not in settings
    assert settings["MORE"] == "2"
    subject.sandbox.restart("back", {"MORE": None})
    assert "MORE" not in subject.settings("back")


LIMITS = [Limits(open_files=99, memory=2 * MEMORY)]
if len(os.sched_getaffinity(0)) > 1:  # else one core is no limit
    LIMITS += [Limits(cores=ONE)]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_a_limit_holds_for_later_starts_until_it_is_lifted(subject: Subject, limits: Limits) -> None:
    """What is ordered is in force at once, after a restart and after the policy brought the service back; lifted, all
    is as it was."""
    usual = subject.sandbox.limits("back")
    subject.sandbox.limit("back", limits)
    assert subject.sandbox.limits("back") == limits
    subject.sandbox.restart("back")
    assert subject.sandbox.limits("back") == limits
    pid = subject.main("back")
    subject.sandbox.kill("back", signal.SIGKILL)
    assert subject.comes_back("back", after=pid)
    assert subject.sandbox.limits("back") == limits
    subject.sandbox.lift("back", "cores", "open_files", "memory")
    assert subject.sandbox.limits("back") == usual == Limits()
    subject.sandbox.restart("back")
    assert subject.sandbox.limits("back") == Limits()


def test_a_limit_can_be_ordered_while_the_service_is_down(subject: Subject) -> None:
    """A service that does not run is limited from its next start on."""
    subject.sandbox.stop("back")
    subject.sandbox.limit("back", Limits(open_files=99))
    subject.sandbox.start("back")
    assert subject.sandbox.limits("back") == Limits(open_files=99)
    subject.sandbox.lift("back", "open_files")
    assert subject.sandbox.limits("back") == Limits()


def test_limits_of_different_kinds_leave_each_other_alone(subject: Subject) -> None:
    """A limit that is ordered later adds to those before, and lifting one of them lifts no other."""
    subject.sandbox.limit("back", Limits(open_files=99))
    subject.sandbox.limit("back", Limits(memory=2 * MEMORY))
    assert subject.sandbox.limits("back") == Limits(open_files=99, memory=2 * MEMORY)
    subject.sandbox.limit("back", Limits(open_files=98))
    assert subject.sandbox.limits("back") == Limits(open_files=98, memory=2 * MEMORY)
    subject.sandbox.lift("back", "open_files")
    assert subject.sandbox.limits("back") == Limits(memory=2 * MEMORY)
    subject.sandbox.lift("back", "open_files", "memory")
    assert subject.sandbox.limits("back") == Limits()


def test_a_memory_limit_of_the_topology_is_in_force_unless_another_is_ordered(subject: Subject) -> None:
    """What the topology lets a service use holds from its start; an ordered limit takes its place until lifted."""
    assert subject.sandbox.limits("front") == Limits(memory=MEMORY)
    subject.sandbox.limit("front", Limits(memory=MEMORY // 2))
    assert subject.sandbox.limits("front") == Limits(memory=MEMORY // 2)
    subject.sandbox.lift("front", "memory")
    assert subject.sandbox.limits("front") == Limits(memory=MEMORY)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(cores=frozenset()),
        Limits(cores=frozenset({4095})),
        Limits(cores=ONE | {4095}),
        Limits(open_files=0),
        Limits(open_files=-1),
        Limits(open_files=2**40),
        Limits(memory=0),
    ],
    ids=str,
)
def test_what_this_machine_does_not_have_is_a_usage_error(subject: Subject, limits: Limits) -> None:
    """A limit that can't be is refused, and nothing changes."""
    with pytest.raises(UsageError):
        subject.sandbox.limit("back", limits)
    assert subject.sandbox.limits("back") == Limits()


def test_a_service_that_is_not_there_is_a_usage_error(subject: Subject) -> None:
    """Each of the calls says that there is no such service."""
    sandbox = subject.sandbox
    for call in (
        lambda: sandbox.processes("nobody"),
        lambda: sandbox.limits("nobody"),
        lambda: sandbox.limit("nobody", Limits()),
        lambda: sandbox.lift("nobody", "memory"),
        lambda: sandbox.kill("nobody", 9, stay_down=True),
        lambda: sandbox.restart("nobody"),
    ):
        with pytest.raises(UsageError, match="nobody"):
            call()
