"""Noop: pass everything on as it is."""

from __future__ import annotations

from dataclasses import dataclass

from harness.faultproxy.stage import Passage, Toxic


@dataclass(frozen=True, slots=True)
class Noop(Toxic):
    """No settings. Also what a connection gets that a toxic's `toxicity` spares."""

    async def pipe(self, passage: Passage) -> None:
        while (chunk := await passage.get()) is not None:
            await passage.put(chunk)
