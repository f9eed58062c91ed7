"""Supervisor: a process of its own that owns every process of one sandbox, and ends them when the harness goes.

    python -m harness.sandbox.supervisor FOLDER OWNER_PID OWNER_STARTED TOPOLOGY

Its standard input is one end of a socket pair, the *lifeline*; the harness holds the other end and nobody else does.
When the lifeline closes, or the owner is gone by its pid, or on SIGTERM, SIGINT or SIGHUP, or when asked to: faults
that are still promised to be healed are healed, then every process is ended and FOLDER removed. There is one way out,
whatever the reason, so the way that a crash takes is the one that every normal end has tried.

The harness, `gameday status` and others talk to it over the unix socket FOLDER/s: one JSON object per line,
`{"op": NAME, ...}`, each answered by one line, `{"ok": true, ...}` or `{"ok": false, "error": KIND, "message": TEXT}`.
The operations are the methods of `harness.sandbox.desk.Desk` whose names begin with `op_`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

from harness.sandbox.custody import Custody
from harness.sandbox.desk import Desk
from harness.sandbox.identity import Identity, adopt_orphans


async def supervise(custody: Custody, lifeline: socket.socket) -> None:
    """Serve until there is a reason to end, then end."""
    loop = asyncio.get_running_loop()
    custody.children.watch(loop)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, custody.end_soon, signal.Signals(number).name)
    desk = Desk(custody)
    try:
        server = await desk.open()
        watchers = [
            asyncio.create_task(_watch_lifeline(custody, lifeline)),
            asyncio.create_task(_watch_owner(custody)),
        ]
        with contextlib.suppress(OSError):
            lifeline.sendall(b'{"ok": true}\n')
        await custody.ending.wait()
    finally:  # also where we are at fault ourselves
        desk.drop_work()
        await custody.end()
    for watcher in watchers:
        watcher.cancel()
    server.close()
    with contextlib.suppress(OSError):
        lifeline.sendall(json.dumps({"left": custody.left}).encode() + b"\n")
    await asyncio.sleep(0.02)  # let `shut_down` answer


async def _watch_lifeline(custody: Custody, lifeline: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    lifeline.setblocking(False)
    with contextlib.suppress(OSError):
        while await loop.sock_recv(lifeline, 4096):
            pass
    if not custody.detached:
        custody.end_soon("the harness went away")


async def _watch_owner(custody: Custody) -> None:
    """The second line: a child that the harness forked may hold its end of the lifeline open."""
    with contextlib.suppress(OSError, AttributeError):  # gone already, or a system without pidfd_open(2)
        handle = os.pidfd_open(custody.owner.pid)
        gone, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(handle, gone.set)
        try:
            if custody.owner.alive:
                await gone.wait()
        finally:  # it stays readable for ever: left in, a supervisor that outlives its harness would spin
            loop.remove_reader(handle)
            os.close(handle)
    while custody.owner.alive:  # noqa: ASYNC110 - the end of a process that is no child is no event everywhere
        await asyncio.sleep(0.5)
    if not custody.detached:
        custody.end_soon("the harness is gone")


def main(arguments: list[str]) -> int:
    """Run the supervisor of one sandbox; see the module's docstring."""
    folder, pid, started, topology = arguments
    adopt_orphans()
    lifeline = socket.socket(fileno=os.dup(0))  # not inherited: no child may hold it open

    async def run() -> None:
        try:
            custody = Custody(Path(folder), Identity(int(pid), started), topology)
        except OSError as odd:
            lifeline.sendall(json.dumps({"ok": False, "message": f"{folder} can't be made: {odd}"}).encode() + b"\n")
            return
        _own_log(custody.folder)
        await supervise(custody, lifeline)

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
