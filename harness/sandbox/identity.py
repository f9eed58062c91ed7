"""Identity: a process told apart from every other that ever had its pid, so that no signal goes to a stranger."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

MARK = "GAMEDAY_SANDBOX"
"""The environment variable that every process of a sandbox inherits; its value is the sandbox's folder."""

LEASH = "leash"
"""A file in the sandbox's folder that every process of the sandbox inherits open. A server that wipes its environment
(nginx does, to show a title) is still known by it."""

_LINUX = sys.platform.startswith("linux")


@dataclass(frozen=True, slots=True)
class Identity:
    """A pid and when its process started: on Linux in clock ticks since a boot that is named too (a step of the wall
    clock can't change it), elsewhere in seconds since the epoch."""

    pid: int
    started: str

    @staticmethod
    def of(pid: int) -> Identity | None:
        """Whoever has `pid` now; None if nobody has, or only a zombie."""
        started = _started(pid)
        return Identity(pid, started) if started else None

    @property
    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return _started(self.pid) == self.started

    def send(self, signal_number: int) -> bool:
        """Send a signal to this very process; False if it is gone. On Linux there is no instant in which its pid
        could pass on to another process between the look and the signal (pidfd_open(2))."""
        try:
            handle = os.pidfd_open(self.pid)
        except (OSError, AttributeError):  # gone, or a system without pidfd
            if not self.alive:
                return False
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal_number)
                return True
            return False
        try:
            if not self.alive:
                return False
            signal.pidfd_send_signal(handle, signal_number)
        except (ProcessLookupError, PermissionError):
            return False
        finally:
            os.close(handle)
        return True


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]


@dataclass(frozen=True, slots=True)
class _Stat:
    """What we use of /proc/<pid>/stat (proc(5)): fields 3, 4, 5, 6 and 22."""

    state: str
    parent: int
    group: int
    session: int
    ticks: str


def _stat(pid: int) -> _Stat | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - read for every process of the
            text = file.read(2048).decode(errors="replace")  # machine, again and again: a Path costs five times as much
    except OSError:
        return None
    # The name, in parentheses, may itself hold blanks and parentheses: the last one closes it.
    fields = text.rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[1]), int(fields[2]), int(fields[3]), fields[19]) if len(fields) > 19 else None


def _started(pid: int) -> str:
    if _LINUX:
        stat = _stat(pid)
        return f"{stat.ticks}@{_boot()}" if stat and stat.state not in "ZX" else ""
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return ""


def is_stopped(pid: int) -> bool:
    """Whether the process is paused by SIGSTOP."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def _pids() -> Iterator[int]:
    yield from (pid for pid in psutil.pids() if pid != os.getpid())


def _has_mark(pid: int, mark: bytes) -> bool:
    try:
        if _LINUX:
            return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return psutil.Process(pid).environ().get(MARK, "").encode() == mark.partition(b"=")[2]
    except (OSError, psutil.Error):  # another user's, or gone
        return False


def _holds(pid: int, path: str) -> bool:
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if os.readlink(entry.path) == path:  # noqa: PTH115 - a Path for each of some thousand links is slow
                    return True
    return False


def belonging(folder: Path, roots: Iterable[Identity] = ()) -> tuple[Identity, ...]:
    """Every live process of the sandbox in `folder`, ourselves left out: those with its mark or its leash, the `roots`
    (processes that it wrote down) that still live, and the descendants of all of these.

    A process that wiped its environment, closed every file and left its parent is not found.
    """
    mark = f"{MARK}={folder}".encode()
    leash = str(folder / LEASH)
    known = {root.pid for root in roots if root.alive}
    parents: dict[int, int] = {}
    for pid in _pids():
        parents[pid] = parent_of(pid)
        if _has_mark(pid, mark) or (_LINUX and _holds(pid, leash)):
            known.add(pid)
    found = (Identity.of(pid) for pid in _with_descendants(known, parents))
    return tuple(identity for identity in found if identity)


def marked() -> Mapping[str, tuple[Identity, ...]]:
    """Every process of this user that carries a mark, by the sandbox's folder."""
    found: dict[str, list[Identity]] = {}
    for pid in _pids():
        with contextlib.suppress(psutil.Error, OSError):
            folder = psutil.Process(pid).environ().get(MARK)
            if folder and (identity := Identity.of(pid)):
                found.setdefault(folder, []).append(identity)
    return {folder: tuple(identities) for folder, identities in found.items()}


def parent_of(pid: int) -> int:
    if _LINUX:
        stat = _stat(pid)
        return stat.parent if stat else 0
    try:
        return psutil.Process(pid).ppid()
    except psutil.Error:
        return 0


def _with_descendants(known: set[int], parents: Mapping[int, int]) -> set[int]:
    found = set(known)
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found


def family(pid: int) -> set[int]:
    """`pid`, its descendants, and the members of its session (where it leads one)."""
    return families([pid])[pid]


def families(roots: Iterable[int]) -> dict[int, set[int]]:
    """The family of each of `roots`, from one look at the machine's processes."""
    children: dict[int, list[int]] = {}
    sessions: dict[int, list[int]] = {}
    for pid in _pids():
        stat = _stat(pid) if _LINUX else None
        if stat is None or stat.state not in "ZX":
            children.setdefault(stat.parent if stat else parent_of(pid), []).append(pid)
        if stat is not None and stat.state not in "ZX":
            sessions.setdefault(stat.session, []).append(pid)
    found: dict[int, set[int]] = {}
    for root in roots:
        members, fresh = {root}, [root, *sessions.get(root, ())]
        while fresh:
            members.update(fresh)
            fresh = [child for pid in fresh for child in children.get(pid, ()) if child not in members]
        found[root] = members
    return found


# -- what only Linux can do: prctl(2) --------------------------------------------------------------------------------

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if _LINUX else None


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none gets out of sight (Linux only)."""
    if _libc:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """In a freshly forked child: be killed when the parent ends (Linux only)."""
    if _libc:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before we asked
            os._exit(1)
