"""Lateness: how far behind its plan the engine started each arrival, and how long its garbage collector held it up."""

from __future__ import annotations

import gc
import math
import time
from array import array


class Lateness:
    """Every arrival's delay between its planned instant and its start, in seconds; percentiles are exact."""

    def __init__(self) -> None:
        self._all = array("d")
        self.most = 0.0

    def add(self, seconds: float) -> None:
        self._all.append(seconds)
        self.most = max(self.most, seconds)

    def percentiles(self, *shares: float) -> list[float | None]:
        """The nearest-rank percentile for each of `shares` (0 to 1); None where nothing was added."""
        ordered = sorted(self._all)
        return [ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None for share in shares]


class Pauses:
    """Python's garbage collections since `watch`, how many and the longest in seconds."""

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0.0
        self._began = 0.0

    def watch(self) -> None:
        """Set aside what stands already, so that it is never searched again, and count from now on."""
        gc.collect()
        gc.freeze()
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.count += 1
            self.longest = max(self.longest, time.perf_counter() - self._began)
