"""Base: what a counterfactual is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.model.controls import Grade
from harness.model.record import Record
from harness.model.verdict import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterfactual:
    """One way in which a run might have gone, or been seen, otherwise.

    `of` makes that record of one that was kept; None where it has nothing of the kind. A claim is turned by it where
    its verdict is then `red`: FAIL, or what stands for a refuted claim on the experiment itself. `concerns` are the
    kinds of claims that it is about (empty: all), less those of `spares`.
    """

    name: str
    grade: Grade
    of: Callable[[Record], Record | None]
    red: Outcome = Outcome.FAIL
    concerns: frozenset[str] = frozenset()
    spares: frozenset[str] = frozenset()

    def is_about(self, kind: str) -> bool:
        """Whether it says something of a claim of this kind."""
        return kind not in self.spares and (not self.concerns or kind in self.concerns)
