"""Unchanged: the claim that the system is after the story what it was before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.census.take import OPEN_FILES, UNREAD
from harness.model.record import Record, StepRecord
from harness.model.verdict import Control, Outcome, Verdict
from harness.runbook.effect import INCREASED

# Open files come and go with connections that are kept for a minute: this many more are nothing that was left behind.
MORE_FILES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """Settings, limits, toxics, processes and open files are what they were. FAIL names all that differs; what a step
    changed that the runbook has no way back from is known, and said."""

    kind: Literal["census.unchanged"] = "census.unchanged"

    @property
    def claim(self) -> str:
        return "the system is set to what it was before, and holds no more"

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset()

    def judge(self, record: Record) -> Verdict:
        before, after = record.census_before, record.census_after
        if not before or not after:
            return self._said(Outcome.UNKNOWN, "no census was taken" + (" after the story" if before else ""))
        if unread := list(_unread(before, after)):
            return self._said(Outcome.UNKNOWN, unread[0], *unread)
        found, known = differences(before, after), no_way_back(record.steps)
        accepted = {name: f"{said}: {known[name]}" for name, said in found.items() if name in known}
        if new := [said for name, said in found.items() if name not in known]:
            return self._said(Outcome.FAIL, "; ".join(new), *new, *accepted.values())
        counted = len(before.keys() | after.keys())
        same = f"{counted - len(accepted)} of {counted} things are as before"
        left = f"; known to stay: {'; '.join(accepted.values())}" if accepted else ""
        return self._said(Outcome.PASS, same + left, *accepted.values())

    def _said(self, outcome: Outcome, observed: str, *evidence: str) -> Verdict:
        return Verdict(claim=self.claim, outcome=outcome, observed=observed, evidence=evidence)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> Mapping[str, str]:
    """What differs between two censuses, by its name and in words; some files more or less do not."""
    names = dict.fromkeys([*before, *after])
    said = {name: _differing(name, before.get(name), after.get(name)) for name in names}
    return {name: words for name, words in said.items() if words}


def no_way_back(steps: Sequence[StepRecord]) -> Mapping[str, str]:
    """What performed steps have changed that the runbook can't take back, by its name in a census, and the reason."""
    return {
        effect.claim.rsplit(" ", 1 if effect.claim.endswith(INCREASED) else 2)[0]: step.no_undo
        for step in steps
        if step.no_undo and not step.skipped
        for effect in step.effects
    }


def _unread(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for when, census in (("before", before), ("after", after)):
        for name, value in census.items():
            if value.startswith(UNREAD):
                yield f"{name} {value} ({when} the story)"


def _differing(name: str, was: str | None, now: str | None) -> str:
    if was == now or (was and now and name.startswith(OPEN_FILES) and _much_the_same(int(was), int(now))):
        return ""
    return f"{name}: {'not there' if was is None else was} before, {'not there' if now is None else now} after"


def _much_the_same(was: int, now: int) -> bool:
    return now <= was + MORE_FILES
