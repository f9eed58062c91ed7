"""Connection: one client, its connection to the upstream, and the chain of toxics in each direction.

    client ──▶ endpoint ─▶ stage ─▶ stage ─▶ endpoint ──▶ upstream      direction "upstream"
    client ◀── endpoint ◀─ stage ◀────────── endpoint ◀── upstream      direction "downstream"

As in Toxiproxy, the end of what one side sends closes the other side: a TCP connection can't be half open here.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import struct
from collections.abc import Callable, Mapping, Sequence

from harness.faultproxy import address
from harness.faultproxy.metrics import Bytes
from harness.faultproxy.stage import Chunk, Entry, Sink, Stage
from harness.faultproxy.toxics.noop import Noop

log = logging.getLogger("faultproxy")

DIRECTIONS = ("upstream", "downstream")
_NOOP = Noop()
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, for 0 seconds (socket(7))


class Endpoint(asyncio.Protocol):
    """One socket. What it reads goes into `chain`; as a Sink it writes what comes to it."""

    def __init__(self, on_made: Callable[[], None], on_lost: Callable[[], None]) -> None:
        self.chain: Chain | None = None
        self.sent = Bytes()
        self.full = False
        self.transport: asyncio.Transport | None = None
        self._on_made = on_made
        self._on_lost = on_lost
        self._room_calls: list[Callable[[], None]] = []
        # What comes before there is a chain. Python up to 3.11.2 goes on reading a transport that was paused in
        # `connection_made`: it adds its reader only after that.
        self._early: list[bytes] = []
        self._early_end = False

    # -- called by asyncio ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.pause_reading()  # until there is a chain to take it
        self._on_made()

    def data_received(self, data: bytes) -> None:
        if self.chain is not None:
            self.chain.feed(data)
        else:
            self._early.append(data)

    def eof_received(self) -> bool:
        if self.chain is not None:
            self.chain.end()
        else:
            self._early_end = True
        return True  # keep it open: what is still on its way to this side must arrive

    def connection_lost(self, error: Exception | None) -> None:
        if self.chain is not None:
            self.chain.end()
        self.resume_writing()
        self._on_lost()

    def catch_up(self, chain: Chain) -> None:
        """Give the chain what came before it was there."""
        early, self._early = self._early, []
        for data in early:
            chain.feed(data)
        if self._early_end:
            chain.end()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        calls, self._room_calls = self._room_calls, []
        for call in calls:
            call()

    # -- as a sink -----------------------------------------------------------------------------------------------

    def push(self, chunk: Chunk) -> None:
        self.write(chunk.data)

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.sent.sent += len(data)
            self.transport.write(data)

    def end(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def when_room(self, call: Callable[[], None]) -> None:
        self._room_calls.append(call)

    def cut(self, *, reset: bool) -> None:
        """Close at once, dropping what is not sent yet; with `reset`, by a TCP reset."""
        if self.transport is None:
            return
        if reset and not self.transport.is_closing():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()


class Chain:
    """One direction: from the socket `source` through the stages to the socket `dest`. No stages: straight through."""

    def __init__(self, source: Endpoint, dest: Endpoint, counted: Bytes) -> None:
        self._source = source
        self._dest = dest
        self._counted = counted
        self._stages: list[Stage] = []
        self._ended = False
        source.chain = self
        dest.sent = counted

    @property
    def _head(self) -> Sink:
        return self._stages[0] if self._stages else self._dest

    def feed(self, data: bytes) -> None:
        self._counted.received += len(data)
        if self._stages:
            stage = self._stages[0]
            stage.push(Chunk(data, stage.now()))
        else:
            self._dest.write(data)
        if self._head.full and self._source.transport is not None:
            self._source.transport.pause_reading()
            self._head.when_room(self.resume)

    def begin(self) -> None:
        """All stages are in: let data through."""
        self._source.catch_up(self)
        self.resume()

    def resume(self) -> None:
        """Read on, if there is room."""
        if self._source.transport is None:
            return
        if self._head.full:
            self._head.when_room(self.resume)
        else:
            self._source.transport.resume_reading()

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._head.end()

    def add(self, stage: Stage) -> None:
        """Put `stage`, whose sink is `dest`, at the end. What is already under way goes through it too, except what
        has been written."""
        stage.on_gone = self._unlink
        self._stages.append(stage)
        if len(self._stages) > 1:
            before = self._stages[-2]
            before.sink = stage
            before.wake()
            if before.finished:
                stage.end()
        else:
            if self._ended:
                stage.end()
            self.resume()

    def change(self, entry: Entry) -> None:
        for stage in self._of(entry):
            stage.change()

    def remove(self, entry: Entry) -> None:
        for stage in self._of(entry):
            stage.leave()

    def cancel(self) -> None:
        for stage in self._stages:
            stage.cancel()

    def _of(self, entry: Entry) -> list[Stage]:
        return [stage for stage in self._stages if stage.entry is entry]

    def _unlink(self, stage: Stage) -> None:
        place = self._stages.index(stage)
        self._stages.remove(stage)
        if place > 0:
            self._stages[place - 1].sink = stage.sink


class Connection:
    """A client and its upstream. `seed` makes its chances its own, so that they do not depend on other traffic."""

    def __init__(
        self,
        upstream: str,
        entries: Mapping[str, Sequence[Entry]],
        counted: Mapping[str, Bytes],
        *,
        seed: str,
        on_done: Callable[[Connection], None],
    ) -> None:
        self._target = upstream
        self._entries = entries
        self._counted = counted
        self._seed = seed
        self._on_done = on_done
        self._open = 0
        self._chains: dict[str, Chain] = {}
        self.client = Endpoint(self._client_made, self._lost)
        self._upstream = Endpoint(self._upstream_made, self._lost)
        self._dialling: asyncio.Task[None] | None = None

    def add(self, entry: Entry) -> None:
        chain = self._chains.get(entry.direction)
        if chain is not None:
            chain.add(self._stage(entry))

    def change(self, entry: Entry) -> None:
        chain = self._chains.get(entry.direction)
        if chain is not None:
            chain.change(entry)

    def remove(self, entry: Entry) -> None:
        chain = self._chains.get(entry.direction)
        if chain is not None:
            chain.remove(entry)

    def cut(self, *, reset: bool = False) -> None:
        """Close both sides at once."""
        if self._dialling is not None:
            self._dialling.cancel()
        self._upstream.cut(reset=reset)
        self.client.cut(reset=reset)

    def _client_made(self) -> None:
        self._open += 1
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        try:
            host, port = address.split(self._target)
            await asyncio.get_running_loop().create_connection(lambda: self._upstream, host or "localhost", port)
        except (OSError, ValueError) as error:  # nobody listens there, or it is no address
            log.info("no connection to the upstream %s: %s", self._target, error)
            self.client.end()

    def _upstream_made(self) -> None:
        self._open += 1
        ends = {"upstream": (self.client, self._upstream), "downstream": (self._upstream, self.client)}
        for direction, (source, dest) in ends.items():
            self._chains[direction] = Chain(source, dest, self._counted[direction])
        for direction in DIRECTIONS:
            for entry in self._entries[direction]:
                self.add(entry)
        for chain in self._chains.values():
            chain.begin()

    def _stage(self, entry: Entry) -> Stage:
        _, dest = (self.client, self._upstream) if entry.direction == "upstream" else (self._upstream, self.client)
        # A seed in words, so that each chance depends on its own link, connection and toxic, and on no other's.
        chance = random.Random(f"{self._seed}/{entry.direction}/{entry.name}")  # noqa: S311 - no secret
        return Stage(entry, dest, spared_by=_NOOP, chance=chance, reset=lambda: self.cut(reset=True))

    def _lost(self) -> None:
        self._open -= 1
        if self._open == 0:
            for chain in self._chains.values():
                chain.cancel()
            self._on_done(self)
