"""State: the folders of this user's sandboxes, and what each has written down so that others can clean up after it."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import SandboxError, UsageError
from harness.sandbox.identity import LEASH, Identity

STATE = "state.json"
NEW = ".new-"  # how the name of a folder that is being made begins
SOCKET = "s"
ENGINE = "engine.json"  # says which engine has its containers; written before there are any
_LONGEST_START = 60.0  # wall seconds in which a supervisor writes its state down
_LONGEST_SOCKET = 100  # sun_path has 108 bytes on Linux, 104 on macOS (unix(7))


def state_root() -> Path:
    """The folder of all sandboxes of this user: `$GAMEDAY_STATE_DIR`, else `$XDG_RUNTIME_DIR/gameday`, else
    `/tmp/gameday-<uid>`. It is made if need be, mode 0700. Raises UsageError if it is somebody else's, can be written
    by others, or is too long."""
    if chosen := os.environ.get("GAMEDAY_STATE_DIR"):
        root = Path(chosen).absolute()
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        root = Path(runtime) / "gameday"
    else:
        root = Path("/tmp") / f"gameday-{os.getuid()}"  # noqa: S108 - owner and mode are checked below
    if len(os.fsencode(root)) > _LONGEST_SOCKET - 40:
        raise UsageError(
            f"the state folder {root} is too long for a socket's path",
            hint="set GAMEDAY_STATE_DIR to a shorter one",
        )
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.lstat()
    except OSError as odd:
        raise UsageError(f"the state folder {root} can't be made: {odd}", hint="set GAMEDAY_STATE_DIR") from odd
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UsageError(f"{root} is not a folder of this user's", hint="set GAMEDAY_STATE_DIR to one that is")
    if found.st_mode & 0o022:
        raise UsageError(f"{root} can be written by others", hint=f"chmod 700 {root}, or set GAMEDAY_STATE_DIR")
    return root


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a sandbox wrote down. `owner` is the process for which it lives (None once it is detached), `processes`
    are the ones started directly, helpers and services alike; `ports` are its loopback ports."""

    folder: Path
    supervisor: Identity
    owner: Identity | None
    detached: bool
    created: float
    topology: str
    processes: Mapping[str, Identity]
    ports: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def dead(self) -> bool:
        """Whether nobody is left who would clean it up: neither its supervisor nor the harness that owns it."""
        return not self.supervisor.alive and not (self.owner and self.owner.alive)

    def save(self) -> None:
        """Write it down in one step: a reader sees the old state or the new one. Raises OSError."""
        text = json.dumps(
            {
                "supervisor": _pair(self.supervisor),
                "owner": _pair(self.owner),
                "detached": self.detached,
                "created": self.created,
                "topology": self.topology,
                "processes": {name: _pair(identity) for name, identity in self.processes.items()},
                "ports": list(self.ports),
            }
        )
        write_atomically(self.folder / STATE, text)


def _pair(identity: Identity | None) -> list[object] | None:
    return [identity.pid, identity.started] if identity else None


def _identity(pair: Any) -> Identity | None:
    return Identity(int(pair[0]), str(pair[1])) if pair else None


def write_atomically(path: Path, text: str) -> None:
    """Replace the file at `path` (mode 0600) in one step. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_state(folder: Path) -> State | None:
    """What the sandbox in `folder` wrote down; None if that can't be read."""
    try:
        raw = json.loads((folder / STATE).read_text(encoding="utf-8"))
        supervisor = _identity(raw["supervisor"])
        processes = {str(name): _identity(pair) for name, pair in raw["processes"].items()}
        if supervisor is None:
            return None
        return State(
            folder=folder,
            supervisor=supervisor,
            owner=_identity(raw["owner"]),
            detached=bool(raw["detached"]),
            created=float(raw["created"]),
            topology=str(raw["topology"]),
            processes={name: identity for name, identity in processes.items() if identity},
            ports=tuple(int(port) for port in raw["ports"]),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def folders(root: Path | None = None) -> tuple[Path, ...]:
    """The folders of all sandboxes of this user, live and dead, by name. Only what we made ourselves: whoever sets
    GAMEDAY_STATE_DIR to a folder that holds other things must find them all again."""
    base = root or state_root()
    try:
        return tuple(sorted(entry for entry in base.iterdir() if _is_ours(entry)))
    except FileNotFoundError:
        return ()


def _is_ours(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    if (folder / STATE).is_file() and (folder / LEASH).is_file():
        return True
    # One whose supervisor was killed in the instant in which it made it.
    made = (path.name for path in folder.iterdir())
    return folder.name.startswith(NEW) and all(name in (STATE, LEASH) or name.startswith(f".{STATE}-") for name in made)


def states(root: Path | None = None) -> tuple[State, ...]:
    """What every sandbox of this user wrote down, live and dead ones."""
    return tuple(state for folder in folders(root) if (state := read_state(folder)))


def is_dead(folder: Path) -> bool:
    """Whether the sandbox in `folder` has nobody left who would clean it up. One that never got as far as writing
    down whose it is counts as dead once it is older than any start takes."""
    state = read_state(folder)
    if state:
        return state.dead
    try:
        return time.time() - folder.stat().st_mtime > _LONGEST_START
    except OSError:
        return False


def folder_of(name_or_folder: str | Path) -> Path:
    """The folder of the sandbox of that name (or in that folder). Raises SandboxError where there is none."""
    given = str(name_or_folder)
    folder = Path(given) if os.sep in given else state_root() / given
    if not (folder / STATE).is_file():
        others = ", ".join(state.name for state in states()) or "none"
        raise SandboxError(f"there is no sandbox {given!r}", hint=f"there are: {others}; see `gameday status`")
    return folder.resolve()
