"""Children: processes that the supervisor starts, each leading a session of its own, and reaps."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.sandbox.identity import Identity, die_with_parent


@dataclass(slots=True, eq=False)
class Child:
    """A process that we started. `status` is None while it runs, negative for a signal; `exited` is set at its end."""

    name: str
    pid: int
    identity: Identity
    popen: subprocess.Popen[bytes] = field(repr=False)
    status: int | None = None
    exited: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def running(self) -> bool:
        return self.status is None


class Children:
    """Starts processes and learns of their ends. One per event loop; `leash` is a file that all inherit open."""

    def __init__(self, leash: int, changed: Callable[[], None]) -> None:
        self._leash = leash
        self._changed = changed
        self._by_pid: dict[int, Child] = {}

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reap from now on."""
        loop.add_signal_handler(signal.SIGCHLD, self.reap)

    @property
    def running(self) -> tuple[Child, ...]:
        return tuple(self._by_pid.values())

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: str,
        log: str,
        at_birth: Callable[[], None] = lambda: None,
    ) -> Child:
        """Start a process; `at_birth` is called in it before its program is loaded, and raises nothing. Raises OSError
        where it can't be started; a log that can't be written is done without."""
        parent = os.getpid()
        output = _open_log(log)

        def born() -> None:
            die_with_parent(parent)
            at_birth()

        try:
            popen = subprocess.Popen(
                list(argv),
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(self._leash,),
                start_new_session=True,
                # No thread runs here, so code between fork and exec is safe.
                preexec_fn=born,
            )
        finally:
            os.close(output)
        identity = Identity.of(popen.pid) or Identity(popen.pid, "gone at once")
        child = Child(name=name, pid=popen.pid, identity=identity, popen=popen)
        self._by_pid[popen.pid] = child
        self._changed()
        return child

    def reap(self) -> None:
        """Take note of every process that ended: our own, and orphans that we adopted."""
        ours = False
        while pid := _next_ended():
            if child := self._by_pid.get(pid):
                # While the leader is not yet reaped, its number can't belong to another group.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                _, raw = os.waitpid(pid, 0)
                if child:
                    child.status = child.popen.returncode = os.waitstatus_to_exitcode(raw)
            if child:
                ours = True
                del self._by_pid[pid]
                child.exited.set()
        if ours:
            self._changed()


def _next_ended() -> int:
    """The pid of a process that ended and waits to be reaped; 0 if there is none."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return found.si_pid if found else 0


def _open_log(path: str) -> int:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
