"""Gaps: the stretches in which a source of evidence did not answer."""

from __future__ import annotations

from collections.abc import Mapping

from harness.model.record import Gap


class GapKeeper:
    """Told of each look at each source, it knows when a source was silent. A gap reaches from the last good look to
    the next one: what happened in between, nobody saw."""

    def __init__(self) -> None:
        self._good: dict[str, float] = {}
        self._open: dict[str, tuple[float, str]] = {}
        self._closed: list[Gap] = []

    def good(self, source: str, at: float) -> None:
        """`source` answered at `at`."""
        if source in self._open:
            began, problem = self._open.pop(source)
            self._closed.append(Gap(source=source, began=began, ended=at, problem=problem))
        self._good[source] = at

    def bad(self, source: str, at: float, problem: str) -> None:
        """`source` did not answer at `at`; `problem` is what it said instead."""
        if source not in self._open:
            self._open[source] = (self._good.get(source, at), problem)

    def lost(self, source: str, began: float, ended: float, problem: str) -> None:
        """What `source` knew of this stretch is gone."""
        self._closed.append(Gap(source=source, began=began, ended=ended, problem=problem))

    def last_good(self, source: str) -> float | None:
        """When `source` answered last."""
        return self._good.get(source)

    def open(self) -> Mapping[str, tuple[float, str]]:
        """The sources that are silent now: since when, and what they said."""
        return dict(self._open)

    def all(self, until: float) -> tuple[Gap, ...]:
        """Every gap so far, by its beginning; those still open end at `until`."""
        still = [
            Gap(source=source, began=began, ended=max(began, until), problem=problem)
            for source, (began, problem) in self._open.items()
        ]
        return tuple(sorted([*self._closed, *still], key=lambda gap: (gap.began, gap.source)))
