"""A server of the tests' own, in the loop of whoever asks it or as a program: each path behaves in its own way.

python -m tests.benchmark.server          prints its port, and serves until it is ended
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

# As often as 1 in 50 an answer takes 60 ms, else 5 to 24 ms: what 99 % of a thousand get is one of the slow ones, for
# certain.
WAITS = tuple(0.060 if turn == 49 else 0.005 + 0.001 * (turn % 20) for turn in range(50))


class Misbehaving:
    """Answers by path; `heads` keeps what was asked, `open` and `most` count connections."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.open = self.most = self.count = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            self.count += 1
            await self._answer(head.split(" ")[1], self.count - 1, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, path: str, turn: int, writer: asyncio.StreamWriter) -> None:
        if path == "/slow":
            await asyncio.sleep(WAITS[turn % len(WAITS)])
        elif path == "/hang":
            await asyncio.sleep(30)
        writer.write(_said(path, turn))
        if path == "/reset":
            writer.transport.abort()
        while path == "/endless":
            writer.write(b"x" * 65536)
            await writer.drain()
        await writer.drain()


def _said(path: str, turn: int) -> bytes:
    if path in ("/empty", "/reset"):
        return b""
    if path == "/short":
        return b"HTTP/1.0 200 OK\r\nContent-Length: 200\r\n\r\nno"
    if path == "/junk":
        return b"220 mail.example.org ESMTP\r\n"
    if path == "/endless":
        return b"HTTP/1.0 200 OK\r\n\r\n"
    if path == "/headers":
        return b"HTTP/1.0 200 OK\r\n" + b"X-More: and more\r\n" * 5000
    status = b"503 Busy" if path == "/503" or (path == "/some-503" and turn % 10 == 9) else b"200 OK"
    # Not among the first: whichever of them ends first decides what the others are compared with.
    body = b"longer" if path == "/lengths" and turn % 1000 > 50 and turn % 4 == 3 else b"ok"
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body)


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Misbehaving, int]]:
    """The server and its port."""
    behaviour = Misbehaving()
    server = await asyncio.start_server(behaviour.serve, "127.0.0.1", 0, backlog=1000)
    try:
        yield behaviour, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await _ended()


async def _ended() -> None:
    """What still serves somebody is ended with the server."""
    others: Sequence[asyncio.Task[object]] = [
        task for task in asyncio.all_tasks() if task is not asyncio.current_task()
    ]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def main() -> None:
    async with serving() as (_, port):
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
