"""Level: a value that Prometheus can tell at any instant, and the claims that can be made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.alerts import promql
from harness.alerts.meaning import ANY, LEVEL, Meaning
from harness.errors import UsageError
from harness.levels.checks import LevelKept, LevelWent
from harness.model.timeline import Window


@dataclass(frozen=True, slots=True)
class Level:
    """`name` says in a few words what the PromQL expression `expr` gives: a gauge, a rate, a ratio. Its ranges are in
    runbook time; several series are each held to what is claimed. What the time scale can't keep is refused."""

    name: str
    expr: str

    def __post_init__(self) -> None:
        try:
            meaning = Meaning()
            power = meaning.of(promql.parse(self.expr))
            problems = list(dict.fromkeys(meaning.problems))
            problems += [] if power in (LEVEL, ANY) else [f"it is {power.said()}, which depends on the time scale"]
        except ValueError as problem:
            problems = [str(problem)]
        if problems:
            raise UsageError(f"{self.name}: `{self.expr}` is no level", problems=problems)

    def __str__(self) -> str:
        return self.name

    def below(self, limit: float) -> LevelLimit:
        """It stays below `limit`: a number in the expression's own unit, `percent(70)` for a ratio."""
        return LevelLimit(self, "<", limit)

    def at_least(self, limit: float) -> LevelLimit:
        """It never falls below `limit`."""
        return LevelLimit(self, ">=", limit)

    def goes(self, *values: float, during: Window) -> LevelWent:
        """The claim that it had these values one after the other, others between them or not."""
        if len(values) < 2:
            raise UsageError(f"{self.name}: it takes two values to go from one to the other")
        return LevelWent(name=self.name, expr=self.expr, values=values, windows=(during.name,))


@dataclass(frozen=True, slots=True)
class LevelLimit:
    """A level and its limit, before it is said when."""

    level: Level
    sign: Literal["<", ">="]
    limit: float

    def during(self, *windows: Window) -> LevelKept:
        """The claim that the limit was kept all through each of `windows`."""
        if not windows:
            raise UsageError(
                "during() needs a window", hint="name one: CPU.below(percent(70)).during(run.observe(...))"
            )
        return LevelKept(
            name=self.level.name,
            expr=self.level.expr,
            sign=self.sign,
            limit=self.limit,
            windows=tuple(window.name for window in windows),
        )
