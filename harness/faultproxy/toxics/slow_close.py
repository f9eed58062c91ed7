"""Slow close: the end of the connection arrives later than its data."""

from __future__ import annotations

from dataclasses import dataclass

from harness.faultproxy.stage import Interrupted, Passage, Toxic


@dataclass(frozen=True, slots=True)
class SlowClose(Toxic):
    """Holds the close back for `delay` milliseconds."""

    delay: int = 0

    async def pipe(self, passage: Passage) -> None:
        while (chunk := await passage.get()) is not None:
            await passage.put(chunk)
        if not await passage.sleep(self.delay / 1000):
            raise Interrupted
