"""Check: a claim that can be judged from a record alone, and that has been seen to turn red."""

from __future__ import annotations

from typing import Protocol

from harness.model.record import Record
from harness.model.verdict import Control, Verdict


class Check(Protocol):
    """A frozen dataclass whose field `kind` (a Literal) names its class, so that it can be saved and read again."""

    @property
    def kind(self) -> str: ...

    @property
    def claim(self) -> str:
        """What is claimed, in one sentence fit for a report."""
        ...

    def judge(self, record: Record) -> Verdict:
        """Judge the claim. No evidence is UNKNOWN, never a pass. Must not raise on a well-formed record."""
        ...

    def red_under(self, record: Record) -> frozenset[Control]:
        """The controls under which this claim must not PASS; staying green there makes it vacuous."""
        ...
