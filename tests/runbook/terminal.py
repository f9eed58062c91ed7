"""A sandbox of the tests' own, which runs helper processes on this machine and remembers what was asked of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.clock import SystemClock
from harness.errors import NotReady, UsageError
from harness.runbook.shell import Shell, open_shell
from harness.sandbox.base import Address, Exit, ServiceStatus, State


@dataclass(frozen=True, slots=True)
class At:
    """A service and a port, as a topology says it."""

    service: str
    port: int


@dataclass(frozen=True, slots=True)
class Unit:
    """A service manager's unit."""

    service: str
    file: Path | None = None
    environment_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What an operations shell knows."""

    addresses: Mapping[str, At] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    ca: tuple[str, str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    host: Path | None = None


class LocalSandbox:
    """Services that exist in name only, at the addresses given; helper processes are real."""

    name = "local"
    runtime = "fake"
    versions: Mapping[str, str] = {}

    def __init__(self, addresses: Mapping[tuple[str, int], Address] | None = None) -> None:
        self.addresses = dict(addresses or {})
        self.states: dict[str, State] = {"generation": "ready", "nginx": "ready"}
        self.asked: list[tuple[str, str, object]] = []
        self.never_ready: set[str] = set()
        self.texts: dict[str, str] = {}
        self.places: dict[tuple[str, str], Path] = {}
        self._helpers: dict[str, subprocess.Popen[bytes]] = {}

    def address(self, service: str, port: int) -> Address:
        try:
            return self.addresses[service, port]
        except KeyError:
            raise UsageError(f"there is no {service}:{port}") from None

    def services(self) -> Sequence[ServiceStatus]:
        return [
            ServiceStatus(name=name, state=state, addresses={}, identity="42") for name, state in self.states.items()
        ]

    def start(self, service: str) -> None:
        self.asked.append(("start", service, None))
        self.states[service] = "ready"

    def stop(self, service: str) -> None:
        self.asked.append(("stop", service, None))
        self.states[service] = "stopped"

    def restart(self, service: str, environment: Mapping[str, str | None] | None = None) -> None:
        self.asked.append(("restart", service, dict(environment or {})))
        if service in self.never_ready:
            raise NotReady(f"{service} did not become ready")
        self.states[service] = "ready"

    def kill(self, service: str, signal: int, *, stay_down: bool = False) -> None:
        self.asked.append(("kill", service, signal))

    def log(self, service: str) -> str:
        return self.texts.get(service, "")

    def path(self, service: str, inside: str) -> Path:
        return self.places[service, inside]

    def spawn(
        self, name: str, argv: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path
    ) -> Exit:
        with log.open("wb") as out:
            process = subprocess.Popen(
                argv, env=dict(environment), cwd=directory, stdout=out, stderr=out, start_new_session=True
            )
        self._helpers[name] = process
        return Exit(pid=process.pid, status=None)

    def spawned(self, name: str) -> Exit:
        process = self._helpers[name]
        return Exit(pid=process.pid, status=process.poll())

    def end(self, name: str, *, grace: float) -> Exit:
        process = self._helpers[name]
        try:
            process.terminate()
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return Exit(pid=process.pid, status=process.returncode)


@contextmanager
def terminal(
    directory: Path, ground: Ground | None = None, sandbox: LocalSandbox | None = None, scale: float = 1000
) -> Iterator[Shell]:
    """A shell on a LocalSandbox, in a folder with a space in its name."""
    with open_shell(
        sandbox or LocalSandbox(), ground or Ground(), clock=SystemClock(scale), directory=directory / "a shell"
    ) as shell:
        yield shell
