"""Slicer: data arrive in many small pieces."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from harness.faultproxy.stage import Chunk, Passage, Toxic


@dataclass(frozen=True, slots=True)
class Slicer(Toxic):
    """Cuts data into pieces of about `average_size` ± `size_variation` bytes, `delay` microseconds apart."""

    average_size: int = 0
    size_variation: int = 0
    delay: int = 0

    async def pipe(self, passage: Passage) -> None:
        due = passage.now()
        while (chunk := await passage.get()) is not None:
            due = max(due, passage.now())
            for start, end in self.cuts(0, len(chunk.data), passage.random):
                await passage.put(Chunk(chunk.data[start:end], chunk.at))
                due += self.delay / 1_000_000  # timers are coarse: keep to a plan, so that lateness does not add up
                if not await passage.sleep(due - passage.now()):
                    await passage.put(Chunk(chunk.data[end:], chunk.at))
                    break

    def cuts(self, start: int, end: int, chance: random.Random) -> Iterator[tuple[int, int]]:
        """The pieces of the stretch `start`..`end`: halve near the middle until small enough, so that no piece at
        either end is special."""
        size = end - start
        if size - self.average_size <= self.size_variation or size <= 1:
            yield start, end
            return
        middle = start + size // 2
        if self.size_variation > 0:
            middle += chance.randrange(-self.size_variation, self.size_variation)
        middle = min(max(middle, start + 1), end - 1)  # both halves are smaller, or it would never end
        yield from self.cuts(start, middle, chance)
        yield from self.cuts(middle, end, chance)
