"""What each toxic does to the data of one connection, on a clock that only the toxic moves."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Coroutine, Sequence

import pytest

from harness.faultproxy.stage import Chunk, Interrupted, Toxic
from harness.faultproxy.toxics import KINDS
from harness.faultproxy.toxics.bandwidth import Bandwidth
from harness.faultproxy.toxics.latency import Latency
from harness.faultproxy.toxics.limit_data import LimitData
from harness.faultproxy.toxics.noop import Noop
from harness.faultproxy.toxics.reset_peer import ResetPeer
from harness.faultproxy.toxics.slicer import Slicer
from harness.faultproxy.toxics.slow_close import SlowClose
from harness.faultproxy.toxics.timeout import Timeout
from harness.sandbox.toxics import TOXICS


class ScriptedPassage:
    """A Passage whose chunks come at fixed instants; `sent` has (instant, data) of all that was put."""

    def __init__(self, chunks: Sequence[tuple[float, bytes]], *, interrupt_at: float = math.inf, seed: int = 1) -> None:
        self._chunks = [Chunk(data, at) for at, data in chunks]
        self._interrupt_at = interrupt_at
        self._now = 0.0
        self.random = random.Random(seed)
        self.passed = 0
        self.sent: list[tuple[float, bytes]] = []
        self.was_reset = False
        self.closed_at: float | None = None

    def now(self) -> float:
        return self._now

    async def get(self, within: float | None = None) -> Chunk | None:
        if self._now >= self._interrupt_at:
            raise Interrupted
        deadline = math.inf if within is None else self._now + within
        if not self._chunks and deadline == math.inf:
            return None
        if not self._chunks or self._chunks[0].at > deadline:
            self._now = deadline
            raise TimeoutError
        chunk = self._chunks.pop(0)
        self._now = max(self._now, chunk.at)
        return chunk

    async def put(self, chunk: Chunk) -> None:
        self.passed += len(chunk.data)
        self.sent.append((round(self._now, 6), chunk.data))

    async def sleep(self, duration: float) -> bool:
        until = max(self._now, self._now + duration)
        self._now = min(until, self._interrupt_at)
        return until < self._interrupt_at

    def reset(self) -> None:
        self.was_reset = True


def run(steps: Coroutine[None, None, None]) -> None:
    """Run a coroutine that never really waits."""
    try:
        steps.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited for something outside its passage")


def pipe(toxic: Toxic, *chunks: tuple[float, bytes], interrupt_at: float = math.inf, seed: int = 1) -> ScriptedPassage:
    """Run `toxic` over `chunks` until the connection closes or it is interrupted."""
    passage = ScriptedPassage(chunks, interrupt_at=interrupt_at, seed=seed)
    try:
        run(toxic.pipe(passage))
        passage.closed_at = round(passage.now(), 6)
    except Interrupted:
        pass
    return passage


def test_noop_passes_data_unchanged() -> None:
    """Each chunk leaves when it came, and then the connection closes."""
    passage = pipe(Noop(), (0, b"a"), (1, b"b"))
    assert passage.sent == [(0, b"a"), (1, b"b")]
    assert passage.closed_at == 1


def test_latency_counts_from_each_chunks_arrival() -> None:
    """Chunks 10 ms apart leave 10 ms apart, one latency later: the delay is no throttle."""
    assert pipe(Latency(100), (0, b"a"), (0.01, b"b"), (5, b"c")).sent == [(0.1, b"a"), (0.11, b"b"), (5.1, b"c")]


def test_latency_keeps_the_order_under_jitter() -> None:
    """Each delay is in latency ± jitter, the data stay in order, and the seed decides the delays."""
    chunks = [(float(at), str(at).encode()) for at in range(50)]
    passage = pipe(Latency(300, 100), *chunks)
    delays = [left - came for (left, _), (came, _) in zip(passage.sent, chunks, strict=True)]
    assert 0.199 < min(delays) < 0.25
    assert 0.35 < max(delays) < 0.4
    assert [data for _, data in passage.sent] == [data for _, data in chunks]
    assert pipe(Latency(300, 100), *chunks, seed=1).sent == passage.sent
    assert pipe(Latency(300, 100), *chunks, seed=2).sent != passage.sent


def test_a_jitter_above_the_latency_never_goes_back_in_time() -> None:
    """A delay below zero is none."""
    passage = pipe(Latency(0, 500), *((float(at), b"x") for at in range(20)))
    assert all(left >= came for came, (left, _) in enumerate(passage.sent))


def test_an_interrupted_latency_hands_on_what_it_holds() -> None:
    """Taken out in the middle of a delay, the chunk leaves at that instant."""
    assert pipe(Latency(1000), (0, b"a"), interrupt_at=0.3).sent == [(0.3, b"a")]


def test_bandwidth_carries_at_its_rate() -> None:
    """At 10 kB/s, 3000 bytes leave in pieces of a tenth of a second."""
    passage = pipe(Bandwidth(10), (0, b"x" * 3000))
    assert [(at, len(data)) for at, data in passage.sent] == [(0.1, 1000), (0.2, 1000), (0.3, 1000)]


def test_bandwidth_queues_and_does_not_save_up() -> None:
    """A second chunk waits for the first; after an idle second the line is free, and no faster than before."""
    passage = pipe(Bandwidth(10), (0, b"x" * 500), (0.01, b"y" * 500), (1, b"z" * 500))
    assert [at for at, _ in passage.sent] == [0.05, 0.1, 1.05]


def test_an_interrupted_bandwidth_drops_nothing() -> None:
    """Taken out in the middle, the rest leaves at once."""
    passage = pipe(Bandwidth(10), (0, b"x" * 5000), interrupt_at=0.15)
    assert [(at, len(data)) for at, data in passage.sent] == [(0.1, 1000), (0.15, 4000)]


@pytest.mark.parametrize("rate", [0, -5])
def test_a_bandwidth_without_a_rate_holds_everything(rate: int) -> None:
    """Nothing leaves until it is changed, and then all does."""
    assert pipe(Bandwidth(rate), (0, b"abc"), interrupt_at=9).sent == [(9, b"abc")]


def test_slow_close_delays_only_the_end() -> None:
    """Data pass at once, the connection closes late."""
    passage = pipe(SlowClose(400), (1, b"a"))
    assert passage.sent == [(1, b"a")]
    assert passage.closed_at == 1.4


def test_an_interrupted_slow_close_leaves_the_end_to_the_next() -> None:
    """Changed while it holds the close back, it does not close by itself."""
    assert pipe(SlowClose(400), (1, b"a"), interrupt_at=1.1).closed_at is None


def test_timeout_closes_after_silence() -> None:
    """Nothing passes; as in Toxiproxy each swallowed chunk starts the wait anew."""
    passage = pipe(Timeout(1000), (0.5, b"a"), (1.2, b"b"))
    assert passage.sent == []
    assert passage.closed_at == 2.2


def test_a_timeout_of_zero_waits_for_the_sender() -> None:
    """It closes when the sender does, and not before."""
    assert pipe(Timeout(0), (0.5, b"a"), (70, b"b")).closed_at == 70


def test_reset_peer_resets_after_the_first_data() -> None:
    """`timeout` counts from the first data, which are lost."""
    passage = pipe(ResetPeer(200), (3, b"a"), (3.1, b"b"))
    assert passage.was_reset
    assert passage.sent == []
    assert passage.closed_at == 3.2


@pytest.mark.parametrize(
    ("limit", "sent"),
    [
        (0, []),  # nothing at all
        (3, [b"abc"]),  # cuts a chunk
        (4, [b"abcd"]),  # closes with the last byte allowed, without waiting for more
        (6, [b"abcd", b"ef"]),  # goes on into the next
        (99, [b"abcd", b"efgh"]),  # more than there is
    ],
)
def test_limit_data_passes_so_many_bytes(limit: int, sent: list[bytes]) -> None:
    """Exactly `bytes` bytes pass, and then it closes."""
    passage = pipe(LimitData(limit), (0, b"abcd"), (1, b"efgh"))
    assert [data for _, data in passage.sent] == sent
    assert passage.closed_at == (0 if limit <= 4 else 1)


@pytest.mark.parametrize("size", [1, 2, 99, 100, 1000, 65536])
@pytest.mark.parametrize(("average", "variation"), [(100, 0), (100, 60), (1, 0), (7, 6)])
def test_slices_cover_the_data(size: int, average: int, variation: int) -> None:
    """The pieces follow each other without a gap, and none is larger than average plus variation."""
    cuts = list(Slicer(average, variation).cuts(0, size, random.Random(1)))
    assert [cuts[0][0], *(end for _, end in cuts)] == [0, *(start for start, _ in cuts[1:]), size]
    assert max(end - start for start, end in cuts) <= average + variation
    assert min(end - start for start, end in cuts) >= 1


@pytest.mark.parametrize(("average", "variation"), [(0, 0), (-3, 0), (0, 50), (10, 5000), (5, -9)])
def test_a_senseless_slicer_ends(average: int, variation: int) -> None:
    """Settings that send Toxiproxy's server into endless recursion still give pieces that cover the data."""
    cuts = list(Slicer(average, variation).cuts(0, 500, random.Random(1)))
    assert sum(end - start for start, end in cuts) == 500


def test_slices_keep_to_a_plan() -> None:
    """Pieces leave `delay` apart, and the last is followed by a pause too."""
    passage = pipe(Slicer(50, 0, 20_000), (0, b"x" * 100), (0, b"y" * 50))
    assert [at for at, _ in passage.sent] == [0, 0.02, 0.04]


def test_an_interrupted_slicer_drops_nothing() -> None:
    """Taken out between two pieces, the rest leaves in one."""
    passage = pipe(Slicer(10, 0, 10_000), (0, bytes(range(80))), interrupt_at=0.015)
    assert b"".join(data for _, data in passage.sent) == bytes(range(80))
    assert [len(data) for _, data in passage.sent] == [10, 10, 60]


def test_the_adapter_knows_the_same_toxics() -> None:
    """The adapter's catalogue and the built-in proxy have the same kinds with the same attributes."""
    fields = {kind: {field.name for field in dataclasses.fields(toxic())} for kind, toxic in KINDS.items()}  # type: ignore[arg-type] # each is a dataclass
    assert fields == {kind: set(attributes) for kind, attributes in TOXICS.items()}
