"""Sandbox: what a scenario may ask of the system under test, as small abilities.

A sandbox always has a name, a topology and addresses. Everything else is an ability, a protocol of its own: a fault
or a mitigation asks for the ones it needs, and `require` says which are missing before anything starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from harness.errors import Unsupported

State = Literal["starting", "ready", "running", "paused", "exited", "stopped", "failed"]


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A TCP address as the harness reaches it. `scheme` is the application protocol: http, https, redis or tcp."""

    host: str
    port: int
    scheme: str = "tcp"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service as `gameday status` shows it. `addresses` maps container ports to where they are reached;
    `identity` is a pid or a container id; `detail` an exit status or the reason of a failure; `starts` how often it has
    been started so far, by whomever."""

    name: str
    state: State
    addresses: Mapping[int, Address]
    identity: str
    unit: str = ""
    version: str = ""
    detail: str = ""
    starts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """One proxied link as its fault proxy describes it. `toxics` are in the proxy's own JSON form."""

    name: str
    listen: Address
    upstream: str
    enabled: bool
    toxics: tuple[Mapping[str, Any], ...] = ()


class Link(Protocol):
    """One link between two services, led through a fault proxy. Every call talks to the proxy: nothing is cached.

    All calls raise SandboxError where the proxy does not answer.
    """

    @property
    def name(self) -> str: ...

    @property
    def upstream_service(self) -> str:
        """The service at its far end, by its name in the topology."""
        ...

    @property
    def address(self) -> Address:
        """Where its callers connect, as the harness reaches it, with the upstream's scheme."""
        ...

    def status(self) -> LinkStatus: ...

    def disable(self) -> None:
        """Refuse new connections and cut the open ones."""
        ...

    def enable(self) -> None: ...

    def cut(self) -> None:
        """Close every open connection; new ones are taken again at once. The link must be enabled, and stays so."""
        ...

    def add_toxic(
        self,
        kind: str,
        *,
        name: str,
        attributes: Mapping[str, int],
        stream: Literal["upstream", "downstream"] = "downstream",
        toxicity: float = 1.0,
    ) -> None:
        """Add a toxic. An attribute that `kind` does not have raises UsageError (the server would ignore it)."""
        ...

    def remove_toxic(self, name: str) -> None:
        """Take a toxic out; one that is not there is no error. A removal that hangs recreates the proxy."""
        ...

    def bytes_passed(self) -> int:
        """Bytes that the proxy has carried on this link, both ways, since it started. A proxy may count a connection
        only once it has ended (Toxiproxy 2.12 does): after `cut` or `disable` the count is whole."""
        ...


@runtime_checkable
class Sandbox(Protocol):
    """The system under test while it runs."""

    @property
    def name(self) -> str:
        """The sandbox's own id, unique on this machine."""
        ...

    @property
    def runtime(self) -> str:
        """`processes`, `compose` or `external`."""
        ...

    @property
    def versions(self) -> Mapping[str, str]:
        """Each part and which one it is: `prometheus` -> `2.42.0 (Debian package)`."""
        ...

    def address(self, service: str, port: int) -> Address:
        """Where `service`'s container port `port` is reached. Raises UsageError for one that is not there."""
        ...

    def services(self) -> Sequence[ServiceStatus]: ...


@runtime_checkable
class HasOwnAddresses(Protocol):
    """Services stand behind something of the runtime's that takes connections in their place."""

    def own_address(self, service: str, port: int) -> Address:
        """Where the service itself takes connections. It may change with each of its starts. Raises UsageError for a
        port that is not there."""
        ...


def direct(sandbox: Sandbox, service: str, port: int) -> Address:
    """Where `service` itself takes connections: what is open there is open at the service. Raises UsageError."""
    if isinstance(sandbox, HasOwnAddresses):
        return sandbox.own_address(service, port)
    return sandbox.address(service, port)


@runtime_checkable
class HasLinks(Protocol):
    """Links between services can be broken."""

    def links(self) -> Sequence[Link]: ...

    def links_to(self, upstream: str) -> Sequence[Link]:
        """All links whose far end is the service `upstream`; empty where none is."""
        ...


@runtime_checkable
class CanRestart(Protocol):
    """A service can be stopped, started and restarted as its service manager would."""

    def start(self, service: str) -> None: ...

    def stop(self, service: str) -> None: ...

    def restart(self, service: str, environment: Mapping[str, str | None] | None = None) -> None:
        """Stop, then start and wait until ready; `environment` is laid over the topology's own and stays for later
        restarts. A value of None gives that setting back to the topology. Raises NotReady."""
        ...


@runtime_checkable
class CanKill(Protocol):
    """A service's processes can be sent a signal, as by `kill -9`; nothing restarts it but its own policy."""

    def kill(self, service: str, signal: int, *, stay_down: bool = False) -> None:
        """Send `signal`: SIGKILL, SIGSTOP and SIGCONT to all processes of the service, any other to its main one. With
        `stay_down` its policy does not bring it back either, until somebody starts or restarts it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of a service as it is now. `started` tells it from every other that ever had its pid; `resident` is
    in bytes (its share of what is shared, where that can be read), `cpu_seconds` what it has used since it began;
    `open_files` is None where it can't be read."""

    pid: int
    started: str
    parent: int
    command: str
    resident: int
    cpu_seconds: float
    open_files: int | None


@runtime_checkable
class HasProcesses(Protocol):
    """A service's processes can be looked at."""

    def processes(self, service: str) -> Sequence[Process]:
        """Those that run now, the main one first; empty where it does not run."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a service may use; None leaves a kind unlimited. `cores` are the CPUs that it may run on, `open_files` is
    the most that each of its processes may hold open, `memory` the bytes that all of them may use together."""

    cores: frozenset[int] | None = None
    open_files: int | None = None
    memory: int | None = None


LimitKind = Literal["cores", "open_files", "memory"]  # the fields of Limits


@runtime_checkable
class CanLimit(Protocol):
    """What a service may use can be limited while it runs."""

    def limit(self, service: str, limits: Limits) -> None:
        """Limit all its processes, those of later starts too; a kind that is None stays as it is. Raises UsageError for
        what this machine does not have."""
        ...

    def lift(self, service: str, *kinds: LimitKind) -> None:
        """Take back what was ordered of these kinds, and give back what was there; the other kinds stay."""
        ...

    def limits(self, service: str) -> Limits:
        """What is really in force on its live processes, read from them. A kind on which they differ, or that nothing
        limits, is None. Raises SandboxError where it does not run."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttling:
    """How a service's CPU time is rationed: at most `cores` on average (None: no ration), by which its threads were
    `held_back` for so many seconds since its present start."""

    cores: float | None
    held_back: float


@runtime_checkable
class CanThrottle(Protocol):
    """The CPU time of a service can be rationed while it runs (sched-bwc of the kernel's documents)."""

    def throttle(self, service: str, cores: float | None) -> None:
        """Give all its processes together at most `cores`, those of later starts too; None takes the ration back.
        Raises UsageError where the topology rations it already."""
        ...

    def throttling(self, service: str) -> Throttling:
        """What the kernel really has in force. Raises SandboxError where the service does not run."""
        ...


@runtime_checkable
class HasLogs(Protocol):
    """The output of a service can be read, and that of a helper that was spawned without a log of its own."""

    def log(self, service: str) -> str: ...


@runtime_checkable
class HasFiles(Protocol):
    """A path inside a service (`certs:/certs/ca.pem`) can be reached from here."""

    def path(self, service: str, inside: str) -> Path: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process that the sandbox ran for us ended; `status` is negative for a signal, None while it runs."""

    pid: int
    status: int | None


@runtime_checkable
class CanSpawn(Protocol):
    """A helper process of ours (the load generator, an operations shell) can run under the sandbox's supervisor, so
    that it ends with the sandbox even where the harness is killed."""

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        log: Path | None = None,
    ) -> Exit:
        """Start it. Without `log` its output is kept beside the services' own, as `NAME.log`. Raises UsageError where
        one of that name runs, SandboxError where it can't be started."""
        ...

    def spawned(self, name: str) -> Exit: ...

    def end(self, name: str, *, grace: float) -> Exit:
        """Ask it to end (SIGTERM), wait `grace` seconds, then SIGKILL its process group; safe to call twice."""
        ...


def require(sandbox: object, *abilities: type) -> None:
    """Raise Unsupported, naming every ability of `abilities` that `sandbox` lacks."""
    missing = [ability.__name__ for ability in abilities if not isinstance(sandbox, ability)]
    if missing:
        raise Unsupported(
            f"this sandbox ({getattr(sandbox, 'runtime', '?')}) lacks: {', '.join(missing)}",
            hint="choose another runtime with --runtime, or a fault that does without",
        )
