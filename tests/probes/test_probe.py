"""The probe: how an address answers one harmless question."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness.model.units import seconds
from harness.probes.probe import ask
from harness.sandbox.base import Address


@contextmanager
def listening(serve: Callable[[socket.socket], None], scheme: str = "http") -> Iterator[Address]:
    """A loopback server that hands its one connection to `serve`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield Address("127.0.0.1", listener.getsockname()[1], scheme)
        thread.join(5)


def reset(connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("scheme", "serve", "reply"),
    [
        ("http", lambda c: (c.recv(100), c.sendall(b"HTTP/1.1 200 OK\r\n\r\n")), "answered"),
        ("redis", lambda c: (c.recv(100), c.sendall(b"+PONG\r\n")), "answered"),
        ("redis", lambda c: (c.recv(100), c.sendall(b"-NOAUTH Authentication required.\r\n")), "answered"),
        ("redis", lambda c: c.sendall(b"-ERR max number of clients reached\r\n"), "turned away"),
        ("http", lambda c: c.recv(100), "closed"),
        ("http", reset, "reset"),
        ("tcp", lambda c: None, "closed"),
        ("https", lambda c: c.recv(1), "reset"),
    ],
)
def test_each_answer_is_told_apart(scheme: str, serve: Callable[[socket.socket], None], reply: str) -> None:
    """An answer, a closed and a reset connection are told apart, in the address' own protocol."""
    with listening(serve, scheme) as address:
        assert ask(address, patience=seconds(5)).reply == reply


def test_a_port_that_nobody_listens_on_refuses() -> None:
    """A refused connection is said as such."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert ask(Address("127.0.0.1", port, "http"), patience=seconds(1)).reply == "refused"


def test_a_silent_server_is_silent() -> None:
    """One that accepts and never answers is silent once patience is over."""
    done = threading.Event()

    def keep_silent(_: socket.socket) -> None:
        done.wait(5)

    with listening(keep_silent) as address:
        answer = ask(address, patience=seconds(0.2))
        done.set()
    assert answer.reply == "silent"
    assert answer.seconds >= 0.2
