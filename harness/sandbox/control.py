"""Control: the supervisor as the harness sees it: raised with a lifeline, asked over its socket, ended."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import harness
from harness.errors import HarnessError, NotReady, SandboxError, UsageError
from harness.sandbox.identity import MARK, Identity
from harness.sandbox.state import ENGINE, SOCKET, state_root
from harness.sandbox.strays import clear

# Wall seconds.
_BOOT = 20.0  # of a Python process on a machine that is very busy
QUICK = 10.0  # an answer that needs no work
_END, _END_CONTAINERS = 10.0, 40.0  # the supervisor bounds itself to less, an engine that removes containers included
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "GAMEDAY_STATE_DIR", "XDG_RUNTIME_DIR", "PYTHONPATH")

_HINTS = {
    "exited": "its whole log is in the run's folder",
    "late": "is the machine very busy? its whole log is in the run's folder",
    "unstartable": "`gameday doctor` shows which parts are there",
    "ending": "somebody ended it: `gameday down`, Ctrl-C or a signal",
}


class PortTakenError(NotReady):
    """Another program took a port between its reservation and the start of the service."""


def ask(folder: Path, operation: str, *, timeout: float = QUICK, **fields: Any) -> dict[str, Any]:
    """Ask the supervisor of the sandbox in `folder`, over a connection of its own (so any thread may ask at any
    time). Raises NotReady, UsageError or SandboxError as the supervisor says, SandboxError where it does not answer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(str(folder / SOCKET))
            sock.sendall(json.dumps({"op": operation, **fields}).encode() + b"\n")
            with sock.makefile("rb") as answers:
                line = answers.readline()
        answer = json.loads(line) if line else None
    except (OSError, ValueError) as odd:
        raise _lost(folder, f"{type(odd).__name__}: {odd}") from odd
    if not isinstance(answer, dict):
        raise _lost(folder, "it hung up")
    if answer.get("ok"):
        return answer
    raise _error(str(answer.get("error")), str(answer.get("message")))


def _lost(folder: Path, why: str) -> SandboxError:
    return SandboxError(
        f"the supervisor of sandbox {folder.name} does not answer ({why})",
        hint="`gameday status` shows what still runs; `gameday rollback` ends what is left",
    )


def _error(kind: str, message: str) -> HarnessError:
    if kind == "usage":
        return UsageError(message, hint="see `gameday status`")
    if kind == "port-taken":
        return PortTakenError(message, hint="try again")
    if kind in ("exited", "late", "unstartable"):
        return NotReady(message, hint=_HINTS[kind])
    return SandboxError(message, hint=_HINTS.get(kind, ""))


class Keeper:
    """A supervisor that we raised, from our end of its lifeline. When this process ends in whatever way, the lifeline
    closes and the supervisor ends the sandbox."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], lifeline: socket.socket) -> None:
        self.folder = folder
        self._process = process
        self._lifeline = lifeline
        self._done = False

    def detach(self) -> None:
        """Let the sandbox live on without us."""
        ask(self.folder, "detach")
        self._done = True
        self._lifeline.close()
        self._process.returncode = 0  # it is nobody's business when it ends

    def end(self) -> None:
        """End the sandbox; safe to call twice. Raises SandboxError if something is left, and then says what."""
        if self._done:
            return
        self._done = True
        within = end_within(self.folder)  # asked before the folder goes
        try:
            with contextlib.suppress(OSError):
                self._lifeline.shutdown(socket.SHUT_WR)
            left = self._last_words(within)
        finally:
            self._lifeline.close()
        if left is None:
            self._process.kill()
        self._process.wait()
        if left is None:
            cleared = clear(self.folder)
            raise SandboxError(
                f"the supervisor of sandbox {self.folder.name} died or hung; "
                f"{cleared.ended} processes of it were ended, left over: {', '.join(cleared.left) or 'nothing'}",
                hint="what was measured in this sandbox can't be trusted; run it again",
            )
        if left:
            raise SandboxError(f"left over of sandbox {self.folder.name}: {', '.join(left)}", hint="end it by hand")

    def _last_words(self, within: float) -> list[str] | None:
        """What the supervisor could not clean up; None if it ended (or hangs) without saying."""
        for line in _lines(self._lifeline, within):
            if "left" in line:
                return [str(item) for item in line["left"]]
        return None


def _lines(sock: socket.socket, within: float) -> Any:
    """The JSON objects that arrive on `sock` until it closes or `within` seconds have passed."""
    deadline = time.monotonic() + within
    buffer = b""
    while (rest := deadline - time.monotonic()) > 0:
        sock.settimeout(rest)
        try:
            chunk = sock.recv(65536)
        except OSError:
            return
        if not chunk:
            return
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                yield json.loads(line)


def end_within(folder: Path) -> float:
    """Wall seconds that the supervisor of the sandbox in `folder` may take to end it."""
    return _END_CONTAINERS if (folder / ENGINE).exists() else _END


def new_folder(name: str | None, project: str) -> Path:
    """A folder for a new sandbox, not made yet: `name`, or the project's with something that makes it unique."""
    if name is not None and (not name or not all(c.isalnum() or c in "-_" for c in name) or len(name) > 40):
        raise UsageError(f"{name!r} can't name a sandbox", hint="up to 40 letters, digits, dashes and underscores")
    return state_root() / (name or f"{project[:24]}-{secrets.token_hex(3)}")


def raise_supervisor(folder: Path, topology: Path) -> Keeper:
    """Start the supervisor of a new sandbox in `folder` and wait until it listens. Raises SandboxError."""
    ours, theirs = socket.socketpair()
    me = Identity.of(os.getpid())
    assert me is not None
    with contextlib.ExitStack() as undo:
        undo.callback(ours.close)
        with theirs, tempfile.TemporaryFile() as complaints:  # has no name, so nothing is left if we are killed
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "harness.sandbox.supervisor",
                    str(folder),
                    str(me.pid),
                    me.started,
                    str(topology),
                ],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                cwd="/",
                env=_supervisor_environment(folder),
                start_new_session=True,  # so that Ctrl-C reaches us alone
            )
            theirs.close()
            undo.callback(_abandon, process)
            hello = next(_lines(ours, _BOOT), {"message": "it did not start"})
            if not hello.get("ok"):
                complaints.seek(0)
                said = complaints.read().decode(errors="replace").strip()
                raise SandboxError(
                    f"no supervisor for sandbox {folder.name}: {hello.get('message')}\n{said}".rstrip(),
                    hint="`gameday status` shows which sandboxes there are",
                )
        undo.pop_all()
    return Keeper(folder, process, ours)


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """Our end of the lifeline is closed (or about to be): it ends by itself, unless it hangs."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _supervisor_environment(folder: Path | None) -> Mapping[str, str]:
    """The few variables that it needs: nothing of the caller's secrets."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    ours = str(Path(harness.__file__).parents[1])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [ours, kept.get("PYTHONPATH", "")]))
    return {**kept, MARK: str(folder)} if folder else kept


def call_rollback() -> None:
    """Have `gameday rollback` end what dead harnesses left. In a process of its own, because healing faults needs
    much more than a sandbox may know. Raises SandboxError."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "harness.rollback"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=_supervisor_environment(None),
        )
    except (OSError, subprocess.TimeoutExpired) as odd:
        raise SandboxError(f"what a dead run left could not be ended: {odd}", hint="try `gameday rollback`") from odd
    if done.returncode:
        raise SandboxError(
            f"what a dead run left could not be ended:\n{done.stdout}{done.stderr}".rstrip(),
            hint="see `gameday status`, and end it by hand",
        )
