"""What a Redis says, in its own protocol."""

from __future__ import annotations

import socket
import threading

import pytest

from harness.errors import SandboxError
from harness.model.units import seconds
from harness.probes.resp import converse
from harness.sandbox.base import Address


def said(answers: bytes) -> tuple[list[tuple[bool, str]], bytes]:
    """What is understood of a server's `answers` to two questions, and what it was asked."""
    asked = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            client, _ = listening.accept()
            with client:
                client.sendall(answers)
                client.shutdown(socket.SHUT_WR)
                while piece := client.recv(4096):
                    asked.extend(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            address = Address("127.0.0.1", listening.getsockname()[1], "redis")
            return converse(address, [("SET", "a", "é"), ("GET", "a")], patience=seconds(5)), bytes(asked)
        finally:
            thread.join(5)


@pytest.mark.parametrize(
    ("answers", "understood"),
    [
        (b"+OK\r\n$2\r\nhi\r\n", [(True, "OK"), (True, "hi")]),
        (b"-OOM no\r\n:7\r\n", [(False, "OOM no"), (True, "7")]),
        (b"$-1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n", [(True, ""), (True, "a\nb")]),
    ],
)
def test_replies_are_understood(answers: bytes, understood: list[tuple[bool, str]]) -> None:
    """Strings, numbers, errors, nothing, and lists of them."""
    assert said(answers)[0] == understood


@pytest.mark.parametrize("answers", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"+OK\r\n", b"$x\r\n"])
def test_whoever_speaks_otherwise_is_no_redis(answers: bytes) -> None:
    """Another protocol, or one that hangs up, is an error and no empty answer."""
    with pytest.raises(SandboxError, match="does not answer as a Redis"):
        said(answers)


def test_nobody_there_is_said() -> None:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(SandboxError, match=f":{port} does not answer"):
        converse(Address("127.0.0.1", port, "redis"), [("PING",)])
