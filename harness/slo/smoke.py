"""Smoke: the claim that each of a system's core functions works, by what users made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.errors import UsageError
from harness.model.evidence import load_problem
from harness.model.load import Sample
from harness.model.record import Record
from harness.model.timeline import Window
from harness.model.verdict import Control, Outcome, Verdict
from harness.slo.limits import answered_rightly
from harness.slo.measure import PATIENCE, all_of

LEAST = 3  # tries of each function: one may have been luck


@dataclass(frozen=True, slots=True)
class SmokeTest:
    """The requests that stand for a system's core functions, as the load's users call them. Made by `Slo.smoke`."""

    requests: tuple[str, ...]

    def __str__(self) -> str:
        return f"a smoke test of {', '.join(self.requests)}"

    def during(self, window: Window) -> SmokePassed:
        """The claim that each of them was made in `window`, and answered rightly every time."""
        return SmokePassed(requests=self.requests, window=window.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokePassed:
    """Each of `requests` was made at least three times in `window`, and answered rightly each time, by the standard of
    the user who made it."""

    kind: Literal["slo.smoke"] = "slo.smoke"
    requests: tuple[str, ...]
    window: str

    @property
    def claim(self) -> str:
        return f"each of {', '.join(self.requests)} works in {self.window}"

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset()

    def judge(self, record: Record) -> Verdict:
        span = record.window(self.window)
        problem = load_problem(record)
        if problem or span is None or span.ended is None:
            said = problem or f"{self.window} never {'began' if span is None else 'ended'}"
            return self._verdict(Outcome.UNKNOWN, said)
        samples = record.during([span])
        judged = [_of([sample for sample in samples if sample.name == name], name) for name in self.requests]
        outcome = all_of(own for own, _ in judged)
        return self._verdict(outcome, "; ".join(said for own, said in judged if own is outcome))

    def _verdict(self, outcome: Outcome, observed: str) -> Verdict:
        return Verdict(
            claim=self.claim,
            outcome=outcome,
            observed=observed,
            limit=f"at least {LEAST} of each, all answered rightly",
        )


def smoke(*requests: str) -> SmokeTest:
    """A smoke test of these requests. Raises UsageError where none is named."""
    if not requests:
        raise UsageError("a smoke test needs the names of requests", hint='as the load calls them: Slo.smoke("GET /")')
    return SmokeTest(requests)


def _of(samples: list[Sample], name: str) -> tuple[Outcome, str]:
    wrong = [sample for sample in samples if not answered_rightly(sample)]
    # A young request that was still open when we stopped watching might have been answered yet.
    failed = [sample for sample in wrong if sample.ended is not None or sample.at_least >= PATIENCE]
    if failed:
        first = failed[0].error or f"status {failed[0].status}"
        return Outcome.FAIL, f"{name}: {len(failed)} of {len(samples)} failed, the first with {first}"
    if wrong or len(samples) < LEAST:
        unanswered = f", {len(wrong)} of them unanswered" if wrong else ""
        return Outcome.UNKNOWN, f"{name}: only {len(samples)} were made{unanswered}"
    return Outcome.PASS, f"{name}: all {len(samples)}"
