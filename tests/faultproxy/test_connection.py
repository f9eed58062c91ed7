"""Connection: what a socket reads goes through its chain, whenever it comes."""

from __future__ import annotations

import asyncio
from typing import Any

from harness.faultproxy.connection import Chain, Endpoint
from harness.faultproxy.metrics import Bytes


class FakeTransport(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def endpoint() -> tuple[Endpoint, FakeTransport]:
    made = Endpoint(lambda: None, lambda: None)
    transport = FakeTransport()
    made.connection_made(transport)
    return made, transport


def test_what_comes_before_the_upstream_is_there_is_not_lost() -> None:
    """A client that speaks at once is heard, also where its transport goes on reading though it was paused."""
    client, _ = endpoint()
    upstream, written = endpoint()
    client.data_received(b"early ")
    client.data_received(b"bird")
    client.eof_received()
    Chain(client, upstream, Bytes()).begin()
    assert b"".join(written.written) == b"early bird"
    assert written.closed
