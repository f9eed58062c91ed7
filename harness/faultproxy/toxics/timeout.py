"""Timeout: nothing passes, and after a while the connection is closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.faultproxy.stage import Passage, Toxic


@dataclass(frozen=True, slots=True)
class Timeout(Toxic):
    """Swallows all data and closes the connection once none has come for `timeout` milliseconds; 0 never closes.

    Taken out, it closes the connections that it was on: what it swallowed is lost, so they can't go on.
    """

    timeout: int = 0

    cuts_when_removed: ClassVar[bool] = True

    async def pipe(self, passage: Passage) -> None:
        within = self.timeout / 1000 if self.timeout > 0 else None
        try:
            while await passage.get(within) is not None:
                pass
        except TimeoutError:
            return
