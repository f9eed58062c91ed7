"""Stage: one toxic's place on one direction of one connection, where it takes data in and hands them on."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

log = logging.getLogger("faultproxy")


class Chunk(NamedTuple):
    """A stretch of data and when it came, in the loop's own seconds."""

    data: bytes
    at: float


class Interrupted(Exception):
    """The stage's toxic was changed or taken out: `pipe` ends here, and another one goes on."""


class Passage(Protocol):
    """What a toxic may do with a connection.

    An interruption (its settings changed, or it was taken out) is told by `get`; `sleep` and `put` come back early,
    so that a toxic hands on what it holds before it hears of it. Nothing is ever dropped unless a toxic means to.
    """

    random: random.Random
    passed: int  # bytes put so far

    def now(self) -> float:
        """Seconds, on the clock of `Chunk.at`."""
        ...

    async def get(self, within: float | None = None) -> Chunk | None:
        """The next chunk; None once the sender has closed. Raises Interrupted, and TimeoutError after `within`."""
        ...

    async def put(self, chunk: Chunk) -> None:
        """Hand a chunk on, and wait while the next one in line can't take more."""
        ...

    async def sleep(self, duration: float) -> bool:
        """Wait; False if it was cut short by an interruption."""
        ...

    def reset(self) -> None:
        """Break the connection, both sides, with a TCP reset."""
        ...


class Toxic:
    """A kind of fault: frozen settings, all of them integers, and one method."""

    __slots__ = ()

    # Bytes that may wait for it before its sender is told to stop.
    buffer: ClassVar[int] = 2**16
    # Whether taking it out closes the connections that it is on.
    cuts_when_removed: ClassVar[bool] = False

    async def pipe(self, passage: Passage) -> None:
        """Move one connection's data from `passage.get` to `passage.put`. Coming back closes the connection."""
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class Entry:
    """A toxic in a proxy's chain. `stream` stands as its author wrote it; `toxicity` is the share of connections."""

    name: str
    kind: str
    stream: str
    toxicity: float
    toxic: Toxic

    @property
    def direction(self) -> str:
        return self.stream.lower()


class Sink(Protocol):
    """Where data go next: a stage, or the far side's socket."""

    @property
    def full(self) -> bool: ...

    def push(self, chunk: Chunk) -> None: ...

    def end(self) -> None:
        """No more will come."""
        ...

    def when_room(self, call: Callable[[], None]) -> None:
        """Call back once, when no longer full (or earlier: the caller looks again)."""
        ...


class Stage:
    """A toxic at work: an inbox, and a task that runs the toxic's `pipe` into `sink`. It is a Passage, and a Sink."""

    def __init__(
        self, entry: Entry, sink: Sink, *, spared_by: Toxic, chance: random.Random, reset: Callable[[], None]
    ) -> None:
        self.entry = entry
        self.sink = sink
        self.random = chance
        self.passed = 0
        self.finished = False
        self.reset = reset
        self.on_gone: Callable[[Stage], None] = lambda stage: None  # set by the chain that it stands in
        self._spared_by = spared_by
        # Drawn once per connection, as in Toxiproxy, so that a connection keeps its fate while it lives.
        self._draw = chance.random()
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[Chunk] = deque()
        self._held = 0
        self._ended = False
        self._interrupted = False
        self._leaving = False
        self._waiting: asyncio.Future[None] | None = None
        self._room_calls: list[Callable[[], None]] = []
        self._task = self._loop.create_task(self._run())

    # -- as the sink of what comes before ------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        return self._held >= self.entry.toxic.buffer and not self.finished

    def push(self, chunk: Chunk) -> None:
        if self.finished:
            return  # the connection is being closed
        self._inbox.append(chunk)
        self._held += len(chunk.data)
        self.wake()

    def end(self) -> None:
        self._ended = True
        self.wake()

    def when_room(self, call: Callable[[], None]) -> None:
        self._room_calls.append(call)

    # -- for the chain -------------------------------------------------------------------------------------------

    def change(self) -> None:
        """The entry has changed: go on with it as it is now."""
        self._interrupted = True
        self.wake()

    def leave(self) -> None:
        """The entry was taken out: hand on what is held, then `on_gone`."""
        self._leaving = True
        self.change()

    def wake(self) -> None:
        """Look again at whatever is being waited for."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def cancel(self) -> None:
        """The connection is over."""
        self.finished = True
        self._task.cancel()

    # -- as the passage of its toxic -----------------------------------------------------------------------------

    def now(self) -> float:
        return self._loop.time()

    async def get(self, within: float | None = None) -> Chunk | None:
        deadline = None if within is None else self.now() + within
        while True:
            if self._interrupted:
                raise Interrupted
            if self._inbox:
                return self._take()
            if self._ended:
                return None
            if deadline is not None and self.now() >= deadline:
                raise TimeoutError
            await self._wait(deadline)

    async def put(self, chunk: Chunk) -> None:
        self.passed += len(chunk.data)
        self.sink.push(chunk)
        while self.sink.full and not self._interrupted:
            self.sink.when_room(self.wake)
            await self._wait(None)

    async def sleep(self, duration: float) -> bool:
        deadline = self.now() + duration
        while not self._interrupted and self.now() < deadline:
            await self._wait(None if deadline == math.inf else deadline)
        return not self._interrupted

    # -- itself --------------------------------------------------------------------------------------------------

    def _take(self) -> Chunk:
        chunk = self._inbox.popleft()
        self._held -= len(chunk.data)
        if self._room_calls and not self.full:
            self._call_for_room()
        return chunk

    def _call_for_room(self) -> None:
        calls, self._room_calls = self._room_calls, []
        for call in calls:
            call()

    async def _wait(self, deadline: float | None) -> None:
        self._waiting = self._loop.create_future()
        timer = None if deadline is None else self._loop.call_at(deadline, self.wake)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if timer is not None:
                timer.cancel()

    async def _run(self) -> None:
        while not self.finished:
            toxic = self.entry.toxic if self._draw < self.entry.toxicity else self._spared_by
            try:
                await toxic.pipe(self)
            except Interrupted:
                self._interrupted = False
                if self._leaving:
                    self._go()
            except Exception:
                log.exception("the toxic %s failed; its connection is reset", self.entry.name)
                self.reset()
                self._close()
            else:
                self._close()

    def _go(self) -> None:
        if self.entry.toxic.cuts_when_removed:
            self._close()
            return
        self.finished = True
        self._flush()
        self.on_gone(self)
        self._call_for_room()

    def _flush(self) -> None:
        while self._inbox:
            self.sink.push(self._take())
        if self._ended:
            self.sink.end()

    def _close(self) -> None:
        self.finished = True
        self._inbox.clear()
        self.sink.end()
        self._call_for_room()
