"""Latency: everything arrives later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.faultproxy.stage import Chunk, Passage, Toxic


@dataclass(frozen=True, slots=True)
class Latency(Toxic):
    """Delays each chunk by `latency` ± `jitter` milliseconds, counted from its arrival; the order is kept.

    The jitter is even. The end of the connection and its handshake are not delayed.
    """

    latency: int = 0
    jitter: int = 0

    # What is under way must be held somewhere: Toxiproxy's 1024 chunks of 32 KiB.
    buffer: ClassVar[int] = 32 * 2**20

    async def pipe(self, passage: Passage) -> None:
        while (chunk := await passage.get()) is not None:
            late = self._delay(passage) - (passage.now() - chunk.at)
            await passage.sleep(late)
            await passage.put(Chunk(chunk.data, chunk.at + late))

    def _delay(self, passage: Passage) -> float:
        spread = passage.random.randrange(-self.jitter, self.jitter) if self.jitter > 0 else 0
        return (self.latency + spread) / 1000
