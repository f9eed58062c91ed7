"""What the load tests share: a spawner that starts plain processes, and a small server that can freeze."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SERVER = Path(__file__).with_name("server.py")


@dataclass
class LocalProcess:
    """A process of a test's own."""

    pid: int
    status: int | None


@dataclass
class LocalSpawner:
    """Starts helpers as plain children; what a supervisor does in a real run."""

    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def spawn(
        self, name: str, argv: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path
    ) -> LocalProcess:
        with log.open("ab") as output:
            self.running[name] = subprocess.Popen(
                argv,
                env={"PATH": os.environ["PATH"], **environment},
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self.spawned(name)

    def spawned(self, name: str) -> LocalProcess:
        process = self.running[name]
        return LocalProcess(process.pid, process.poll())

    def end(self, name: str, *, grace: float) -> LocalProcess:
        if name not in self.running:
            return LocalProcess(0, None)
        process = self.running[name]
        if process.poll() is None and grace > 0:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        if process.poll() is None:
            process.kill()
            process.wait(5)
        return self.spawned(name)

    def only(self) -> subprocess.Popen[bytes]:
        (process,) = self.running.values()
        return process


@pytest.fixture
def spawner() -> Iterator[LocalSpawner]:
    """A spawner whose processes are gone at the end of the test, whatever happened."""
    spawner = LocalSpawner()
    yield spawner
    for name in spawner.running:
        spawner.end(name, grace=0)


@dataclass
class Server:
    """The test's own web server: a process, so that it can be frozen as a whole."""

    process: subprocess.Popen[bytes]
    url: str

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on a free port of this machine, ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(SERVER), str(port)])
    try:
        _until_open(port)
        yield Server(process, f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait(5)


def _until_open(port: int) -> None:
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    pytest.fail("the test's own server did not come up")
