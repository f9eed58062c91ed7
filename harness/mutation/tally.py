"""Tally: what all recorded runs together, and the rule tests, say of each mutant."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from harness.alerts.rules import WrittenRule
from harness.model.mutation import Fate, Kill, Mutation, Replayed, Tried
from harness.model.record import Record
from harness.mutation.mutant import Mutant
from harness.mutation.replay import Replay, Result
from harness.mutation.trial import Trials

# Runs that are followed at the same time: promtool is one process for each, and a mutant that one run kills need not
# be tried on those that come after.
TOGETHER = 2
# What became of a mutant is the first of these that either the records or the rule tests say: what one of them can't
# tell, the other has looked at in vain.
_FIRST: tuple[Fate, ...] = ("killed", "equivalent", "survived")


@dataclass(slots=True)
class Tally:
    """Some mutants, and what became of each so far: by `trials` under the rule tests, by `kills` on the records."""

    mutants: tuple[Mutant, ...]
    records: Sequence[Record] = ()
    trials: Trials = field(default_factory=Trials)
    kills: dict[str, Kill] = field(default_factory=dict)
    tried: dict[str, list[Result]] = field(default_factory=dict)
    replayed: list[Replayed] = field(default_factory=list)
    same: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.same = {one.name: why for one in self.mutants if (why := one.equivalent)}

    def left(self, alert: str) -> list[Mutant]:
        """The mutants of `alert` that no recorded run has killed yet and that are not the rule itself."""
        return [
            one
            for one in self.mutants
            if one.rule.name == alert and one.name not in self.kills and one.name not in self.same
        ]

    def survivors(self) -> list[Mutant]:
        """Those that nothing has killed yet and that are not the rule itself."""
        gone = self.kills.keys() | self.trials.failed.keys() | self.same.keys()
        return [one for one in self.mutants if one.name not in gone]

    def take(self, result: Result) -> None:
        self.tried.setdefault(result.mutant.name, []).append(result)
        if result.kill is not None:
            self.kills[result.mutant.name] = result.kill

    def mutation(self, began: float, lived: Mapping[str, str]) -> Mutation:
        """All of it; `lived` says which survivors lived through a run of their own, too."""
        return Mutation(
            tried=tuple(self._tried(one, lived.get(one.name, "")) for one in self.mutants),
            replayed=tuple(self.replayed),
            seconds=time.monotonic() - began,
            tests=tuple(self.trials.tests),
        )

    def _tried(self, mutant: Mutant, lived: str) -> Tried:
        same = self.same.get(mutant.name, "")
        replayed, why_replayed = self._replayed(mutant)
        tested, why_tested = self.trials.fate(mutant)
        if lived and replayed == "undecided":
            replayed = "survived"
        if same and "killed" not in (replayed, tested):
            replayed, tested = replayed and "equivalent", tested and "equivalent"
        found = {replayed, tested}
        fate: Fate = next((one for one in _FIRST if one in found), "undecided")
        whys = [] if fate == "killed" else [same] if same else [lived or why_replayed, why_tested]
        return Tried(
            name=mutant.name,
            file=mutant.rule.source,
            alert=mutant.rule.name,
            operator=mutant.operator,
            before=mutant.before,
            after=mutant.after,
            tell=mutant.tell,
            fate=fate,
            replayed=replayed,
            tested=tested,
            kill=self.kills.get(mutant.name),
            failed=self.trials.failed.get(mutant.name),
            why="; ".join(filter(None, whys)),
        )

    def _replayed(self, mutant: Mutant) -> tuple[Fate | None, str]:
        """What the records by themselves make of it, and why it lived; None without records."""
        if mutant.name in self.kills:
            return "killed", ""
        if not self.records:
            return None, ""
        results = self.tried.get(mutant.name, [])
        if not results:
            speaks = [one for one in self.replayed if one.alert == mutant.rule.name]
            if speaks:
                return "undecided", f"no recorded run could be used: {speaks[0].why}"
            return "survived", "no claim that held in a recorded run speaks of this alert"
        unfit = [one.why for one in results if one.why]
        if len(unfit) == len(results):
            return "undecided", unfit[0]
        parted = sorted({one.scenario for one in results if one.parted})
        told = f"; how {', '.join(parted)} would have gone on, only a run with it can tell" if parted else ""
        return "survived", f"{len(results) - len(unfit)} runs with claims on it did not notice{told}"


def tally(
    rules: Sequence[WrittenRule],
    mutants: Sequence[Mutant],
    records: Iterable[Record],
    promtool: str,
    *,
    trials: Trials | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Tally:
    """Try every one of `mutants` on `records`, the shortest first; `rules` are all that are deployed, and `trials` what
    the rule tests have said before."""
    runs = sorted(records, key=lambda record: record.ended - record.began)
    found = Tally(tuple(mutants), runs, trials or Trials())
    meant = dict.fromkeys(one.rule.name for one in mutants)
    with ThreadPoolExecutor(TOGETHER) as pool:
        for number in range(0, len(runs), TOGETHER):
            together = runs[number : number + TOGETHER]
            left = {name: found.left(name) for name in meant}
            for replayed, results in pool.map(partial(_on, rules, promtool, left), together):
                found.replayed += replayed
                for result in results:
                    found.take(result)
            say(f"{number + len(together)} of {len(runs)} runs, {len(found.kills)} of {len(found.mutants)} killed")
    return found


def _on(
    rules: Sequence[WrittenRule], promtool: str, left: Mapping[str, Sequence[Mutant]], record: Record
) -> tuple[list[Replayed], list[Result]]:
    replay = Replay(record=record, rules=rules, promtool=promtool)
    replayed, results = [], []
    for alert in replay.claims():
        if left.get(alert):
            one, said = replay.of(alert, left[alert])
            replayed.append(one)
            results += said
    return replayed, results
