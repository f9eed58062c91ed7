"""Timeline: what happened when. Append only; checks and reports read it, everyone else writes it through the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = str | int | float | bool | None
SpanKind = Literal["load", "observe", "fault", "step", "wait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at one instant. `at` is wall time in seconds since the epoch."""

    at: float
    kind: str
    subject: str
    details: Mapping[str, Scalar] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind:18} {self.subject}"


@dataclass(frozen=True, slots=True)
class Moment:
    """A named instant of a run: the start or the end of one of its windows. It is resolved when judging."""

    window: str
    edge: Literal["start", "end"]

    def __str__(self) -> str:
        return f"the {self.edge} of {self.window}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A named stretch of the run, in wall seconds since the epoch. `ended` is None where the run broke off in it."""

    name: str
    kind: SpanKind
    began: float
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A reference to a named stretch of the run, handed to scenarios: checks name it, the record knows its instants."""

    name: str

    @property
    def start(self) -> Moment:
        return Moment(self.name, "start")

    @property
    def end(self) -> Moment:
        return Moment(self.name, "end")

    def __str__(self) -> str:
        return self.name
