"""Held: what the processes of a sandbox hold open, files and sockets, as the kernel tells it (proc(5))."""

from __future__ import annotations

import os
import re
import socket
import stat
import struct
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import Unsupported
from harness.sandbox.base import HasProcesses, Sandbox

PROC = Path("/proc")
_STATES = {
    "01": "ESTABLISHED", "02": "SYN-SENT", "03": "SYN-RECV", "04": "FIN-WAIT-1", "05": "FIN-WAIT-2", "06": "TIME-WAIT",
    "07": "CLOSE", "08": "CLOSE-WAIT", "09": "LAST-ACK", "0A": "LISTEN", "0B": "CLOSING", "0C": "SYN-RECV",
}  # fmt: skip
_TIMERS = {"01": "on", "02": "keepalive", "03": "timewait", "04": "persist"}
_LINKS = {"cwd": "cwd", "root": "rtd", "exe": "txt"}
_ACCESS = {os.O_RDONLY: "r", os.O_WRONLY: "w", os.O_RDWR: "u"}


@dataclass(frozen=True, slots=True)
class End:
    """An end of a socket; the port is 0 where there is none."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """A TCP or UDP socket. `state` is in the words of ss(8), `timer` what the kernel waits for and how many seconds
    still; inode 0 is one that no process holds any more."""

    kind: Literal["tcp", "udp"]
    family: Literal["IPv4", "IPv6"]
    local: End
    peer: End
    state: str
    received: int
    unsent: int
    timer: tuple[str, float, int] | None
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """Something that a process has open: `descriptor` as lsof(8) writes it (`cwd`, `txt`, `mem`, `3u`), `target` what
    the kernel calls it, `status` None where that can't be read, `offset` where the process stands in it."""

    descriptor: str
    target: str
    status: os.stat_result | None
    offset: int = 0


def pids(sandbox: Sandbox) -> list[int]:
    """The processes of all services of `sandbox`. Raises Unsupported where they, or what they hold, can't be seen."""
    if not isinstance(sandbox, HasProcesses) or not PROC.is_dir():
        raise Unsupported("the sandbox's processes can't be looked into here")
    return [process.pid for service in sandbox.services() for process in sandbox.processes(service.name)]


def handles(pid: int) -> Iterator[Handle]:
    """All that the process `pid` has open; nothing where it has ended. Raises Unsupported where that can't be seen."""
    folder = PROC / str(pid)
    try:
        for name, descriptor in _LINKS.items():
            if found := _handle(folder / name, descriptor):
                yield found
        yield from _mapped(folder)
        for number in sorted(int(link.name) for link in (folder / "fd").iterdir()):
            flags, offset = _flags(folder / "fdinfo" / str(number))
            if found := _handle(
                folder / "fd" / str(number), f"{number}{_ACCESS.get(flags & os.O_ACCMODE, ' ')}", offset
            ):
                yield found
    except (FileNotFoundError, ProcessLookupError):
        return
    except PermissionError as problem:
        raise Unsupported(f"what the process {pid} has open can't be seen") from problem


def _handle(link: Path, descriptor: str, offset: int = 0) -> Handle | None:
    try:
        target = str(link.readlink())
    except (FileNotFoundError, ProcessLookupError):  # closed since
        return None
    with suppress(OSError):
        return Handle(descriptor=descriptor, target=target, status=link.stat(), offset=offset)
    return Handle(descriptor=descriptor, target=target, status=None, offset=offset)


def _mapped(folder: Path) -> Iterator[Handle]:
    """The files that are mapped into memory, each once, besides the program itself."""
    program = str((folder / "exe").readlink())
    names = (line.split(None, 5)[5] for line in (folder / "maps").read_text().splitlines() if line.count(" /"))
    for name in dict.fromkeys(name.rstrip("\n") for name in names):
        if name != program and not name.endswith(" (deleted)"):
            with suppress(OSError):
                yield Handle(descriptor="mem", target=name, status=Path(name).stat())


def _flags(info: Path) -> tuple[int, int]:
    """The flags that a descriptor was opened with, and its offset."""
    try:
        said = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    return int(said.get("flags", "0").strip(), 8), int(said.get("pos", "0"))


def inode_of(handle: Handle) -> int:
    """The inode of the socket that `handle` is; 0 where it is none."""
    is_socket = handle.status is not None and stat.S_ISSOCK(handle.status.st_mode)
    return handle.status.st_ino if handle.status is not None and is_socket else 0


def sockets_of(inodes: Collection[int]) -> list[Socket]:
    """The TCP and UDP sockets that `inodes` name, and those of TCP that nobody holds any more but that were connections
    with one of them that listens."""
    every = [found for table in ("tcp", "tcp6", "udp", "udp6") for found in _table(table)]
    known = set(inodes) - {0}
    listening = {one.local.port for one in every if one.inode in known and one.state == "LISTEN"}
    return [
        one for one in every if one.inode in known or (not one.inode and {one.local.port, one.peer.port} & listening)
    ]


def _table(name: str) -> Iterator[Socket]:
    try:
        rows = (PROC / "net" / name).read_text().splitlines()[1:]
    except FileNotFoundError:  # no IPv6 here
        return
    for row in rows:
        _, local, peer, state, queues, timer, retransmitted, _, _, inode = row.split()[:10]
        kind, _, ticks = timer.partition(":")
        unsent, _, received = queues.partition(":")
        yield Socket(
            kind="tcp" if name.startswith("tcp") else "udp",
            family="IPv6" if name.endswith("6") else "IPv4",
            local=_end(local),
            peer=_end(peer),
            state=_STATES.get(state, state),
            received=int(received, 16),
            unsent=int(unsent, 16),
            timer=(_TIMERS[kind], int(ticks, 16) / _TICKS, int(retransmitted, 16)) if kind in _TIMERS else None,
            inode=int(inode),
        )


_TICKS = os.sysconf("SC_CLK_TCK")


def _end(written: str) -> End:
    """`0100007F:1F90` as an address: words of 32 bits in the machine's own order, the port in network order."""
    host, _, port = written.partition(":")
    words = struct.unpack(f"{'<' if sys.byteorder == 'little' else '>'}{len(host) // 8}I", bytes.fromhex(host)[:])
    raw = struct.pack(f">{len(words)}I", *words)
    return End(socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw), int(port, 16))


def command_of(pid: int, task: int | None = None) -> str:
    """What the kernel calls a process, or one of its threads; empty where it has ended."""
    place = PROC / str(pid) / "task" / str(task) if task else PROC / str(pid)
    try:
        return re.sub(r"\s", "?", (place / "comm").read_text().rstrip("\n"))
    except (FileNotFoundError, ProcessLookupError):
        return ""


def said_ports(addresses: Mapping[str, int]) -> dict[int, int]:
    """For ports of this machine what the runbook calls them: `addresses` maps `localhost:8080` to where that is."""
    split = ((name.rpartition(":"), port) for name, port in addresses.items())
    return {port: int(name) for (host, _, name), port in split if host in ("localhost", "127.0.0.1")}
