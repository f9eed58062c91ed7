"""Processes: the sandbox of a compose file as plain local processes, without containers and without root."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness.errors import SandboxError, Unsupported, UsageError
from harness.model.timeline import Event
from harness.model.units import seconds
from harness.sandbox.base import Address, Exit, LimitKind, Limits, Link, Process, ServiceStatus
from harness.sandbox.control import (
    QUICK,
    Keeper,
    PortTakenError,
    ask,
    call_rollback,
    end_within,
    new_folder,
    raise_supervisor,
)
from harness.sandbox.layout import Layout
from harness.sandbox.prepare import PartLike, clean_environment, count_ports, prepare, startable
from harness.sandbox.render import Render, Rewriter, environment
from harness.sandbox.service import Service
from harness.sandbox.state import State, folder_of, folders, is_dead, read_state, states
from harness.sandbox.topology import Topology
from harness.sandbox.toxiproxy import FarEnd, Toxiproxy

START = seconds(30)  # the longest that a whole sandbox, or one service's restart, may take
_STOP = 30.0  # wall seconds, above every service's own grace


class ProcessSandbox:
    """A running sandbox of plain processes, in this process's care or somebody else's (`attach`).

    Has the abilities HasLinks (where the topology names its fault proxy), CanRestart, CanKill, HasProcesses, CanLimit,
    HasLogs, HasFiles and CanSpawn. Safe to use from many threads; holds nothing that needs closing. Every call raises
    SandboxError where the supervisor is gone.
    """

    runtime = "processes"

    def __init__(self, layout: Layout, *, start_within: timedelta = START) -> None:
        self._layout = layout
        self._within = start_within.total_seconds()

    def __str__(self) -> str:
        return f"sandbox {self.name} (processes)"

    @property
    def name(self) -> str:
        return self._layout.folder.name

    @property
    def folder(self) -> Path:
        """Its own folder, which goes when it ends; the journal of promises belongs here."""
        return self._layout.folder

    @property
    def logs(self) -> Path:
        """Where its services' logs are."""
        return self._layout.logs

    @property
    def versions(self) -> Mapping[str, str]:
        return self._layout.versions

    def address(self, service: str, port: int) -> Address:
        """Where the container port `port` of `service` is reached. Raises UsageError for one that is not there."""
        self._known(service)
        address = self._layout.address(service, port)
        if address is None:
            has = ", ".join(map(str, self._layout.addresses(service))) or "none"
            raise UsageError(f"service {service} has no port {port}", hint=f"it has: {has}")
        return address

    def services(self) -> Sequence[ServiceStatus]:
        return tuple(
            ServiceStatus(
                name=raw["name"],
                state=raw["state"],
                addresses=self._layout.addresses(raw["name"]),
                identity=str(raw["pid"] or ""),
                unit=self._layout.units.get(raw["name"], ""),
                version=self._layout.version_of.get(raw["name"], ""),
                detail=raw["detail"],
                starts=raw["starts"],
            )
            for raw in self._ask("status")["services"]
        )

    def events(self, since: int = 0) -> tuple[Event, ...]:
        """What happened to its processes, oldest first, the first `since` left out: `service.started`, `.ready`,
        `.exited` (with `status`), `.restarting`, `.signalled`, `.oom-killed`, `helper.started`, `supervisor.…`."""
        return tuple(Event(**raw) for raw in self._ask("events", since=since)["events"])

    # -- HasLinks --------------------------------------------------------------------------------------------------

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
        self._ask("start", service=self._known(service), within=self._within, timeout=self._within + _STOP)

    def stop(self, service: str) -> None:
        self._ask("stop", service=self._known(service), timeout=_STOP + self._within)

    def restart(self, service: str, environment: Mapping[str, str | None] | None = None) -> None:
        """Stop, then start and wait until ready; `environment` is laid over the topology's own and stays for later
        restarts. Addresses in it are rewritten as the topology's own are. A value of None gives that setting back to
        the topology. Raises NotReady."""
        given = self._rewritten(self._known(service), environment) if environment else None
        self._ask("restart", service=service, environment=given, within=self._within, timeout=self._within + 2 * _STOP)

    def _rewritten(self, service: str, given: Mapping[str, str | None]) -> dict[str, str | None]:
        rewriter = Rewriter(service, self._layout.ground)
        done = environment({name: v for name, v in given.items() if v is not None}, rewriter, sys.executable)
        if rewriter.problems:
            raise UsageError(f"service {service} can't be given this environment", problems=rewriter.problems)
        return {name: done.get(name) for name in given}

    def kill(self, service: str, signal: int, *, stay_down: bool = False) -> None:
        """Send `signal`: SIGKILL, SIGSTOP and SIGCONT to all processes of the service, any other to its main one. With
        `stay_down` its policy does not bring it back either, until somebody starts or restarts it; then it is no error
        that it does not run, because it was just about to be brought back, say."""
        self._ask("kill", service=self._known(service), signal=int(signal), stay_down=stay_down)

    # -- HasProcesses, CanLimit --------------------------------------------------------------------------------------

    def processes(self, service: str) -> Sequence[Process]:
        """Those that run now, the main one first; empty where it does not run."""
        return tuple(Process(**raw) for raw in self._ask("processes", service=self._known(service))["processes"])

    def limit(self, service: str, limits: Limits) -> None:
        """Limit all its processes, those of later starts too; a kind that is None stays as it is. Raises UsageError for
        what this machine does not have."""
        cores = None if limits.cores is None else sorted(limits.cores)
        known = self._known(service)
        self._ask("limit", service=known, cores=cores, open_files=limits.open_files, memory=limits.memory)

    def lift(self, service: str, *kinds: LimitKind) -> None:
        """Take back what was ordered of these kinds, and give back what was there: for memory, what the topology says.
        The other kinds stay."""
        self._ask("lift", service=self._known(service), kinds=kinds)

    def limits(self, service: str) -> Limits:
        """What is really in force on its live processes, the topology's own memory limit too. Raises SandboxError where
        it does not run."""
        raw = self._ask("limits", service=self._known(service))
        cores = None if raw["cores"] is None else frozenset(raw["cores"])
        return Limits(cores=cores, open_files=raw["open_files"], memory=raw["memory"])

    # -- HasLogs, HasFiles -------------------------------------------------------------------------------------------

    def log(self, service: str) -> str:
        """What the service, or a helper without a log of its own, has written to its output. Raises SandboxError where
        its log can't be read."""
        path = self._layout.logs / f"{service}.log"
        if "/" in service or not path.exists():  # no helper's either
            self._known(service)
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        except OSError as odd:
            raise SandboxError(f"the log {path} can't be read: {odd}") from odd

    def path(self, service: str, inside: str) -> Path:
        """Where the path `inside` the service is here. Raises UsageError where it lies in none of its mounts."""
        outside = self._layout.ground.outside(self._known(service), inside)
        if outside is None:
            mounts = ", ".join(self._layout.ground.mounts[service]) or "none"
            raise UsageError(f"{inside} lies in no mount of {service}", hint=f"its mounts: {mounts}")
        return outside

    # -- CanSpawn ----------------------------------------------------------------------------------------------------

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        log: Path | None = None,
    ) -> Exit:
        """Run a helper under the supervisor. It starts from a clean environment (PATH, LANG, a HOME of its own) with
        `environment` laid over it. Raises UsageError if a helper of that name runs, SandboxError if it can't start."""
        if not re.fullmatch(r"[\w-][\w.:-]*", name):
            raise UsageError(f"{name!r} can't name a helper", hint="letters, digits, dashes, dots and colons")
        home = self.folder / "helpers" / name
        try:
            (home / "tmp").mkdir(parents=True, exist_ok=True)
        except OSError as odd:
            raise SandboxError(f"no folder for the helper {name}: {odd}") from odd
        base = clean_environment(home, Path(__file__).parents[2], self.folder)
        raw = self._ask(
            "spawn",
            name=name,
            argv=list(map(str, argv)),
            environment={**base, **environment},
            directory=str(directory),
            log=str((log or self._layout.logs / f"{name}.log").absolute()),
        )
        return Exit(pid=raw["pid"], status=raw["status"])

    def spawned(self, name: str) -> Exit:
        raw = self._ask("spawned", name=name)
        return Exit(pid=raw["pid"], status=raw["status"])

    def end(self, name: str, *, grace: float) -> Exit:
        raw = self._ask("end", name=name, grace=grace, timeout=grace + 10.0)
        return Exit(pid=raw["pid"], status=raw["status"])

    # -- asking ------------------------------------------------------------------------------------------------------

    def _known(self, service: str) -> str:
        if service not in self._layout.ground.folders:
            there = ", ".join(self._layout.ground.folders)
            raise UsageError(f"there is no service {service!r} in this sandbox", hint=f"there are: {there}")
        return service

    def _ask(self, operation: str, *, timeout: float = QUICK, **fields: Any) -> dict[str, Any]:
        return ask(self.folder, operation, timeout=timeout, **fields)


@contextmanager
def open_sandbox(
    topology: Topology,
    *,
    parts: Mapping[str, PartLike],
    render: Render,
    logs: Path,
    detached: bool = False,
    name: str | None = None,
    environment: Mapping[str, Mapping[str, str]] | None = None,
    start_within: timedelta = START,
) -> Iterator[ProcessSandbox]:
    """Start every active service of `topology` and yield the sandbox once all are ready; end it with the block.

    `render` maps mounted files to functions applied to their text before addresses are rewritten. `environment` is
    laid over the services' own, by service. Logs go to `logs`, which stays. A `detached` sandbox outlives a block that
    ends without an exception; `shut_down` ends it.

    Sandboxes that a dead harness left are ended first. If the harness dies, its sandbox is ended by its supervisor.
    Raises UsageError (all problems at once, nothing started), NotReady (with the last log lines), SandboxError.
    """
    services = startable(topology, parts)
    logs = logs.absolute()
    _make(logs)
    sweep()
    for attempt in (1, 2):
        folder = new_folder(name, topology.name)
        keeper = raise_supervisor(folder, topology.path)
        try:
            sandbox = _fill(
                keeper,
                topology,
                services,
                parts=parts,
                render=render,
                logs=logs,
                overrides=environment or {},
                start_within=start_within,
            )
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
        _end_after(broken, keeper)
        raise
    keeper.detach() if detached else keeper.end()


def _end_after(broken: BaseException, keeper: Keeper) -> None:
    """End the sandbox after something went wrong, which stays the news: trouble with the end is only added to it."""
    try:
        keeper.end()
    except SandboxError as odd:
        broken.add_note(str(odd))


def _make(logs: Path) -> None:
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as odd:
        raise UsageError(f"the folder for logs {logs} can't be made: {odd}", hint="choose another") from odd


def _fill(
    keeper: Keeper,
    topology: Topology,
    services: Sequence[Service],
    *,
    parts: Mapping[str, PartLike],
    render: Render,
    logs: Path,
    overrides: Mapping[str, Mapping[str, str]],
    start_within: timedelta,
) -> ProcessSandbox:
    """Write the sandbox's files and have its supervisor start everything."""
    folder = keeper.folder
    prepared = prepare(
        topology,
        services,
        folder=folder,
        logs=logs,
        ports=ask(folder, "reserve", count=count_ports(services))["ports"],
        parts=parts,
        render=render,
        overrides=overrides,
    )
    try:
        prepared.write()
    except OSError as odd:
        raise SandboxError(f"the files of sandbox {folder.name} can't be written: {odd}") from odd
    within = start_within.total_seconds()
    plans = [plan.to_json() for plan in prepared.plans]
    events = str(logs / "supervisor.jsonl")
    ask(folder, "launch", plans=plans, within=within, events=events, timeout=within + QUICK)
    return ProcessSandbox(prepared.layout, start_within=start_within)


def sweep() -> None:
    """End what dead harnesses left, if anything, so that the next sandbox starts on clean ground."""
    if any(is_dead(folder) for folder in folders()):
        call_rollback()


def attach(name_or_folder: str | Path) -> ProcessSandbox:
    """A running sandbox of this user, by its name or its folder. Raises SandboxError where there is none, or where
    it is not up yet."""
    folder = folder_of(name_or_folder)
    ask(folder, "ping")
    return ProcessSandbox(Layout.load(folder))


def sandboxes() -> tuple[State, ...]:
    """Every sandbox of this user: live ones, and dead ones (`.dead`) that `gameday rollback` would clean up."""
    return states()


def shut_down(name: str) -> None:
    """End a sandbox, whoever it belongs to; back when nothing of it is left. Raises SandboxError."""
    folder = folder_of(name)
    if is_dead(folder):
        call_rollback()
        return
    state = read_state(folder)
    left = ask(folder, "shut_down", timeout=end_within(folder))["left"]
    deadline = time.monotonic() + QUICK
    while state and state.supervisor.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    if left:
        raise SandboxError(f"left over of sandbox {name}: {', '.join(left)}", hint="end it by hand")
