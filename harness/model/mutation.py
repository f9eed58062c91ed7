"""Mutation: which changes to the alert rules the scenarios would have noticed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

# killed: a claim that held fails with the changed rule. survived: nothing noticed. equivalent: proven to be the same
# rule. undecided: what was recorded does not tell what the changed rule would have done.
Fate = Literal["killed", "survived", "equivalent", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """The claim that noticed. `supposed`: on the supposition that the incident would have gone on as it was while
    people still waited for the changed rule. `live`: in a run with the changed rule, not by replay."""

    scenario: str
    run_id: str
    claim: str
    observed: str
    supposed: bool = False
    live: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One mutant and what became of it. `before` and `after` are the changed part of the rule; `tell` what would have
    to happen for it to be noticed; `why` says why it is undecided, or survived."""

    name: str
    file: str
    alert: str
    operator: str
    before: str
    after: str
    tell: str
    fate: Fate
    kill: Kill | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """Whether a recorded run could be used for an alert: the rule as deployed, replayed, did what was recorded."""

    scenario: str
    run_id: str
    alert: str
    usable: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How many mutants of `name` (a rule file, an alert, or all) were killed, of those that could have been."""

    name: str
    killed: int
    survived: int
    equivalent: int
    undecided: int

    @property
    def share(self) -> float | None:
        """Killed of killed and survived; None where there were neither."""
        counted = self.killed + self.survived
        return self.killed / counted if counted else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """All mutants and all replays; `seconds` is how long it took by the clock on the wall."""

    tried: tuple[Tried, ...]
    replayed: tuple[Replayed, ...]
    seconds: float

    def whole(self) -> Score:
        """The score of all rules."""
        return _score("all", self.tried)

    def by_file(self) -> tuple[Score, ...]:
        """The score of each rule file."""
        return self._by(lambda one: one.file)

    def by_alert(self) -> tuple[Score, ...]:
        """The score of each alert."""
        return self._by(lambda one: one.alert)

    def with_fate(self, fate: Fate) -> tuple[Tried, ...]:
        """The mutants that met `fate`, in order."""
        return tuple(one for one in self.tried if one.fate == fate)

    def _by(self, key: Callable[[Tried], str]) -> tuple[Score, ...]:
        names = dict.fromkeys(map(key, self.tried))
        return tuple(_score(name, [one for one in self.tried if key(one) == name]) for name in names)


def _score(name: str, tried: Sequence[Tried]) -> Score:
    count = {fate: sum(one.fate == fate for one in tried) for fate in ("killed", "survived", "equivalent", "undecided")}
    return Score(name=name, **count)
