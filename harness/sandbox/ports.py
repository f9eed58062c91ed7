"""Ports: loopback ports set aside for a sandbox, so that no other sandbox and no outgoing connection takes them.

They are chosen below the range from which the kernel gives outgoing connections theirs: a service that is down for a
moment could otherwise find its own port taken by some client's connection when it comes back; and a client that keeps
trying a dead port of that range ends up connected to itself (RFC 9293, simultaneous open).
"""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable, Collection
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST, _HIGHEST = 15_000, 32_767
_SMALLEST_CHOICE = 2_000  # fewer ports than this to choose from: let the kernel choose instead


def _choice() -> range:
    """The ports to choose from: those below the kernel's own range (32768 and up, unless someone changed it)."""
    try:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        low = _HIGHEST + 1
    chosen = range(_LOWEST, min(low, _HIGHEST + 1))
    return chosen if len(chosen) >= _SMALLEST_CHOICE else range(0)


def reserve(count: int, taken_elsewhere: Callable[[], Collection[int]]) -> dict[int, socket.socket]:
    """`count` free ports, each held by a bound socket that does not listen (so connecting to it is refused).

    `taken_elsewhere` names the ports that other sandboxes have written down as theirs. It is asked *after* a port is
    held: a sandbox lets go of its own only after it wrote them down, so one of the two always sees the other.
    Raises OSError when none are left.
    """
    choice = _choice()
    held: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as undo:
        undo.callback(release, held)
        for _ in range(20):
            while len(held) < count:
                port, sock = _hold_one(choice)
                held[port] = sock
            taken = taken_elsewhere()
            for port in [port for port in held if port in taken]:
                held.pop(port).close()
            if len(held) == count:
                undo.pop_all()
                return held
    raise OSError(f"no {count} free ports could be had")


def _hold_one(choice: range) -> tuple[int, socket.socket]:
    for attempt in range(200):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # No SO_REUSEADDR: the port must be nobody else's.
            sock.bind((LOOPBACK, random.choice(choice) if choice and attempt < 150 else 0))  # noqa: S311 - no secret
            return sock.getsockname()[1], sock
        except OSError:
            sock.close()
    raise OSError("no free port could be had")


def release(held: dict[int, socket.socket]) -> None:
    """Let go of all of `held`."""
    for sock in held.values():
        sock.close()
    held.clear()


def is_taken(port: int) -> bool:
    """Whether somebody listens on (or has bound) the loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return True
    return False
