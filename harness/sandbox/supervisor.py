"""Supervisor: a process of its own that owns every process of one sandbox, and ends them when the harness goes.

    python -m harness.sandbox.supervisor FOLDER OWNER_PID OWNER_STARTED TOPOLOGY

Its standard input is one end of a socket pair, the *lifeline*; the harness holds the other end and nobody else does.
When the lifeline closes, or the owner is gone by its pid, or on SIGTERM, SIGINT or SIGHUP, or when asked to: faults
that are still promised to be healed are healed, then every process is ended and FOLDER removed. There is one way out,
whatever the reason, so the way that a crash takes is the one that every normal end has tried.

The harness, `gameday status` and others talk to it over the unix socket FOLDER/s: one JSON object per line,
`{"op": NAME, ...}`, each answered by one line, `{"ok": true, ...}` or `{"ok": false, "error": KIND, "message": TEXT}`.
The operations are the methods of `Desk` whose names begin with `op_`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.journal import Journal
from harness.sandbox import ports
from harness.sandbox.children import Child, Children
from harness.sandbox.identity import LEASH, MARK, Identity, adopt_orphans, belonging
from harness.sandbox.plan import ProcessPlan
from harness.sandbox.state import NEW, SOCKET, State, states
from harness.sandbox.supervised import StartFailedError, Supervised, say_status

# Wall seconds, all bounded so that nothing is left 5 s after the harness was killed.
HEALING = 2.0
GRACE = 1.2
_LAST_ROUNDS = 5
_MOST_EVENTS = 10_000
_LONGEST_LINE = 8 * 2**20


class RefusedError(Exception):
    """A request that can't be granted; `kind` tells the client which error to raise."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(slots=True)
class Chronicle:
    """What happened to the processes, in order; kept in memory and, where possible, in a file."""

    path: Path | None = None
    entries: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, subject: str, **details: Any) -> None:
        entry = {"at": time.time(), "kind": kind, "subject": subject, "details": details}
        if len(self.entries) < _MOST_EVENTS:
            self.entries.append(entry)
        # A full disk must not end the one process that cleans up.
        with contextlib.suppress(OSError, ValueError, TypeError):
            if self.path:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")


class Supervisor:
    """All that one sandbox has running."""

    def __init__(self, folder: Path, owner: Identity, topology: str) -> None:
        self.folder = folder
        self.chronicle = Chronicle()
        self.services: dict[str, Supervised] = {}
        self.helpers: dict[str, Child] = {}
        self.held: dict[int, socket.socket] = {}
        self.ending = asyncio.Event()
        self.ended = asyncio.Event()
        self.left: list[str] = []
        self.owner = owner
        me = Identity.of(os.getpid())
        assert me is not None
        self._state = State(
            folder=folder,
            supervisor=me,
            owner=owner,
            detached=False,
            created=time.time(),
            topology=topology,
            processes={},
            ports=(),
        )
        self._leash = self._make_folder()
        self.children = Children(self._leash, self.write_down)
        self._why = ""

    def _make_folder(self) -> int:
        """Make the sandbox's folder in one step, so that nobody ever sees it without its state. Raises OSError."""
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.folder.parent / f"{NEW}{self.folder.name}-{os.getpid()}"
        fresh.mkdir(mode=0o700)
        try:
            replace(self._state, folder=fresh).save()
            (fresh / LEASH).touch(mode=0o600)
            fresh.rename(self.folder)  # fails where a sandbox of that name (a folder that is not empty) stands
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        return os.open(self.folder / LEASH, os.O_RDONLY | os.O_CLOEXEC)

    # -- state ---------------------------------------------------------------------------------------------------------

    def write_down(self) -> None:
        """Bring the state file up to date: it is what others clean up by if we are killed."""
        running = {f"{child.name}.{child.pid}": child.identity for child in self.children.running}
        self._state = replace(self._state, processes=running)
        self._save()

    def _save(self) -> None:
        try:
            self._state.save()
        except OSError as odd:
            self.chronicle.add("supervisor.trouble", "state", problem=str(odd))

    def detach(self) -> None:
        """Live on without the owner, until told to end."""
        self._state = replace(self._state, detached=True, owner=None)
        self._save()

    @property
    def detached(self) -> bool:
        return self._state.detached

    def hold(self, count: int) -> list[int]:
        """Reserve ports for this sandbox. Raises OSError."""

        def taken_elsewhere() -> set[int]:
            others = (state for state in states(self.folder.parent) if state.folder != self.folder)
            return {port for state in others for port in state.ports}

        fresh = ports.reserve(count, taken_elsewhere)
        self.held |= fresh
        self._state = replace(self._state, ports=(*self._state.ports, *fresh))
        self._save()  # before any of them is let go: see ports.reserve
        return list(fresh)

    def let_go(self, port: int) -> None:
        """Release a port to the service that is about to listen there."""
        if sock := self.held.pop(port, None):
            sock.close()

    # -- the end -------------------------------------------------------------------------------------------------------

    def end_soon(self, why: str) -> None:
        """Begin to end everything; the first reason counts."""
        if not self.ending.is_set():
            self._why = why
            self.chronicle.add("supervisor.ending", self.folder.name, why=why)
            self.ending.set()

    async def end(self) -> None:
        """Heal what is promised, end every process, remove the folder."""
        for service in self.services.values():
            service.give_up()
        for child in self.helpers.values():
            child.identity.send(signal.SIGTERM)
        await self._heal()
        for service in self.services.values():
            service.give_up()  # healing may have started one again
        for child in self.children.running:
            child.identity.send(signal.SIGTERM)
        await self._wait_for_children(GRACE)
        await self._kill_the_rest()
        self.left += self._remove_folder()
        self.chronicle.add("supervisor.ended", self.folder.name, left=", ".join(self.left))
        self.ended.set()

    async def _heal(self) -> None:
        """Keep open promises, in a process of its own: healing needs much more than a supervisor should import."""
        try:
            if not Journal(self.folder).open_promises():
                return
        except HarnessError as odd:
            self.chronicle.add("supervisor.trouble", "journal", problem=str(odd))
        argv = [sys.executable, "-m", "harness.rollback", "--heal", str(self.folder)]
        log = str(self.chronicle.path.with_name("healing.log")) if self.chronicle.path else os.devnull
        try:
            child = self.children.start(
                "healing", argv, environment={**os.environ, MARK: str(self.folder)}, directory="/", log=log
            )
            await asyncio.wait_for(child.exited.wait(), HEALING)
            self.chronicle.add("supervisor.healed", self.folder.name, how=say_status(child.status))
        except (OSError, TimeoutError) as odd:
            # What it could not heal goes with the processes, all of which end now.
            self.chronicle.add("supervisor.trouble", "healing", problem=f"{type(odd).__name__}: {odd}")

    async def _wait_for_children(self, within: float) -> None:
        deadline = time.monotonic() + within
        for child in self.children.running:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.exited.wait(), max(0.0, deadline - time.monotonic()))

    async def _kill_the_rest(self) -> None:
        """Kill until nobody is left: a process may have forked just before it was killed."""
        rest: tuple[Identity, ...] = ()
        for _ in range(_LAST_ROUNDS):
            roots = [child.identity for child in self.children.running]
            rest = self._mine(roots)
            if not rest:
                break
            for identity in rest:
                identity.send(signal.SIGKILL)
            await self._wait_for_children(0.3)
            await asyncio.sleep(0.02)
            self.children.reap()
        self.left += [f"process {identity.pid}" for identity in rest if identity.alive]

    def _mine(self, roots: list[Identity]) -> tuple[Identity, ...]:
        """All processes of the sandbox, and those that we adopted: whose parent we are."""
        me = Identity.of(os.getpid())
        found = belonging(self.folder, [*roots, *([me] if me else [])])
        return tuple(identity for identity in found if identity.pid != os.getpid())

    def _remove_folder(self) -> list[str]:
        for sock in self.held.values():
            sock.close()
        for _ in range(3):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                return []
            time.sleep(0.05)
        return [f"folder {self.folder}"]


class Desk:
    """Where requests arrive. Each connection is served line by line; no request of any kind can end the supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._work: set[asyncio.Task[Any]] = set()

    async def open(self) -> asyncio.Server:
        path = str(self._supervisor.folder / SOCKET)
        server = await asyncio.start_unix_server(self._serve, path=path, limit=_LONGEST_LINE)
        os.chmod(path, 0o600)  # noqa: PTH101 - it is a socket's path, made a line above
        return server

    def drop_work(self) -> None:
        """Break off what was being done for clients (starts that wait, say)."""
        for task in self._work:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            name = request.pop("op")
            operation = getattr(self, f"op_{name}", None)
            if operation is None:
                raise RefusedError("usage", f"there is no operation {name!r}")
            task = asyncio.ensure_future(operation(**request))
            if name != "shut_down":
                self._work.add(task)
                task.add_done_callback(self._work.discard)
            return {"ok": True, **(await task or {})}
        except RefusedError as odd:
            return {"ok": False, "error": odd.kind, "message": str(odd)}
        except StartFailedError as odd:
            return {"ok": False, "error": odd.why, "message": str(odd)}
        except asyncio.CancelledError:
            return {"ok": False, "error": "ending", "message": "the sandbox is being ended"}
        except Exception as odd:  # whatever a client sends, the supervisor lives on
            return {"ok": False, "error": "failed", "message": f"{type(odd).__name__}: {odd}"}

    def _service(self, name: str) -> Supervised:
        try:
            return self._supervisor.services[name]
        except KeyError:
            raise RefusedError("usage", f"there is no service {name!r} in this sandbox") from None

    def _not_ending(self) -> None:
        if self._supervisor.ending.is_set():
            raise RefusedError("ending", "the sandbox is being ended")

    # -- operations ------------------------------------------------------------------------------------------------

    async def op_ping(self) -> dict[str, Any]:
        return {"pid": os.getpid()}

    async def op_reserve(self, count: int) -> dict[str, Any]:
        self._not_ending()
        return {"ports": self._supervisor.hold(count)}

    async def op_launch(self, plans: list[Mapping[str, Any]], within: float, events: str) -> None:
        """Start all services, each as soon as what it depends on allows; back when all are ready."""
        self._not_ending()
        supervisor = self._supervisor
        supervisor.chronicle.path = Path(events)
        for raw in plans:
            plan = ProcessPlan.from_json(raw)
            supervisor.services[plan.name] = Supervised(
                plan, supervisor.children, supervisor.chronicle.add, supervisor.let_go
            )
        await launch(supervisor.services, within)

    async def op_status(self) -> dict[str, Any]:
        return {"services": [service.status() for service in self._supervisor.services.values()]}

    async def op_events(self, since: int) -> dict[str, Any]:
        return {"events": self._supervisor.chronicle.entries[since:]}

    async def op_start(self, service: str, within: float) -> None:
        self._not_ending()
        await self._service(service).start(within)

    async def op_stop(self, service: str) -> None:
        await self._service(service).stop()

    async def op_restart(self, service: str, environment: Mapping[str, str] | None, within: float) -> None:
        await self._service(service).restart(environment, within)

    async def op_kill(self, service: str, signal: int) -> None:
        if not self._service(service).signal(signal):
            raise RefusedError("failed", f"{service} does not run")

    async def op_spawn(
        self, name: str, argv: list[str], environment: Mapping[str, str], directory: str, log: str
    ) -> dict[str, Any]:
        self._not_ending()
        helpers = self._supervisor.helpers
        if name in helpers and helpers[name].running:
            raise RefusedError("usage", f"a helper {name!r} is running already")
        try:
            child = self._supervisor.children.start(name, argv, environment=environment, directory=directory, log=log)
        except OSError as odd:
            raise RefusedError("failed", f"{name} can't be started: {odd} (command: {' '.join(argv)})") from odd
        helpers[name] = child
        self._supervisor.chronicle.add("helper.started", name, pid=child.pid)
        return _exit(child)

    def _helper(self, name: str) -> Child:
        try:
            return self._supervisor.helpers[name]
        except KeyError:
            raise RefusedError("usage", f"no helper {name!r} was spawned") from None

    async def op_spawned(self, name: str) -> dict[str, Any]:
        return _exit(self._helper(name))

    async def op_end(self, name: str, grace: float) -> dict[str, Any]:
        child = self._helper(name)
        child.identity.send(signal.SIGTERM)
        for number, within in ((0, grace), (signal.SIGKILL, 2.0)):
            if number and child.running:
                child.identity.send(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.exited.wait(), within)
        return _exit(child)

    async def op_detach(self) -> None:
        self._not_ending()
        self._supervisor.detach()

    async def op_shut_down(self) -> dict[str, Any]:
        self._supervisor.end_soon("asked to")
        await asyncio.shield(self._supervisor.ended.wait())
        return {"left": self._supervisor.left}


def _exit(child: Child) -> dict[str, Any]:
    return {"pid": child.pid, "status": child.status}


async def launch(services: Mapping[str, Supervised], within: float) -> None:
    """Start all of `services` at once, each as soon as those it depends on have come far enough. Raises
    StartFailedError as soon as one of them fails, and when `within` seconds have passed."""
    deadline = time.monotonic() + within

    async def one(service: Supervised) -> None:
        for name, condition in service.plan.after.items():
            await services[name].reached(condition)
        await service.start(max(0.1, deadline - time.monotonic()))

    tasks = [asyncio.create_task(one(service)) for service in services.values()]
    try:
        async with asyncio.timeout(within + 0.5):
            for done in asyncio.as_completed(tasks):
                await done
    except TimeoutError:
        waiting = [name for name, service in services.items() if not service.ready.is_set()]
        raise StartFailedError(
            ", ".join(waiting), "late", f"not ready after {within:.3g} s: {', '.join(waiting)}"
        ) from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def supervise(supervisor: Supervisor, lifeline: socket.socket) -> None:
    """Serve until there is a reason to end, then end."""
    loop = asyncio.get_running_loop()
    supervisor.children.watch(loop)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.end_soon, signal.Signals(number).name)
    desk = Desk(supervisor)
    server = await desk.open()
    watchers = [
        asyncio.create_task(_watch_lifeline(supervisor, lifeline)),
        asyncio.create_task(_watch_owner(supervisor)),
    ]
    with contextlib.suppress(OSError):
        lifeline.sendall(b'{"ok": true}\n')
    await supervisor.ending.wait()
    desk.drop_work()
    await supervisor.end()
    for watcher in watchers:
        watcher.cancel()
    server.close()
    with contextlib.suppress(OSError):
        lifeline.sendall(json.dumps({"left": supervisor.left}).encode() + b"\n")
    await asyncio.sleep(0.02)  # let `shut_down` answer


async def _watch_lifeline(supervisor: Supervisor, lifeline: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    lifeline.setblocking(False)
    with contextlib.suppress(OSError):
        while await loop.sock_recv(lifeline, 4096):
            pass
    if not supervisor.detached:
        supervisor.end_soon("the harness went away")


async def _watch_owner(supervisor: Supervisor) -> None:
    """The second line: a child that the harness forked may hold its end of the lifeline open."""
    with contextlib.suppress(OSError, AttributeError):  # gone already, or a system without pidfd_open(2)
        handle = os.pidfd_open(supervisor.owner.pid)
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, gone.set)
        if supervisor.owner.alive:
            await gone.wait()
    while supervisor.owner.alive:  # noqa: ASYNC110 - the end of a process that is no child is no event everywhere
        await asyncio.sleep(0.5)
    if not supervisor.detached:
        supervisor.end_soon("the harness is gone")


def main(arguments: list[str]) -> int:
    """Run the supervisor of one sandbox; see the module's docstring."""
    folder, pid, started, topology = arguments
    adopt_orphans()
    lifeline = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)  # so that no child holds the lifeline open
    os.dup2(null, 1)
    os.close(null)

    async def run() -> None:
        try:
            supervisor = Supervisor(Path(folder), Identity(int(pid), started), topology)
        except OSError as odd:
            lifeline.sendall(json.dumps({"ok": False, "message": f"{folder} can't be made: {odd}"}).encode() + b"\n")
            return
        _own_log(supervisor.folder)
        await supervise(supervisor, lifeline)

    with contextlib.suppress(KeyboardInterrupt), lifeline:
        asyncio.run(run())
    return 0


def _own_log(folder: Path) -> None:
    """From now on, what goes wrong in here stands in the sandbox's folder."""
    with contextlib.suppress(OSError):
        log = os.open(folder / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 2)
        os.close(log)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
