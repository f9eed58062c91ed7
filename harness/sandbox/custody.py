"""Custody: everything that one sandbox has running, written down as it changes, and how it all ends."""

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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.journal import Journal
from harness.sandbox import ports
from harness.sandbox.children import Child, Children
from harness.sandbox.identity import LEASH, MARK, Identity, belonging
from harness.sandbox.memory import MemoryWatch
from harness.sandbox.state import ENGINE, NEW, State, states
from harness.sandbox.supervised import Supervised, say_status

# Wall seconds, all bounded so that nothing is left 5 s after the harness was killed.
HEALING = 2.0
GRACE = 1.2
CONTAINERS = 25.0  # an engine under load removes a dozen of them in about two
_LAST_ROUNDS = 5
_MOST_EVENTS = 10_000


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


class Custody:
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
        self._memory_watch: asyncio.Task[None] | None = None

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

    def watch_memory(self) -> None:
        """From now on, keep every service within its memory limit."""
        self._memory_watch = asyncio.create_task(MemoryWatch(self.services, self.chronicle.add).keep())

    @property
    def memory_is_watched(self) -> bool:
        return self._memory_watch is not None and not self._memory_watch.done()

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
        if self._memory_watch:
            self._memory_watch.cancel()
        containers = await self._remove_containers()
        # While there are any left, whoever cleans up later needs what the folder says of them.
        self.left += [*containers, f"folder {self.folder}"] if containers else self._remove_folder()
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

    async def _remove_containers(self) -> list[str]:
        """Have the engine remove what it has of the sandbox, in a process of its own as healing is; what is left."""
        if not (self.folder / ENGINE).exists():
            return []
        told = self.folder / "leftovers"
        argv = [sys.executable, "-m", "harness.sandbox.leftovers", str(self.folder)]
        try:
            child = self.children.start("leftovers", argv, environment=dict(os.environ), directory="/", log=str(told))
            await asyncio.wait_for(child.exited.wait(), CONTAINERS)
            said = told.read_text(encoding="utf-8", errors="replace").splitlines()
        except (OSError, TimeoutError) as odd:
            return [f"containers ({type(odd).__name__}: {odd})"]
        return said if child.status else []

    def _remove_folder(self) -> list[str]:
        for sock in self.held.values():
            sock.close()
        for _ in range(3):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                return []
            time.sleep(0.05)
        return [f"folder {self.folder}"]
