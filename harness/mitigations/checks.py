"""StepWorked: a runbook step had its effect within its deadline, and nothing new was found wrong with its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.model.record import EffectRecord, Record, StepRecord
from harness.model.units import say_duration
from harness.model.verdict import Control, Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWorked:
    """The step that was performed in `window` worked. Judged for every step of a run."""

    kind: Literal["step.worked"] = "step.worked"
    window: str

    @property
    def claim(self) -> str:
        return f"the runbook step {self.window} has its effect"

    def judge(self, record: Record) -> Verdict:
        step = next((step for step in record.steps if step.window == self.window), None)
        if step is None:
            return Verdict(claim=self.claim, outcome=Outcome.UNKNOWN, observed="no such step was performed")
        outcome, observed = _said_not_to_run(step) or _judged(step)
        if outcome is Outcome.UNKNOWN and step.purpose == "restore" and (useless := _useless_before(record, step)):
            # Not an open question: what it should take back was never there, and that is already a FAIL.
            outcome, observed = Outcome.FAIL, f"there was nothing to take back: {useless} never had its effect"
        return Verdict(
            claim=self.claim,
            outcome=outcome,
            observed=observed,
            limit=f"within {say_duration(step.deadline)}" if step.deadline is not None else "",
            evidence=(
                step.source,
                *(f"{effect.claim}: {_seen(effect)}" for effect in step.effects),
                *([step.finding] if step.finding else []),
            ),
        )

    def red_under(self, record: Record) -> frozenset[Control]:
        """None: without the fault a step still has its effect, and a control that leaves the step out leaves this
        claim out as well."""
        return frozenset()


def _said_not_to_run(step: StepRecord) -> tuple[Outcome, str] | None:
    """That a step ran which the steps file says can't run here; None where that is not so."""
    if step.skipped or not step.not_here or all(command.refused for command in step.commands):
        return None
    return Outcome.FAIL, f"it runs here, and is said not to: {step.not_here}; correct the steps file"


def _judged(step: StepRecord) -> tuple[Outcome, str]:
    """The outcome and what was observed. The order matters: what we could not try or see comes before what we saw."""
    if step.skipped:
        return Outcome.UNKNOWN, "it was left out"
    if step.problem:
        return Outcome.UNKNOWN, f"it could not be performed: {step.problem}"
    if not step.commands or not step.effects:
        return Outcome.UNKNOWN, "nothing was run or nothing was observed"
    if refused := [command for command in step.commands if command.refused]:
        return Outcome.UNKNOWN, f"`{refused[0].text.splitlines()[0]}` could not be run here: {refused[0].refused}"
    effects = final_effects(step)
    if missed := [effect for effect in effects if effect.held is False]:
        return Outcome.FAIL, f"no effect: {missed[0].claim}; {_seen(missed[0])}{_also(step)}"
    if unseen := [effect for effect in effects if effect.held is None]:
        return Outcome.UNKNOWN, f"its effect could not be observed: {unseen[0].claim}; {_seen(unseen[0])}"
    took = _took(step, effects)
    if step.deadline is not None and took > step.deadline:
        return Outcome.FAIL, f"the effect came after {say_duration(took)}, too late{_also(step)}"
    if step.finding and not step.accepted:
        return Outcome.FAIL, f"new finding: {step.finding}"
    if step.accepted and not step.finding:
        return Outcome.FAIL, (
            f"it works as written: the accepted finding ({step.accepted}) did not occur; remove it from the steps file"
        )
    return Outcome.PASS, f"effect after {say_duration(took)}{_also(step)}"


def _useless_before(record: Record, step: StepRecord) -> str:
    """The mitigating step, performed before `step`, that missed its effect, where all effects of `step` held already
    and could be read; empty where there is none."""
    if not step.effects or any(
        effect.held is not None or effect.after in {None, "absent"} for effect in final_effects(step)
    ):
        return ""
    earlier = record.steps[: record.steps.index(step)]
    missed = [
        one.name
        for one in earlier
        if one.purpose == "mitigate" and any(effect.held is False for effect in final_effects(one))
    ]
    return missed[0] if missed else ""


def final_effects(step: StepRecord) -> list[EffectRecord]:
    """The last observation of each effect: that after the correction, where there was one. Two effects that are worded
    alike don't stand in for each other."""
    corrected = {effect.claim for effect in step.effects if effect.variant == "corrected"}
    return [effect for effect in step.effects if effect.variant == "corrected" or effect.claim not in corrected]


def _took(step: StepRecord, effects: list[EffectRecord]) -> float:
    """Seconds from the first command to the last effect, with the runbook's own waits counted in full."""
    saved = sum(command.saved for command in step.commands)
    return max(effect.at for effect in effects) - step.commands[0].began + saved


def _seen(effect: EffectRecord) -> str:
    if effect.after is None:
        return "could not be read"
    if effect.held is None and effect.after == "absent":
        return "there is no such series or value"
    before = "not readable" if effect.before is None else effect.before
    already = ", so it held already and the step proves nothing" if effect.held is None else ""
    return f"{before} before, {effect.after} after it ran {effect.variant.replace('-', ' ')}{already}"


def _also(step: StepRecord) -> str:
    if not step.finding:
        return ""
    return f"; known finding: {step.accepted}" if step.accepted else f"; new finding: {step.finding}"
