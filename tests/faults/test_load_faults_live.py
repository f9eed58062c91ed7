"""Faults by load, locks and misbehaving stubs on real processes: each takes hold in its size, and goes once healed."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.errors import InjectFailed
from harness.faults import (
    Answered,
    Cpu,
    CpuNeighbour,
    DatabaseLock,
    Fault,
    HeavyRequests,
    HttpProbe,
    Locked,
    Memory,
    UpstreamMisbehaves,
    encode,
)
from harness.journal import Journal
from harness.model.units import seconds
from harness.rollback import heal
from harness.sandbox.processes import ProcessSandbox, open_sandbox
from tests.sandbox.conftest import module_state
from tests.sandbox.stack import eventually, write_stack

__all__ = ["module_state"]  # a fixture

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
APP, PORT, FILE = "back", 9000, "/data/app.db"
TWO_CORES = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="one core: it says so itself"
)

WORKER = """
import http.server, sqlite3, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        what, status = self.path.strip("/"), 200
        if what == "burn":
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                pass
        elif what == "hold":
            held = bytearray(24 << 20)
            held[::4096] = b"x" * len(held[::4096])
            time.sleep(1)
        elif what == "report":
            database = sqlite3.connect(sys.argv[2], isolation_level=None)
            database.execute("BEGIN IMMEDIATE")
            time.sleep(2)
            database.close()
        elif what == "wait":
            time.sleep(1)
        elif what == "no":
            status = 429
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass

with sqlite3.connect(sys.argv[2]) as database:
    database.execute("CREATE TABLE IF NOT EXISTS rows (x)")
database.close()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
STUB = (
    "import sys, uvicorn; from fixtures.fake_llm.app import build;"
    "uvicorn.run(build(sys.argv[1], 0.02), port=int(sys.argv[2]), log_level='warning')"
)


def change(services: dict[str, Any]) -> None:
    del services["seed"], services["front"]
    services[APP] = {
        "image": APP,
        "restart": "unless-stopped",
        "volumes": ["shared:/data"],
        "mem_limit": "256m",
        "ports": [{"target": PORT, "app_protocol": "http"}],
        "x-process": {
            "command": ["{python}", "worker.py", "{port:9000}", FILE],
            "ready": {"http": "/", "port": PORT},
        },
    }
    for name in ("openai", "anthropic"):
        services[name] = {
            "image": "stub",
            "ports": [{"target": 8443, "app_protocol": "http"}],
            "x-process": {
                "command": ["{python}", "-c", STUB, name, "{port:8443}"],
                "ready": {"http": "/health", "port": 8443},
            },
        }


@pytest.fixture(scope="module")
def sandbox(module_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessSandbox]:
    folder = tmp_path_factory.mktemp("a stack")
    (folder / "worker.py").write_text(WORKER)
    with open_sandbox(write_stack(folder, change), parts={}, render={}, logs=folder / "logs") as up:
        yield up


@pytest.fixture(autouse=True)
def _quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else uses these services: shorter looks are as good."""
    monkeypatch.setattr("harness.probes.lock_probe._PAUSE", 0.01)
    monkeypatch.setattr("harness.probes.cpu.WINDOW", seconds(0.3))
    monkeypatch.setattr("harness.probes.misbehaviour.ALLOWANCE", seconds(0.4))


@contextmanager
def injected(fault: Fault, sandbox: ProcessSandbox) -> Iterator[None]:
    try:
        fault.inject(sandbox)
        yield
    finally:
        fault.heal(sandbox)


def takes_hold_and_goes(fault: Fault, sandbox: ProcessSandbox) -> None:
    assert fault.problems(sandbox) == []
    before = fault.receipt(sandbox, 0.0)
    assert before.in_force is False, before
    with injected(fault, sandbox):
        for _ in range(2):
            during = fault.receipt(sandbox, 0.0)
            assert during.in_force is True, during
    fault.heal(sandbox)
    # What a service has taken on it may still finish.
    assert eventually(lambda: fault.receipt(sandbox, 0.0).in_force is False, within=5), fault.receipt(sandbox, 0.0)
    assert fault.problems(sandbox) == []


# -- locks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("mode", ["exclusive", "write", "read"])
def test_a_lock_takes_hold_and_goes(
    sandbox: ProcessSandbox, journal: str, mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either journal mode; a lock that only keeps a log from being checkpointed needs something in the log."""
    file = sandbox.path(APP, FILE)
    fault = DatabaseLock(APP, FILE, mode=mode)
    with closing(sqlite3.connect(file, isolation_level=None)) as service:
        service.execute(f"PRAGMA journal_mode={journal}")
        if journal == "wal" and mode == "read":
            monkeypatch.setattr("harness.faults.database_lock.TAKES_AT_MOST", seconds(0.5))
            with pytest.raises(InjectFailed):
                fault.inject(sandbox)
            service.execute("INSERT INTO rows VALUES (1)")
            during = fault.receipt(sandbox, 0.0)
            assert during.in_force is True, during
            fault.heal(sandbox)
            assert fault.receipt(sandbox, 0.0).in_force is False
        else:
            takes_hold_and_goes(fault, sandbox)
        service.execute("PRAGMA journal_mode=delete")


def test_a_restart_of_the_service_does_not_end_a_lock(sandbox: ProcessSandbox) -> None:
    """The holder is another process; killed by somebody, it is seen to be gone."""
    fault = DatabaseLock(APP, FILE, mode="write")
    with injected(fault, sandbox):
        sandbox.restart(APP)
        assert fault.receipt(sandbox, 0.0).in_force is True
        os.kill(sandbox.spawned(fault._program.name).pid, signal.SIGKILL)
        assert eventually(lambda: fault.receipt(sandbox, 0.0).in_force is False, within=5)


def test_a_dead_harness_leaves_nothing_of_a_fault(sandbox: ProcessSandbox) -> None:
    """What the journal promises is healed by another process, as by `gameday rollback`."""
    fault = DatabaseLock(APP, FILE)
    Journal(sandbox.folder).promise(encode(fault))
    fault.inject(sandbox)
    healing = heal(sandbox.folder)
    assert healing.healed == (str(fault),), healing
    assert fault.receipt(sandbox, 0.0).in_force is False


# -- CPU and memory --------------------------------------------------------------------------------------------------


@TWO_CORES
def test_a_neighbour_takes_hold_and_goes(sandbox: ProcessSandbox) -> None:
    """Burners share the service's one core, and leave no process and no pin behind."""
    takes_hold_and_goes(CpuNeighbour(APP, burners=4), sandbox)
    assert len(os.sched_getaffinity(sandbox.processes(APP)[0].pid)) == len(os.sched_getaffinity(0))


@TWO_CORES
def test_a_neighbour_is_told_from_half_a_neighbour(sandbox: ProcessSandbox) -> None:
    """A restarted service is crowded again; a burner that somebody ended, or a service let go, is seen."""
    fault = CpuNeighbour(APP, burners=3)
    with injected(fault, sandbox):
        sandbox.restart(APP)
        assert eventually(lambda: fault.receipt(sandbox, 0.0).in_force, within=5), fault.receipt(sandbox, 0.0)
        parent = sandbox.spawned(fault._program.name).pid
        burners = psutil.Process(parent).children()
        os.sched_setaffinity(sandbox.processes(APP)[0].pid, os.sched_getaffinity(0))
        assert fault.receipt(sandbox, 0.0).in_force is None
        fault.heal(sandbox)
        assert eventually(lambda: not any(one.is_running() for one in burners), within=5)
    with injected(fault, sandbox):
        parent = sandbox.spawned(fault._program.name).pid
        os.kill(psutil.Process(parent).children()[0].pid, signal.SIGKILL)  # it dies once it gets the core
        assert eventually(lambda: fault.receipt(sandbox, 0.0).in_force is None, within=5), fault.receipt(sandbox, 0.0)
        burners = psutil.Process(parent).children()
        os.kill(parent, signal.SIGKILL)  # burners that lose their parent end by themselves
        assert eventually(lambda: not any(one.is_running() for one in burners), within=5)


def test_work_of_its_own_takes_its_cpu(sandbox: ProcessSandbox) -> None:
    """Requests that compute are seen in the CPU of the service itself."""
    takes_hold_and_goes(HeavyRequests(APP, PORT, "/burn", 4, Cpu(0.4), method="GET"), sandbox)


def test_work_of_its_own_takes_its_memory(sandbox: ProcessSandbox) -> None:
    """Requests that hold documents are seen in the memory of the service, against its own limit."""
    takes_hold_and_goes(HeavyRequests(APP, PORT, "/hold", 4, Memory(0.3), method="GET"), sandbox)


def test_a_transaction_of_its_own_locks_its_database(sandbox: ProcessSandbox) -> None:
    """A long write of the service is seen by others of the file, and ends with the request."""
    takes_hold_and_goes(HeavyRequests(APP, PORT, "/report", 2, Locked(FILE), method="GET"), sandbox)


def test_requests_that_are_taken_are_told_from_those_turned_away(
    sandbox: ProcessSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open requests are counted by the kernel; a service that refuses them is not under pressure."""
    takes_hold_and_goes(HeavyRequests(APP, PORT, "/wait", 6, Answered(), method="GET"), sandbox)
    refused = HeavyRequests(APP, PORT, "/no", 6, Answered(), method="GET")
    monkeypatch.setattr("harness.faults.heavy_requests.BUILDS_UP", seconds(4))
    try:
        with pytest.raises(InjectFailed, match="of 6 requests open") as failed:
            refused.inject(sandbox)
        assert "x status 429" in str(failed.value)
    finally:
        refused.heal(sandbox)


# -- stubs -----------------------------------------------------------------------------------------------------------

CHAT = {
    "openai": HttpProbe(
        path="/v1/chat/completions",
        headers={"Authorization": "Bearer sk-x", "Content-Type": "application/json"},
        body='{"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}',
        says='"content": *"',
    ),
    "anthropic": HttpProbe(
        path="/v1/messages",
        headers={"x-api-key": "sk-ant-x", "anthropic-version": "2023-06-01", "Content-Type": "application/json"},
        body='{"model": "claude-3-5-haiku-latest", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}',
        says='"text": *"',
    ),
}
WAYS = ("rate-limited", "server-error", "overloaded", "slow-first-token", "stall", "cut", "malformed")


@pytest.mark.parametrize(
    ("how", "streamed"), [*((how, False) for how in WAYS), *((how, True) for how in WAYS[3:])], ids=str
)
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_each_misbehaviour_takes_hold_and_goes(
    sandbox: ProcessSandbox, provider: str, how: Any, streamed: bool
) -> None:
    """Every way, of either provider, whole or streamed, is met by a caller of the stub and is gone at once."""
    probe = CHAT[provider]
    if streamed:
        says = '"content": *"' if provider == "openai" else '"text": *"'
        probe = HttpProbe(path=probe.path, headers=probe.headers, body=probe.body[:-1] + ', "stream": true}', says=says)
    takes_hold_and_goes(UpstreamMisbehaves(provider, how, probe, delay=seconds(0.5)), sandbox)


def test_a_share_of_the_answers_misbehaves(sandbox: ProcessSandbox) -> None:
    """Every other one: the probe asks until it meets one."""
    fault = UpstreamMisbehaves("openai", "server-error", CHAT["openai"], share=0.5)
    takes_hold_and_goes(fault, sandbox)


def test_a_restarted_stub_behaves(sandbox: ProcessSandbox) -> None:
    """What it was told went with it: the receipt says so, and healing is no error."""
    fault = UpstreamMisbehaves("openai", "server-error", CHAT["openai"])
    with injected(fault, sandbox):
        sandbox.restart("openai")
        assert fault.receipt(sandbox, 0.0).in_force is False
        sandbox.stop("openai")
        assert fault.receipt(sandbox, 0.0).in_force is None
        fault.heal(sandbox)
        sandbox.start("openai")


def test_what_a_stub_has_answered_is_its_traffic(sandbox: ProcessSandbox) -> None:
    """Answers count, whatever they are; looking at its state and health does not."""
    fault = UpstreamMisbehaves("openai", "server-error", CHAT["openai"])
    first = fault.traffic(sandbox)
    assert (
        HttpProbe(path="/health", method="GET").ask(sandbox.address("openai", 8443), patience=seconds(2)).status == 200
    )
    assert fault.traffic(sandbox) == first
    fault.receipt(sandbox, 0.0)
    with injected(fault, sandbox):
        fault.receipt(sandbox, 0.0)
    assert fault.traffic(sandbox) == (first or 0) + 2
