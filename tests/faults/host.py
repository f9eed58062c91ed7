"""A host of pretended services for tests of faults: what callers and the kernel see follows from their states."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SandboxError, UsageError
from harness.model.units import seconds
from harness.probes.probe import Answer
from harness.sandbox.base import Address, Exit, Process, ServiceStatus, Throttling
from harness.testing import FakeService, FakeServices

APP = "app"
PORT = 80


class Host(FakeServices):
    """One service, `app`, of three processes with a restart policy and an HTTP port, and helpers that only pretend.

    `answers` is what callers meet in place of what the service's state says; `held` how many connections a helper
    holds; `frozen` how many processes are frozen, None: all of a paused service, and those `stopped` one by one.
    """

    def __init__(self, **changes: Any) -> None:
        address = Address("127.0.0.1", 17080, "http")
        settings: dict[str, Any] = {
            "policy": True,
            "workers": 2,
            "addresses": {PORT: address},
            "breaks": lambda environment: "BAD" in environment,
        }
        self.answers: Answer | None = None
        self.held: int | None = None
        self.frozen: int | None = None
        self.stopped: set[int] = set()
        self.helpers: dict[str, Exit] = {}
        self.asked_for: Mapping[str, str] = {}
        self.ration: float | None = None
        self.dead = False
        super().__init__({APP: FakeService(**{**settings, **changes})})

    @property
    def app(self) -> FakeService:
        return self.service[APP]

    def services(self) -> Sequence[ServiceStatus]:
        self._known(APP)
        return super().services()

    def address(self, service: str, port: int) -> Address:
        if port not in self._known(service).addresses:
            raise UsageError(f"service {service} has no port {port}")
        return self._known(service).addresses[port]

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        log: Path | None = None,
    ) -> Exit:
        self._known(APP)
        self.asked_for = environment
        self.helpers[name] = Exit(pid=4000, status=None)
        return self.helpers[name]

    def spawned(self, name: str) -> Exit:
        self._known(APP)
        if name not in self.helpers:
            raise UsageError(f"no helper {name!r} was spawned")
        return self.helpers[name]

    def end(self, name: str, *, grace: float) -> Exit:
        self.spawned(name)
        self.helpers[name] = Exit(pid=4000, status=0)
        return self.helpers[name]

    def throttle(self, service: str, cores: float | None) -> None:
        self._known(service)
        self.ration = cores

    def throttling(self, service: str) -> Throttling:
        self._known(service)
        return Throttling(cores=self.ration, held_back=1.5)

    def _known(self, service: str) -> FakeService:
        if self.dead:
            raise SandboxError("the supervisor does not answer", hint="it was killed")
        return super()._known(service)

    # -- what others see -------------------------------------------------------------------------------------------

    def ask(self, address: Address, *, patience: timedelta) -> Answer:
        if self.answers:
            return self.answers
        if self.app.state == "paused":
            return Answer("silent", patience.total_seconds())
        return Answer("answered" if self.app.state == "ready" else "refused", 0.002)

    def count_frozen(self, processes: Sequence[Process]) -> int:
        if self.frozen is not None:
            return self.frozen
        return sum(self.app.state == "paused" or process.pid in self.stopped for process in processes)

    def kill(self, service: str, signal_number: int, *, stay_down: bool = False) -> None:
        super().kill(service, signal_number, stay_down=stay_down)
        if signal_number == signal.SIGCONT:
            self.stopped.clear()

    def descriptors(self, pid: int) -> frozenset[int]:
        count = next((process.open_files for process in self.app.processes if process.pid == pid), 0)
        if count is None:
            raise SandboxError(f"the open files of process {pid} can't be read")
        return frozenset(range(count))

    def established(self, pid: int, port: int) -> int:
        if self.held is None:
            raise SandboxError("the connections of process 4000 can't be read")
        return self.held


def seen_through(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Have the probes of the process faults see `host`, and wait no longer than an instant."""
    for module in ("look", "idle_connections"):
        monkeypatch.setattr(f"harness.faults.{module}.ask", host.ask)
    for module in ("service_down", "worker_frozen"):
        monkeypatch.setattr(f"harness.faults.{module}.count_frozen", host.count_frozen)
    monkeypatch.setattr("harness.faults.worker_frozen.freeze", host.stopped.add)
    monkeypatch.setattr("harness.faults.fullness.same_limit", lambda processes: True)
    monkeypatch.setattr("harness.faults.fullness.descriptors", host.descriptors)
    monkeypatch.setattr("harness.faults.idle_connections.established", host.established)
    for module in ("crash_loop", "fullness", "service_down", "worker_frozen"):
        monkeypatch.setattr(f"harness.faults.{module}.START", seconds(0.01))
    monkeypatch.setattr("harness.faults.idle_connections.OPENED", seconds(0.01))
    return host


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host whose service is well, and the probes' view of it."""
    return seen_through(Host(), monkeypatch)
