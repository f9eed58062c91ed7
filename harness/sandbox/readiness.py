"""Readiness: whether a server on a loopback port answers, and whether it is the one that we started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import Iterable
from pathlib import Path

from harness.sandbox.plan import Readiness
from harness.sandbox.ports import LOOPBACK

PATIENCE = 1.0  # seconds for one answer
_STATUS = re.compile(rb"HTTP/1\.[01] ([23])\d\d\b")


def _no_checks() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only whether it answers is asked, and only on loopback
    return context


async def answers(ready: Readiness) -> bool:
    """Ask once. Never raises; takes at most PATIENCE seconds."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await _ask(ready)
    except (OSError, TimeoutError, ssl.SSLError, asyncio.IncompleteReadError, ValueError):
        return False


async def _ask(ready: Readiness) -> bool:
    reader, writer = await asyncio.open_connection(LOOPBACK, ready.port, ssl=_no_checks() if ready.tls else None)
    try:
        # An outgoing connection to a port where nobody listens can meet itself (ports.py); that is nobody's answer.
        if writer.get_extra_info("sockname") == writer.get_extra_info("peername"):
            return False
        if ready.path is None:
            return True
        writer.write(f"GET {ready.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        return _STATUS.match(await reader.readline()) is not None
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            await writer.wait_closed()


def _listening(port: int) -> set[str]:
    """The inodes of all sockets that listen on `port` (proc_net_tcp: the 2nd field is the local address, the 4th the
    state, 0A for listening, the 10th the inode)."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found


def listens(port: int, pids: Iterable[int]) -> bool | None:
    """Whether one of the processes `pids` listens on `port`; None where this system doesn't tell."""
    inodes = _listening(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in pids:
        try:
            with os.scandir(f"/proc/{pid}/fd") as entries:
                links = [entry.path for entry in entries]
        except PermissionError:
            return None
        except OSError:
            continue
        for link in links:
            with contextlib.suppress(OSError):
                if os.readlink(link) in wanted:  # noqa: PTH115 - a Path for each of some hundred links is slow
                    return True
    return False
