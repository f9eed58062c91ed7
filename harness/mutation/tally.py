"""Tally: what all recorded runs together say of each mutant."""

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
from harness.mutation.operators import mutants
from harness.mutation.replay import Replay, Result

# Runs that are followed at the same time: promtool is one process for each, and a mutant that one run kills need not
# be tried on those that come after.
TOGETHER = 2


@dataclass(slots=True)
class Tally:
    """Every mutant of `rules` (those named `alert`, if given), and what became of it so far."""

    rules: Sequence[WrittenRule]
    mutants: tuple[Mutant, ...]
    kills: dict[str, Kill] = field(default_factory=dict)
    tried: dict[str, list[Result]] = field(default_factory=dict)
    replayed: list[Replayed] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def left(self, alert: str) -> list[Mutant]:
        """The mutants of `alert` that nothing has killed yet and that are not the rule itself."""
        return [
            one for one in self.mutants if one.rule.name == alert and one.name not in self.kills and not one.equivalent
        ]

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
        )

    def _tried(self, mutant: Mutant, lived: str) -> Tried:
        fate, why = self._fate(mutant)
        return Tried(
            name=mutant.name,
            file=mutant.rule.source,
            alert=mutant.rule.name,
            operator=mutant.operator,
            before=mutant.before,
            after=mutant.after,
            tell=mutant.tell,
            fate="survived" if lived and fate == "undecided" else fate,
            kill=self.kills.get(mutant.name),
            why=lived or why,
        )

    def _fate(self, mutant: Mutant) -> tuple[Fate, str]:
        if mutant.name in self.kills:
            return "killed", ""
        if mutant.equivalent:
            return "equivalent", "the parser reads the same rule"
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
    records: Iterable[Record],
    promtool: str,
    *,
    alert: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Tally:
    """Try every mutant of `rules` (those of `alert` alone, if given) on `records`, the shortest first. Raises
    ValueError for an expression that can't be taken apart."""
    runs = sorted(records, key=lambda record: record.ended - record.began)
    jobs = sorted({one.labels["job"] for record in runs for one in record.alerts.up if "job" in one.labels})
    deployed = [rule for rule in rules if rule.kind == "alert" and alert in ("", rule.name)]
    found = Tally(rules, tuple(mutant for rule in deployed for mutant in mutants(rule, jobs)), records=runs)
    meant = {rule.name for rule in deployed}
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
