"""Reset peer: the connection breaks with a TCP reset."""

from __future__ import annotations

from dataclasses import dataclass

from harness.faultproxy.stage import Passage, Toxic


@dataclass(frozen=True, slots=True)
class ResetPeer(Toxic):
    """Resets both sides `timeout` milliseconds after the first data; nothing passes before."""

    timeout: int = 0

    async def pipe(self, passage: Passage) -> None:
        await passage.get()
        await passage.sleep(self.timeout / 1000)
        passage.reset()
