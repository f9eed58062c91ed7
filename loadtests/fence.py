"""Fence: the load engine connects to loopback and to hosts that were allowed by name, and to nothing else."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Any


class NotAllowedError(PermissionError):
    """A connection outside the fence; an OSError, so that Locust records it as a failed request."""


def addresses_of(host: str) -> frozenset[str]:
    """Every address that `host` stands for; empty where it can't be resolved."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(str(each[4][0]) for each in found)


def is_loopback(address: str) -> bool:
    """Whether `address` never leaves this machine."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def is_allowed(host: str, allowed: Iterable[str]) -> bool:
    """Whether load may go to `host`: it was allowed by name, or each of its addresses is a loopback address."""
    if host in set(allowed):
        return True
    found = addresses_of(host)
    return bool(found) and all(is_loopback(address) for address in found)


def close_fence(allowed: Iterable[str]) -> None:
    """From now on, refuse every connection of this process that leaves loopback and the hosts of `allowed`.

    It guards the socket class and not the HTTP client, so that redirects, absolute addresses and other clients in
    somebody's user file are held as well. Unix sockets stay on this machine and pass.
    """
    gate = frozenset(address for host in allowed for address in addresses_of(host))
    guarded: Any = socket.socket  # gevent's, by now: importing locust has replaced it

    def guard(connect: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def checked(self: Any, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                host = str(address[0])
                found = {host} if _is_literal(host) else addresses_of(host)
                if not all(each in gate or is_loopback(each) for each in found):
                    raise NotAllowedError(f"{host} is neither loopback nor allowed")
            return connect(self, address)

        return checked

    guarded.connect = guard(guarded.connect)
    guarded.connect_ex = guard(guarded.connect_ex)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
