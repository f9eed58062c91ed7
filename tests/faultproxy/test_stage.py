"""How a toxic at work takes data in, is changed and taken out, without real waiting."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from harness.faultproxy.stage import Chunk, Entry, Passage, Stage, Toxic
from harness.faultproxy.toxics.latency import Latency
from harness.faultproxy.toxics.limit_data import LimitData
from harness.faultproxy.toxics.noop import Noop
from harness.faultproxy.toxics.timeout import Timeout

HOUR = 3_600_000  # ms: longer than any test


@dataclass
class Outlet:
    """A sink that remembers, and is full when told so."""

    data: bytes = b""
    ended: bool = False
    full: bool = False
    calls: list[Callable[[], None]] = field(default_factory=list)

    def push(self, chunk: Chunk) -> None:
        self.data += chunk.data

    def end(self) -> None:
        self.ended = True

    def when_room(self, call: Callable[[], None]) -> None:
        self.calls.append(call)


class Broken(Toxic):
    """A toxic with an error in it."""

    async def pipe(self, passage: Passage) -> None:
        await passage.get()
        raise RuntimeError("an error in a toxic")


@dataclass
class Bench:
    """A stage on a bench, with what it is connected to."""

    outlet: Outlet
    entry: Entry
    stage: Stage
    resets: list[bool]

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def feed(self, *data: bytes) -> None:
        for piece in data:
            self.stage.push(Chunk(piece, self.stage.now()))
        await self.settle()


def on_bench(toxic: Toxic, story: Callable[[Bench], Awaitable[None]], toxicity: float = 1.0) -> None:
    async def play() -> None:
        outlet, resets = Outlet(), list[bool]()
        entry = Entry("it", "kind", "downstream", toxicity, toxic)
        stage = Stage(entry, outlet, spared_by=Noop(), chance=random.Random(1), reset=lambda: resets.append(True))
        bench = Bench(outlet, entry, stage, resets)
        await bench.settle()
        await story(bench)
        stage.cancel()
        await bench.settle()

    asyncio.run(play())


def test_what_is_held_leaves_when_the_toxic_does() -> None:
    """Data in hand and data that wait behind leave at once and in order, and the stage says that it is gone."""

    async def story(bench: Bench) -> None:
        gone: list[Stage] = []
        bench.stage.on_gone = gone.append
        await bench.feed(b"a", b"b", b"c")
        assert bench.outlet.data == b""
        bench.stage.leave()
        await bench.settle()
        assert bench.outlet.data == b"abc"
        assert gone == [bench.stage]
        assert not bench.outlet.ended

    on_bench(Latency(HOUR), story)


def test_an_end_that_waits_is_passed_on() -> None:
    """A connection that was closed meanwhile is closed after its data."""

    async def story(bench: Bench) -> None:
        await bench.feed(b"a")
        bench.stage.end()
        bench.stage.leave()
        await bench.settle()
        assert (bench.outlet.data, bench.outlet.ended) == (b"a", True)

    on_bench(Latency(HOUR), story)


def test_a_change_acts_on_data_still_to_come() -> None:
    """What the old settings held leaves; what comes next meets the new ones."""

    async def story(bench: Bench) -> None:
        await bench.feed(b"a")
        bench.entry.toxic = LimitData(2)
        bench.stage.change()
        await bench.feed(b"bcd")
        assert bench.outlet.data == b"ab"
        assert bench.outlet.ended

    on_bench(Latency(HOUR), story)


def test_a_timeout_that_is_taken_out_closes() -> None:
    """What it swallowed is lost, so its connection can't go on."""

    async def story(bench: Bench) -> None:
        await bench.feed(b"lost")
        bench.stage.leave()
        await bench.settle()
        assert (bench.outlet.data, bench.outlet.ended) == (b"", True)

    on_bench(Timeout(0), story)


@pytest.mark.parametrize(("toxicity", "passed"), [(0.0, b"a"), (1.0, b"")])
def test_a_spared_connection_meets_nothing(toxicity: float, passed: bytes) -> None:
    """Toxicity 0 spares every connection, toxicity 1 none."""

    async def story(bench: Bench) -> None:
        await bench.feed(b"a")
        assert bench.outlet.data == passed

    on_bench(Timeout(0), story, toxicity)


def test_a_connection_keeps_its_draw() -> None:
    """A toxicity above the connection's draw hits it, one below spares it, every time."""
    draw = random.Random(1).random()

    async def story(bench: Bench) -> None:
        for toxicity, data in ((draw + 0.01, b"a"), (draw - 0.01, b"b"), (draw + 0.01, b"c"), (draw - 0.01, b"d")):
            bench.entry.toxicity = toxicity
            bench.stage.change()
            await bench.feed(data)
        assert bench.outlet.data == b"bd"

    on_bench(Timeout(0), story)


def test_a_full_sink_stops_the_stage_and_its_sender() -> None:
    """While the sink can't take more, a little is held and then the stage is full; room lets everything through."""

    async def story(bench: Bench) -> None:
        room: list[str] = []
        bench.outlet.full = True
        await bench.feed(b"a", b"b" * Noop.buffer)
        assert bench.outlet.data == b"a"
        assert bench.stage.full
        bench.stage.when_room(lambda: room.append("room"))
        bench.outlet.full = False
        for call in bench.outlet.calls:
            call()
        await bench.settle()
        assert len(bench.outlet.data) == 1 + Noop.buffer
        assert room == ["room"]
        assert not bench.stage.full

    on_bench(Noop(), story)


def test_a_full_sink_does_not_keep_a_toxic_in() -> None:
    """A receiver that takes nothing can't hold up a removal."""

    async def story(bench: Bench) -> None:
        bench.outlet.full = True
        await bench.feed(b"a", b"b")
        bench.stage.leave()
        await bench.settle()
        assert bench.outlet.data == b"ab"
        assert bench.stage.finished

    on_bench(Noop(), story)


def test_an_error_in_a_toxic_resets_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """A toxic that fails does not become a connection without a fault."""

    async def story(bench: Bench) -> None:
        await bench.feed(b"a")
        assert bench.resets == [True]
        assert bench.outlet.ended

    on_bench(Broken(), story)
    assert "an error in a toxic" in caplog.text
