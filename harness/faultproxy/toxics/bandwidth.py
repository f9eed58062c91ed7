"""Bandwidth: everything passes, but only so fast."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.faultproxy.stage import Chunk, Passage, Toxic

_TICK = 0.1  # seconds; at most this much of the rate goes out in one piece


@dataclass(frozen=True, slots=True)
class Bandwidth(Toxic):
    """Limits to `rate` kilobytes (1000 bytes) per second; 0 lets nothing pass."""

    rate: int = 0

    async def pipe(self, passage: Passage) -> None:
        free_at = -math.inf  # when the line has carried all that it was given
        while (chunk := await passage.get()) is not None:
            # A late wake-up is made good, idle time is not.
            free_at = passage.now() if passage.now() > free_at + _TICK else free_at
            rest = chunk.data
            while rest:
                piece = rest[: max(1, int(self.rate * 1000 * _TICK))]
                free_at = free_at + len(piece) / (self.rate * 1000) if self.rate > 0 else math.inf
                if not await passage.sleep(free_at - passage.now()):
                    piece = rest  # changed or taken out meanwhile: drop nothing, delay nothing
                await passage.put(Chunk(piece, chunk.at))
                rest = rest[len(piece) :]
