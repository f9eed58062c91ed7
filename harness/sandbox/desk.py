"""Desk: where requests to a supervisor arrive, and what can be asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.sandbox.base import Limits
from harness.sandbox.children import Child
from harness.sandbox.custody import Custody
from harness.sandbox.limits import problems
from harness.sandbox.plan import ProcessPlan
from harness.sandbox.state import SOCKET
from harness.sandbox.supervised import StartFailedError, Supervised

_LONGEST_LINE = 8 * 2**20


class RefusedError(Exception):
    """A request that can't be granted; `kind` tells the client which error to raise."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Desk:
    """Where requests arrive. Each connection is served line by line; no request of any kind can end the supervisor."""

    def __init__(self, custody: Custody) -> None:
        self._custody = custody
        self._work: set[asyncio.Task[Any]] = set()

    async def open(self) -> asyncio.Server:
        path = str(self._custody.folder / SOCKET)
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
            return self._custody.services[name]
        except KeyError:
            raise RefusedError("usage", f"there is no service {name!r} in this sandbox") from None

    def _not_ending(self) -> None:
        if self._custody.ending.is_set():
            raise RefusedError("ending", "the sandbox is being ended")

    # -- operations ------------------------------------------------------------------------------------------------

    async def op_ping(self) -> dict[str, Any]:
        return {"pid": os.getpid()}

    async def op_reserve(self, count: int) -> dict[str, Any]:
        self._not_ending()
        return {"ports": self._custody.hold(count)}

    async def op_let_go(self, ports: list[int]) -> None:
        """Release ports to somebody who is about to listen there but whom this supervisor does not start."""
        for port in ports:
            self._custody.let_go(port)

    async def op_launch(self, plans: list[Mapping[str, Any]], within: float, events: str) -> None:
        """Start all services, each as soon as what it depends on allows; back when all are ready."""
        self._not_ending()
        custody = self._custody
        custody.chronicle.path = Path(events)
        for raw in plans:
            plan = ProcessPlan.from_json(raw)
            custody.services[plan.name] = Supervised(plan, custody.children, custody.chronicle.add, custody.let_go)
        custody.watch_memory()
        await launch(custody.services, within)

    async def op_status(self) -> dict[str, Any]:
        return {"services": [service.status() for service in self._custody.services.values()]}

    async def op_events(self, since: int) -> dict[str, Any]:
        return {"events": self._custody.chronicle.entries[since:]}

    async def op_start(self, service: str, within: float) -> None:
        self._not_ending()
        await self._service(service).start(within)

    async def op_stop(self, service: str) -> None:
        await self._service(service).stop()

    async def op_restart(self, service: str, environment: Mapping[str, str | None] | None, within: float) -> None:
        await self._service(service).restart(environment, within)

    async def op_kill(self, service: str, signal: int, stay_down: bool = False) -> None:
        if not self._service(service).signal(signal, stay_down=stay_down) and not stay_down:
            raise RefusedError("failed", f"{service} does not run")

    async def op_processes(self, service: str) -> dict[str, Any]:
        return {"processes": [asdict(process) for process in self._service(service).processes()]}

    async def op_limit(self, service: str, cores: list[int] | None, open_files: int | None, memory: int | None) -> None:
        limits = Limits(cores=None if cores is None else frozenset(cores), open_files=open_files, memory=memory)
        found = self._service(service)
        if odd := problems(limits):
            raise RefusedError("usage", f"{service} can't be limited to {'; '.join(odd)}")
        found.limits.order(limits)

    async def op_lift(self, service: str, kinds: list[str]) -> None:
        self._service(service).limits.lift(kinds)

    async def op_limits(self, service: str) -> dict[str, Any]:
        found = self._service(service)
        if not found.members():
            raise RefusedError("failed", f"{service} does not run")
        limits = found.limits.in_force()
        return {
            "cores": None if limits.cores is None else sorted(limits.cores),
            "open_files": limits.open_files,
            "memory": limits.memory if self._custody.memory_is_watched else None,
        }

    async def op_spawn(
        self, name: str, argv: list[str], environment: Mapping[str, str], directory: str, log: str
    ) -> dict[str, Any]:
        self._not_ending()
        helpers = self._custody.helpers
        if name in helpers and helpers[name].running:
            raise RefusedError("usage", f"a helper {name!r} is running already")
        try:
            child = self._custody.children.start(name, argv, environment=environment, directory=directory, log=log)
        except OSError as odd:
            raise RefusedError("failed", f"{name} can't be started: {odd} (command: {' '.join(argv)})") from odd
        helpers[name] = child
        self._custody.chronicle.add("helper.started", name, pid=child.pid)
        return _exit(child)

    def _helper(self, name: str) -> Child:
        try:
            return self._custody.helpers[name]
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
        self._custody.detach()

    async def op_shut_down(self) -> dict[str, Any]:
        self._custody.end_soon("asked to")
        await asyncio.shield(self._custody.ended.wait())
        return {"left": self._custody.left}


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
