"""Loop: a closed loop of users, each of whom asks again as soon as the answer is there, as Apache's `ab` does it.

As there, each request is an HTTP/1.0 GET on a connection of its own, and an answer ends when the server closes it. What
`ab` takes for success and we don't: a connection that is closed without an answer, an answer that is no HTTP, and one
that is shorter than its Content-Length says (support/ab.c of Apache httpd 2.4, `read_connection` and
`close_connection`).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.model.benchmark import Reply

CHUNK = 64 * 1024
LONGEST_HEAD = 64 * 1024  # bytes
LONGEST_ANSWER = 8 << 20  # bytes; more is no answer to be measured here
REFUSED_AT_MOST = 10  # connections in a row, while nobody has ever answered: as in ab
_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3})(?: |\r?\n)")
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d+)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be done: `requests` of `path` at `host`:`port`, `at_once` at a time. `headers` are further lines of
    each request. One request ends after `timeout` seconds, all of them after `at_most`."""

    host: str
    port: int
    path: str
    requests: int
    at_once: int
    name: str = ""  # what the Host header says, where that is not the address
    headers: tuple[str, ...] = ()
    timeout: float = 30.0
    at_most: float = 60.0

    def text(self) -> bytes:
        """The request as it is sent."""
        named = {line.partition(":")[0].strip().lower() for line in self.headers}
        usual = (("Host", self.name or f"{self.host}:{self.port}"), ("User-Agent", "gameday-ab"), ("Accept", "*/*"))
        lines = [f"{name}: {value}" for name, value in usual if name.lower() not in named]
        return "\r\n".join([f"GET {self.path} HTTP/1.0", *lines, *self.headers, "", ""]).encode("latin-1", "replace")


@dataclass(slots=True)
class Loop:
    """One benchmark while it goes on; `replies` and `stopped` (why it was broken off) tell of it afterwards."""

    task: Task
    began: float = 0.0
    ended: float = 0.0
    stopped: str = ""
    replies: list[Reply] = field(default_factory=list)
    _offset: float = field(default_factory=lambda: time.time() - time.monotonic())

    async def run(self) -> Sequence[Reply]:
        """Make all requests; returns them in the order in which they ended. Never raises for what a server does."""
        turns = iter(range(self.task.requests))
        self.began = self.ended = self._now()
        until = self.began + self.task.at_most
        await asyncio.gather(*(self._user(turns, until) for _ in range(self.task.at_once)))
        self.ended = self._now()
        return self.replies

    async def _user(self, turns: Iterator[int], until: float) -> None:
        for _ in turns:
            if self._now() >= until:
                self.stopped = self.stopped or f"after {self.task.at_most:g} s it was broken off"
            if self.stopped:
                return
            self.replies.append(await self._ask(until))
            if len(self.replies) >= REFUSED_AT_MOST and not any(reply.connected for reply in self.replies):
                self.stopped = f"nobody took a connection: {self.replies[-1].error}"

    async def _ask(self, until: float) -> Reply:
        asked = _Asked(self._now())
        try:
            async with asyncio.timeout(min(self.task.timeout, max(0.0, until - asked.sent))):
                await self._exchange(asked)
            error = asked.wrong()
        except TimeoutError:
            error = f"no whole answer within {self._now() - asked.sent:.3g} s"
        except (OSError, ValueError) as problem:
            error = str(problem) or type(problem).__name__
        return asked.reply(self._now(), error)

    async def _exchange(self, asked: _Asked) -> None:
        """One request and its answer, until the server closes the connection."""
        reader, writer = await asyncio.open_connection(self.task.host, self.task.port, limit=CHUNK)
        try:
            asked.connected = self._now()
            writer.write(self.task.text())
            await writer.drain()
            while data := await reader.read(CHUNK):
                asked.first = asked.first or self._now()
                asked.take(data)
        finally:
            # Not closed in an orderly way where the server did not: what it still sends is nobody's.
            writer.transport.abort()

    def _now(self) -> float:
        return time.monotonic() + self._offset


class _Asked:
    """One request on its way."""

    def __init__(self, sent: float) -> None:
        self.sent = sent
        self.connected: float | None = None
        self.first: float | None = None
        self._received = 0
        self._head = b""
        self._whole_head = False
        self._body = 0

    def take(self, data: bytes) -> None:
        """More of the answer. Raises ValueError for one that is too long."""
        self._received += len(data)
        if self._whole_head:
            self._body += len(data)
        else:
            head, end, body = _split(self._head + data)
            self._head, self._whole_head, self._body = head, end, len(body)
        if self._received > LONGEST_ANSWER:
            raise ValueError(f"an answer of more than {LONGEST_ANSWER >> 20} MiB")
        if not self._whole_head and len(self._head) > LONGEST_HEAD:
            raise ValueError("an answer whose headers never end")

    def wrong(self) -> str:
        """Why what came is no whole answer; empty where it is one."""
        if not self._received:
            return "closed without an answer"
        if not self._status() or not self._whole_head:
            return "no HTTP answer"
        said = _LENGTH.search(self._head)
        return f"{self._body} bytes of {int(said[1])}" if said and self._body < int(said[1]) else ""

    def reply(self, ended: float, error: str) -> Reply:
        return Reply(
            sent=self.sent,
            connected=self.connected,
            first=self.first,
            ended=ended,
            status=self._status(),
            received=self._received,
            length=self._body,
            error=error,
        )

    def _status(self) -> int:
        found = _STATUS.match(self._head)
        return int(found[1]) if found else 0


def _split(data: bytes) -> tuple[bytes, bool, bytes]:
    """The headers, whether they are complete, and what stands behind them."""
    found = re.search(rb"\r?\n\r?\n", data)
    return (data[: found.start() + 1], True, data[found.end() :]) if found else (data, False, b"")
