"""Mutation: which changes to the alert rules the scenarios, and the rule tests, would have noticed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

# killed: a claim, or a rule test, that held fails with the changed rule. survived: nothing noticed. equivalent: proven
# to be the same rule. undecided: what was recorded does not tell what the changed rule would have done.
Fate = Literal["killed", "survived", "equivalent", "undecided"]
# By what a score counts: by all there is, by the recorded runs alone, by the rule tests alone.
By = Literal["fate", "replayed", "tested"]


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
class Failed:
    """The rule test that noticed: its file and its name, and what it had expected (of an alert, at an instant)."""

    file: str
    test: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}, {self.test or 'a test without a name'} ({self.expected})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One mutant and what became of it. `before` and `after` are the changed part of the rule; `tell` what would have
    to happen for it to be noticed; `why` says why it is undecided, survived or equivalent. `replayed` and `tested` are
    what the recorded runs and the rule tests say by themselves; None where there were none."""

    name: str
    file: str
    alert: str
    operator: str
    before: str
    after: str
    tell: str
    fate: Fate
    replayed: Fate | None = None
    tested: Fate | None = None
    kill: Kill | None = None
    failed: Failed | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTests:
    """A file of rule tests: how many are in it, and whether it could be used: with the deployed rules it passes."""

    file: str
    count: int
    usable: bool
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
    """All mutants, all replays and all files of rule tests; `seconds` is how long it took by the clock on the wall."""

    tried: tuple[Tried, ...]
    replayed: tuple[Replayed, ...]
    seconds: float
    tests: tuple[RuleTests, ...] = ()

    def whole(self, by: By = "fate") -> Score:
        """The score of all rules."""
        return _score("all", self.tried, by)

    def by_file(self, by: By = "fate") -> tuple[Score, ...]:
        """The score of each rule file."""
        return self._by(lambda one: one.file, by)

    def by_alert(self, by: By = "fate") -> tuple[Score, ...]:
        """The score of each alert."""
        return self._by(lambda one: one.alert, by)

    def with_fate(self, fate: Fate) -> tuple[Tried, ...]:
        """The mutants that met `fate`, in order."""
        return tuple(one for one in self.tried if one.fate == fate)

    def _by(self, key: Callable[[Tried], str], by: By) -> tuple[Score, ...]:
        names = dict.fromkeys(map(key, self.tried))
        return tuple(_score(name, [one for one in self.tried if key(one) == name], by) for name in names)


def _score(name: str, tried: Sequence[Tried], by: By) -> Score:
    met = [one.fate if by == "fate" else one.replayed if by == "replayed" else one.tested for one in tried]
    return Score(
        name=name,
        killed=met.count("killed"),
        survived=met.count("survived"),
        equivalent=met.count("equivalent"),
        undecided=met.count("undecided"),
    )
