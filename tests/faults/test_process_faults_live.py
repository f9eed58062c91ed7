"""Faults on real processes and connections: each takes hold, is seen by its receipt, and is gone once healed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InjectFailed, PartMissing
from harness.faults import CrashLoop, Descriptors, Fault, IdleConnections, RedisFull, ServiceDown, WorkerFrozen, encode
from harness.journal import Journal
from harness.model.units import seconds
from harness.probes.probe import ask
from harness.probes.resp import converse
from harness.rollback import heal
from harness.sandbox.parts import FoundPart, find
from harness.sandbox.processes import ProcessSandbox, open_sandbox
from tests.sandbox.conftest import module_state, state
from tests.sandbox.stack import eventually, write_stack

__all__ = ["module_state", "state"]  # fixtures

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
APP, PORT = "back", 9000
REDIS, MAX_CLIENTS = "redis", 40
NO_HOME = {"PYTHONHOME": "/nowhere"}  # no Python gets up with it


@contextmanager
def stack(folder: Path, redis: FoundPart | None = None) -> Iterator[ProcessSandbox]:
    """An HTTP server with two children and a restart policy and, where it is to be had, a Redis for few clients."""

    def change(services: dict[str, Any]) -> None:
        del services["seed"], services["front"]
        services[APP]["x-process"]["command"].append("--child")
        if redis:
            options = ["--port", "{port:6379}", "--maxclients", str(MAX_CLIENTS), "--save", "", "--dir", "{dir}"]
            services[REDIS] = {
                "image": "redis",
                "ports": [{"target": 6379, "app_protocol": "redis"}],
                "x-process": {"part": "redis", "command": ["{part}", *options], "ready": {"tcp": 6379}},
            }

    parts = {"redis": redis} if redis else {}
    with open_sandbox(write_stack(folder, change), parts=parts, render={}, logs=folder / "logs") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def sandbox(module_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessSandbox]:
    try:
        redis: FoundPart | None = find("redis")
    except PartMissing:
        redis = None
    with stack(tmp_path_factory.mktemp("a stack"), redis) as up:
        yield up


@pytest.fixture(autouse=True)
def _well_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test finds the service well, and leaves it so."""
    yield
    if "sandbox" in request.fixturenames:
        up = request.getfixturevalue("sandbox")
        assert answers(up), "the test left the service broken"


def answers(sandbox: ProcessSandbox, service: str = APP, port: int = PORT) -> bool:
    return ask(sandbox.address(service, port), patience=seconds(2)).reply == "answered"


@contextmanager
def injected(fault: Fault, sandbox: ProcessSandbox) -> Iterator[None]:
    fault.inject(sandbox)
    try:
        yield
    finally:
        fault.heal(sandbox)


@pytest.mark.parametrize(
    "fault",
    [
        ServiceDown(APP),
        ServiceDown(APP, how="frozen"),
        CrashLoop(APP, NO_HOME),
        Descriptors(APP),
        Descriptors(APP, at_most=20),
        IdleConnections(APP, PORT, 40),
        WorkerFrozen(APP),
    ],
    ids=str,
)
def test_each_takes_hold_and_goes(sandbox: ProcessSandbox, fault: Fault) -> None:
    """Whole before, in force once injected, whole again once healed, twice."""
    assert fault.problems(sandbox) == []
    before = fault.receipt(sandbox, 0.0)
    assert before.in_force is False, before
    with injected(fault, sandbox):
        for _ in range(2):
            during = fault.receipt(sandbox, 0.0)
            assert during.in_force is True, during
    fault.heal(sandbox)
    after = fault.receipt(sandbox, 0.0)
    assert after.in_force is False, after
    assert fault.problems(sandbox) == []


@pytest.mark.parametrize(
    ("fault", "settings"),
    [
        (ServiceDown(APP), None),
        (ServiceDown(APP, how="frozen"), None),
        (WorkerFrozen(APP), None),
        (CrashLoop(APP, NO_HOME), {"PYTHONHOME": None}),
    ],
    ids=str,
)
def test_an_operator_who_restarts_the_service_ends_it(
    sandbox: ProcessSandbox, fault: Fault, settings: dict[str, str | None] | None
) -> None:
    """A restart (with the settings mended) is seen to have ended it, and healing what is well harms nothing."""
    with injected(fault, sandbox):
        if isinstance(fault, CrashLoop):
            assert fault.receipt(sandbox, 0.0).in_force is True
        else:
            sandbox.kill(APP, signal.SIGKILL, stay_down=True)  # a frozen one takes no order to end
        sandbox.restart(APP, settings)
        assert fault.receipt(sandbox, 0.0).in_force is False
    assert fault.receipt(sandbox, 0.0).in_force is False


@pytest.mark.parametrize("fault", [ServiceDown(APP), WorkerFrozen(APP)], ids=str)
def test_it_is_in_force_as_soon_as_it_is_injected(sandbox: ProcessSandbox, fault: Fault) -> None:
    """The first receipt is taken at once, and every receipt counts: dying and freezing take a moment."""
    for _ in range(3):
        with injected(fault, sandbox):
            receipt = fault.receipt(sandbox, 0.0)
        assert receipt.in_force is True, receipt


def test_a_crash_loop_goes_on(sandbox: ProcessSandbox) -> None:
    """The service is really started again and again while the fault is in force."""
    fault = CrashLoop(APP, NO_HOME)
    with injected(fault, sandbox):
        first = fault.receipt(sandbox, 0.0).details["starts"]
        assert isinstance(first, int)
        assert eventually(lambda: int(str(fault.receipt(sandbox, 0.0).details["starts"])) > first, within=10)


def test_settings_that_work_are_no_crash_loop(sandbox: ProcessSandbox) -> None:
    """A service that comes up all the same fails the injection, and gets its settings back."""
    fault = CrashLoop(APP, {"HARMLESS": "1"})
    with pytest.raises(InjectFailed, match="came up all the same"):
        fault.inject(sandbox)
    fault.heal(sandbox)


def test_without_descriptors_nobody_is_served(sandbox: ProcessSandbox) -> None:
    """With nothing to spare the next caller gets no answer, and gets one once it is healed."""
    # Two less than nothing: a connection that was about to be closed at the injection leaves no room.
    with injected(Descriptors(APP, spare=-2), sandbox):
        assert not answers(sandbox)
    assert answers(sandbox)


def test_a_restarted_service_is_short_of_descriptors_again(sandbox: ProcessSandbox) -> None:
    """It is limited from its birth on, and while it is not there the receipt waits for it."""
    fault = Descriptors(APP, spare=30)
    with injected(fault, sandbox):
        sandbox.kill(APP, signal.SIGKILL)
        receipt = fault.receipt(sandbox, 0.0)
        assert receipt.in_force is True, receipt


def test_a_service_too_short_of_descriptors_to_start_is_brought_back(sandbox: ProcessSandbox) -> None:
    """A Python that can open nothing does not get up; once it is healed nobody has to wait for its policy."""
    with injected(Descriptors(APP, spare=0), sandbox):
        sandbox.kill(APP, signal.SIGKILL)
        assert eventually(lambda: not sandbox.processes(APP), within=5)
    assert answers(sandbox)


def test_closed_connections_are_opened_again(sandbox: ProcessSandbox) -> None:
    """A restart of the service drops them all; soon as many are held as before."""
    fault = IdleConnections(APP, PORT, 30)
    with injected(fault, sandbox):
        sandbox.restart(APP)
        assert eventually(lambda: fault.receipt(sandbox, 0.0).details["held"] == 30, within=10)


def test_a_program_that_was_killed_holds_nothing(sandbox: ProcessSandbox) -> None:
    """Where somebody ends the program the receipt no longer says that the fault is in force."""
    fault = IdleConnections(APP, PORT, 30)
    with injected(fault, sandbox):
        os.kill(sandbox.spawned("idle_connections-back-9000").pid, signal.SIGKILL)
        assert eventually(lambda: fault.receipt(sandbox, 0.0).in_force is False, within=5)


def test_a_full_redis_turns_one_more_caller_away(sandbox: ProcessSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """At `maxclients` all places are held and a caller is told so; more than there are can't be held, and what was
    refused is not counted as held."""
    if all(status.name != REDIS for status in sandbox.services()):
        pytest.skip("no Redis on this machine")
    fault = IdleConnections(REDIS, 6379, MAX_CLIENTS)
    with injected(fault, sandbox):
        assert eventually(lambda: "turned away" in fault.receipt(sandbox, 0.0).measured, within=5)
        assert fault.receipt(sandbox, 0.0).in_force is True
    monkeypatch.setattr("harness.faults.idle_connections.OPENED", seconds(1))
    too_many = IdleConnections(REDIS, 6379, 5 * MAX_CLIENTS)
    with pytest.raises(InjectFailed, match=r"\d\d of 200 held; one more caller: turned away"):
        too_many.inject(sandbox)
    too_many.heal(sandbox)
    assert eventually(lambda: answers(sandbox, REDIS, 6379), within=5)


def test_a_redis_at_its_memory_limit_refuses_what_is_written(sandbox: ProcessSandbox) -> None:
    """A real Redis: full once filled, well once its database is emptied, and as before once healed."""
    if all(status.name != REDIS for status in sandbox.services()):
        pytest.skip("no Redis on this machine")
    fault, address = RedisFull(REDIS, database=1), sandbox.address(REDIS, 6379)
    assert fault.problems(sandbox) == []
    with injected(fault, sandbox):
        assert "OOM" in fault.receipt(sandbox, 0.0).measured
        converse(address, [("SELECT", "1"), ("FLUSHDB",)])
        assert fault.receipt(sandbox, 0.0).in_force is False
    assert fault.problems(sandbox) == []
    assert converse(address, [("SELECT", "1"), ("DBSIZE",)])[1] == (True, "0")


@pytest.mark.parametrize(
    "fault", [ServiceDown(APP), ServiceDown(APP, how="frozen"), IdleConnections(APP, PORT, 20)], ids=str
)
def test_the_journal_is_enough_to_heal_it(sandbox: ProcessSandbox, fault: Fault) -> None:
    """What a run that died has promised is kept by whoever reads its journal."""
    Journal(sandbox.folder).promise(encode(fault))
    fault.inject(sandbox)
    assert heal(sandbox.folder).healed == (str(fault),)
    assert fault.receipt(sandbox, 0.0).in_force is False
    assert Journal(sandbox.folder).open_promises() == {}


def test_a_sandbox_that_ends_with_faults_in_force_leaves_nothing(state: Path, tmp_path: Path) -> None:
    """Frozen processes, a program of ours and a limit go with the sandbox."""
    with stack(tmp_path) as sandbox:
        for fault in (Descriptors(APP, spare=60), IdleConnections(APP, PORT, 20), ServiceDown(APP, how="frozen")):
            fault.inject(sandbox)
