"""Address: `host:port` as Go's net package writes and reads it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

BACKLOG = 1024  # connections that may wait to be accepted


def split(address: str) -> tuple[str, int]:
    """Host (may be empty: all interfaces) and port. Raises OSError."""
    if not address:
        return "", 0
    host, colon, port = address.rpartition(":")
    if not colon:
        raise OSError("missing port in address")
    if not port.isdecimal():
        return host.strip("[]"), socket.getservbyname(port, "tcp")
    if int(port) > 65535:
        raise OSError("invalid port")
    return host.strip("[]"), int(port)


def joined(sockname: tuple[Any, ...]) -> str:
    """A socket's name as `host:port`."""
    host, port = sockname[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def resolved(host: str, port: int) -> tuple[Any, ...]:
    """Where `host` is, IPv4 first, as a socket name. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found.sort(key=lambda info: info[0] != socket.AF_INET)  # Go prefers IPv4
    return found[0][4]


async def listener(address: str) -> socket.socket:
    """A listening socket at `address`; an empty host means every interface, of both families. Raises OSError."""
    host, port = split(address)
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
    sockname = await resolved(host or "0.0.0.0", port)  # noqa: S104 - an empty host means all interfaces
    family = socket.AF_INET6 if ":" in sockname[0] else socket.AF_INET
    return socket.create_server(sockname[:2], family=family, backlog=BACKLOG)
