"""Compose: the sandbox of a compose file in containers, each with what the file says, on an engine of this machine."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness.errors import NotReady, SandboxError, Unsupported, UsageError
from harness.model.units import seconds
from harness.sandbox import constraints
from harness.sandbox.base import Address, Exit, LimitKind, Limits, Link, Process, ServiceStatus, Throttling
from harness.sandbox.cgroups import Cgroup
from harness.sandbox.control import Keeper, PortTakenError, ask, new_folder, raise_supervisor
from harness.sandbox.engine import Engine, Whereabouts, connect
from harness.sandbox.fleet import ComposeFailed, Fleet
from harness.sandbox.images import Say, provide, say_version
from harness.sandbox.layout import Layout
from harness.sandbox.prepare import count_ports
from harness.sandbox.processes import ProcessSandbox, sweep
from harness.sandbox.render import Render
from harness.sandbox.staging import resolve, services_of, stage
from harness.sandbox.topology import Topology
from harness.sandbox.toxiproxy import FarEnd, Toxiproxy

START = seconds(120)  # the longest that a whole sandbox may take; images are had before
_RESTART = seconds(60)


class ComposeSandbox:
    """A running sandbox of containers, in this process's care or somebody else's (`attach`).

    Has the abilities HasOwnAddresses, HasLinks (where the topology names its fault proxy), CanRestart, CanKill,
    HasProcesses, CanLimit, CanThrottle, HasLogs, HasFiles and CanSpawn. What is spawned runs on this machine, beside
    the containers. Safe to use from many threads; holds nothing that needs closing. Every call raises SandboxError
    where the engine is gone.
    """

    runtime = "compose"

    def __init__(self, layout: Layout, *, restart_within: timedelta = _RESTART) -> None:
        self._layout = layout
        self._here = ProcessSandbox(layout)  # its files, and what runs on this machine
        self._fleet = Fleet(layout)
        self._within = restart_within.total_seconds()
        self._constraints = constraints.Constraints(self._fleet)

    def __str__(self) -> str:
        return f"sandbox {self.name} (compose)"

    @property
    def name(self) -> str:
        return self._here.name

    @property
    def folder(self) -> Path:
        """Its own folder, which goes when it ends; the journal of promises belongs here."""
        return self._here.folder

    @property
    def logs(self) -> Path:
        """Where its services' logs go when it ends."""
        return self._here.logs

    @property
    def versions(self) -> Mapping[str, str]:
        return self._here.versions

    @property
    def fleet(self) -> Fleet:
        """Its containers."""
        return self._fleet

    def address(self, service: str, port: int) -> Address:
        """Where the container port `port` of `service` is reached. Raises UsageError for one that is not there.

        That is the loopback port that it is published on; only the fault proxy is met at its container's own address. A
        published port is a proxy itself, which takes the connections that the one behind it refuses.
        """
        if self._layout.proxy and service == self._layout.proxy[0]:
            return self.own_address(service, port)
        return self._here.address(service, port)

    def own_address(self, service: str, port: int) -> Address:
        """That of its container, while that runs: a connection which is open there is open at the service. It may
        change with each start. Raises UsageError for a port that is not there."""
        published = self._here.address(service, port)
        container = self._fleet.of(service)
        if container.state not in ("running", "paused") or not container.address:
            return published
        return Address(container.address, port, published.scheme)

    def services(self) -> Sequence[ServiceStatus]:
        return tuple(self._fleet.statuses())

    # -- HasLinks ----------------------------------------------------------------------------------------------------

    def links(self) -> Sequence[Link]:
        return self._proxy().links()

    def links_to(self, upstream: str) -> Sequence[Link]:
        return tuple(link for link in self.links() if link.upstream_service == upstream)

    def _proxy(self) -> Toxiproxy:
        if self._layout.proxy is None:
            raise Unsupported(
                "this topology has no fault proxy between its services",
                hint="name it in x-gameday: `toxiproxy: SERVICE:PORT`",
            )
        ends = {name: FarEnd(*end) for name, end in self._layout.far_ends.items()}
        return Toxiproxy(self.address(*self._layout.proxy), ends=ends)

    # -- CanRestart, CanKill -----------------------------------------------------------------------------------------

    def start(self, service: str) -> None:
        self._fleet.start(self._known(service), self._within)
        self._constraints.renew(service)

    def stop(self, service: str) -> None:
        self._fleet.stop(self._known(service))

    def restart(self, service: str, environment: Mapping[str, str | None] | None = None) -> None:
        """Stop, then start and wait until ready. `environment` is laid over the topology's own and stays for later
        restarts: its container is made anew for that, and what it had written outside of its mounts is gone. A value of
        None gives that setting back to the topology. Raises NotReady."""
        if environment:
            self._fleet.remake(self._known(service), environment, self._within)
        else:
            self._fleet.stop(self._known(service))
            self._fleet.start(service, self._within)
        self._constraints.renew(service)

    def kill(self, service: str, signal: int, *, stay_down: bool = False) -> None:
        """Send `signal`: SIGKILL, SIGSTOP and SIGCONT reach all processes of the service (the engine pauses and
        unpauses its container), any other its main one. With `stay_down` its policy does not bring it back either,
        until somebody starts or restarts it; then it is no error that it does not run."""
        self._fleet.signal(self._known(service), int(signal), stay_down=stay_down)

    # -- HasProcesses, CanLimit --------------------------------------------------------------------------------------

    def processes(self, service: str) -> Sequence[Process]:
        """Those that run now, by their pids on this machine, the main one first; empty where it does not run."""
        return tuple(self._fleet.processes(self._known(service)))

    def limit(self, service: str, limits: Limits) -> None:
        """Limit all its processes, those of later starts too; a kind that is None stays as it is. Raises UsageError for
        what this machine does not have."""
        self._constraints.order(self._known(service), limits)

    def lift(self, service: str, *kinds: LimitKind) -> None:
        """Take back what was ordered of these kinds, and give back what was there: for memory, what the topology says.
        The other kinds stay."""
        self._constraints.lift(self._known(service), kinds)

    def limits(self, service: str) -> Limits:
        """What the kernel really has in force, the topology's own memory limit too. Raises SandboxError where it does
        not run."""
        return self._constraints.in_force(self._known(service))

    def throttle(self, service: str, cores: float | None) -> None:
        """Give all its processes together at most `cores` of CPU time, those of later starts too; None takes that back.
        Raises UsageError where the compose file has `cpus` for it."""
        self._constraints.throttle(self._known(service), cores)

    def throttling(self, service: str) -> Throttling:
        """What the kernel really has in force. Raises SandboxError where it does not run."""
        return self._constraints.throttling(self._known(service))

    def cpu_seconds(self) -> float:
        """What its containers have used so far; grows only, whatever becomes of them."""
        return self._constraints.cpu_seconds()

    # -- HasLogs, HasFiles, CanSpawn ---------------------------------------------------------------------------------

    def log(self, service: str) -> str:
        """What the service, or a helper without a log of its own, has written to its output. Raises SandboxError where
        its log can't be read."""
        return self._fleet.log(service) if service in self._fleet.facts else self._here.log(service)

    def path(self, service: str, inside: str) -> Path:
        """Where the path `inside` the service is here. Raises UsageError where it lies in none of its mounts."""
        return self._here.path(service, inside)

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        log: Path | None = None,
    ) -> Exit:
        """Run a helper under the supervisor, on this machine; see `ProcessSandbox.spawn`."""
        return self._here.spawn(name, argv, environment=environment, directory=directory, log=log)

    def spawned(self, name: str) -> Exit:
        return self._here.spawned(name)

    def end(self, name: str, *, grace: float) -> Exit:
        return self._here.end(name, grace=grace)

    def _known(self, service: str) -> str:
        if service not in self._fleet.facts:
            there = ", ".join(self._fleet.facts)
            raise UsageError(f"there is no service {service!r} in this sandbox", hint=f"there are: {there}")
        return service


@contextmanager
def open_sandbox(
    topology: Topology,
    *,
    render: Render,
    logs: Path,
    environ: Mapping[str, str],
    say: Say,
    detached: bool = False,
    name: str | None = None,
    environment: Mapping[str, Mapping[str, str]] | None = None,
    start_within: timedelta = START,
) -> Iterator[ComposeSandbox]:
    """Start every service of `topology` in a container and yield the sandbox once all are ready; end it with the block.

    As `processes.open_sandbox`, which see; `environ` is the caller's environment: it names the engine and fills the
    file's variables. Raises UsageError (all problems at once, nothing started), NotReady (with the last log lines),
    SandboxError.
    """
    sweep()
    with connect(environ) as engine:
        for attempt in (1, 2):
            folder = new_folder(name, topology.name)
            plan = _Plan(topology, folder, logs.absolute(), render, environment or {}, start_within.total_seconds())
            resolved = resolve(topology, _project(folder), environ)
            services_of(topology, resolved)
            provide(engine, resolved["services"], environ, say)
            plan.logs.mkdir(parents=True, exist_ok=True)
            keeper = raise_supervisor(folder, topology.path)
            try:
                sandbox = plan.fill(keeper, resolved, engine)
            except PortTakenError:
                keeper.end()
                if attempt == 2:
                    raise
                continue
            except BaseException as broken:
                _end_after(broken, keeper)
                raise
            break
    try:
        yield sandbox
    except BaseException as broken:
        sandbox.fleet.keep_logs(sandbox.logs)
        _end_after(broken, keeper)
        raise
    if detached:
        keeper.detach()
        return
    sandbox.fleet.keep_logs(sandbox.logs)
    keeper.end()


def _end_after(broken: BaseException, keeper: Keeper) -> None:
    """End the sandbox after something went wrong, which stays the news: trouble with the end is only added to it."""
    try:
        keeper.end()
    except SandboxError as odd:
        broken.add_note(str(odd))


def _project(folder: Path) -> str:
    """A name that no other sandbox's containers have: sandboxes of other state folders may be called the same."""
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:6]
    return f"gd-{folder.name.lower().strip('-_')}-{digest}"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is wanted of one sandbox."""

    topology: Topology
    folder: Path
    logs: Path
    render: Render
    environment: Mapping[str, Mapping[str, str]]
    within: float

    def fill(self, keeper: Keeper, resolved: Mapping[str, Any], engine: Engine) -> ComposeSandbox:
        """Write the sandbox's files, and have everything started."""
        folder, services = keeper.folder, services_of(self.topology, resolved)
        deadline = time.monotonic() + self.within
        ports = ask(folder, "reserve", count=count_ports(services))["ports"]
        images = {name: str(service["image"]) for name, service in resolved["services"].items()}
        built = {images[name] for name, service in resolved["services"].items() if service.get("build")}
        staged = stage(
            self.topology,
            resolved,
            services,
            folder=folder,
            logs=self.logs,
            ports=ports,
            render=self.render,
            overrides=self.environment,
            versions={name: say_version(engine, tag, built=tag in built) for name, tag in images.items()},
            api_version=engine.api_version,
        )
        try:
            staged.write()
            # Before there is anything that it would have to be cleaned up by.
            Whereabouts(host=engine.host, project=resolved["name"], api_version=engine.api_version).save(folder)
        except OSError as odd:
            raise SandboxError(f"the files of sandbox {folder.name} can't be written: {odd}") from odd
        ask(folder, "launch", plans=[], within=1.0, events=str(self.logs / "supervisor.jsonl"))
        ask(folder, "let_go", ports=ports)
        sandbox = ComposeSandbox(staged.prepared.layout)
        start_all(sandbox.fleet, deadline)
        _check_reach(sandbox.fleet)
        return sandbox


def start_all(fleet: Fleet, deadline: float) -> None:
    """Start all, each as its dependencies allow, and wait until every one is ready. Raises NotReady, of which
    PortTakenError is worth another try."""
    try:
        fleet.compose_up([], deadline)
    except ComposeFailed as odd:
        if "port is already allocated" in str(odd) or "address already in use" in str(odd):
            raise PortTakenError(f"a port was taken{odd}", hint="try again") from odd
        fleet.complain(deadline)  # the service that failed says more than Compose does
        raise NotReady(f"`docker compose up` failed{odd}", hint="`docker events` shows what the engine did") from odd
    for service in fleet.facts:
        fleet.until_ready(service, deadline)


def _check_reach(fleet: Fleet) -> None:
    """An engine behind a socket that was led here from another machine looks like one of this machine."""
    for service, facts in fleet.facts.items():
        if not facts.oneshot:
            container, pid = fleet.of(service), fleet.main(service)
            group = Cgroup.of(pid) if pid else None
            if group is None or not any(container.id in str(path) for path in group.paths.values()):
                raise UsageError(
                    "the containers' processes are not to be seen here: the engine runs on another machine, or gameday"
                    " itself in a container",
                    hint="run gameday on the engine's machine, or use --runtime processes",
                )
            return
