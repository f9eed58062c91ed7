"""Limit data: the connection closes after so many bytes."""

from __future__ import annotations

from dataclasses import dataclass

from harness.faultproxy.stage import Chunk, Passage, Toxic


@dataclass(frozen=True, slots=True)
class LimitData(Toxic):
    """Lets the first `bytes` bytes of a connection pass, counted from when the toxic came, and then closes it."""

    bytes: int = 0

    async def pipe(self, passage: Passage) -> None:
        while (chunk := await passage.get()) is not None:
            left = max(0, self.bytes - passage.passed)
            if left:
                await passage.put(Chunk(chunk.data[:left], chunk.at))
            if passage.passed >= self.bytes:
                return
