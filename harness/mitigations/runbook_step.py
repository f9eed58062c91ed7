"""RunbookStep: performs one step of the runbook, as written first, and records whether it had its effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal, Protocol

from harness.clock import Clock
from harness.errors import EvidenceMissing, HarnessError
from harness.model.record import CommandRecord, EffectRecord, StepRecord
from harness.runbook.effect import (
    ABSENT,
    INCREASED,
    PRINTED,
    CommandAnswer,
    CommandNumber,
    CommandOutput,
    Effect,
    Source,
)
from harness.runbook.parse import split_block
from harness.runbook.probe import last_object, value_at
from harness.runbook.steps import Step

Variant = Literal["as-written", "corrected"]
POLL = 0.05  # wall seconds between two readings of an effect
NO_LINE = "the runbook has no line for it"  # the finding on a step that it lacks
_QUOTED = 300  # characters of a command's output that a finding repeats


class CommandLine(Protocol):
    """Where command lines are run: one operator's terminal."""

    def run(self, text: str, *, variant: Variant, limit: timedelta | None = None) -> CommandRecord: ...


class Reader(Protocol):
    """Reads the source of an effect on the sandbox, as text. Raises EvidenceMissing."""

    def read(self, source: Source) -> str: ...


@dataclass(frozen=True, slots=True)
class RunbookStep:
    """A step of the runbook that can be performed."""

    step: Step

    def __str__(self) -> str:
        return str(self.step)

    def apply(self, shell: CommandLine, probe: Reader, clock: Clock, *, window: str = "") -> StepRecord:
        """Run every line as written, then, where an effect did not hold, the correction; observe the effects before
        and after each. Never raises for what the runbook does; trouble of our own goes into `problem`."""
        attempt = _Attempt(self.step, shell, probe, clock)
        problem = ""
        finding = ""
        try:
            finding = attempt.perform()
        except HarnessError as trouble:
            problem = str(trouble)
        return replace(
            self.skipped(window),
            skipped=False,
            commands=tuple(attempt.commands),
            effects=tuple(attempt.effects),
            finding=finding,
            accepted=self._accepted(finding),
            problem=problem,
        )

    def skipped(self, window: str) -> StepRecord:
        """The record of this step where a control leaves it out."""
        deadline = self.step.deadline
        return StepRecord(
            window=window or self.step.name,
            name=self.step.name,
            source=self.step.source,
            purpose=self.step.purpose,
            deadline=deadline.total_seconds() if deadline else None,
            no_undo=self.step.no_undo,
            not_here=self.step.not_here,
            skipped=True,
        )

    def _accepted(self, finding: str) -> str:
        """The reason for a finding that is known. One that is not the known one is new; a known one that did not
        occur keeps its reason, so that the judge can say that it is out of date."""
        if self.step.missing:
            return self.step.missing
        return self.step.accepted if not finding or self.step.accepted_finding in finding else ""


class _Attempt:
    """One performance of a step, as it goes on."""

    def __init__(self, step: Step, shell: CommandLine, probe: Reader, clock: Clock) -> None:
        self._step = step
        self._shell = shell
        self._probe = probe
        self._clock = clock
        self.commands: list[CommandRecord] = []
        self.effects: list[EffectRecord] = []

    def perform(self) -> str:
        """Do it; returns the finding about the text as written, empty if there is none."""
        effects = self._step.effects
        if self._step.missing:
            self._correct(effects)
            return NO_LINE
        before = self._before(effects)
        for command in self._step.commands:
            self._run(command.text, "as-written")
        self.effects += self._observe(effects, before, "as-written")
        finding = self._finding()
        missed = [
            effect
            for effect, seen in zip(effects, self.effects, strict=True)
            if seen.held is False or seen.after == ABSENT
        ]
        if missed and self._step.corrected:
            self._correct(missed)
        return finding

    def _correct(self, effects: Sequence[Effect]) -> None:
        before = self._before(effects)
        for _, text, _ in split_block(self._step.corrected):
            self._run(text, "corrected")
        self.effects += self._observe(effects, before, "corrected")

    def _run(self, text: str, variant: Variant) -> None:
        self.commands.append(self._shell.run(text, variant=variant, limit=self._step.deadline))

    def _before(self, effects: Sequence[Effect]) -> list[str | None]:
        return [ABSENT if isinstance(effect.source, PRINTED) else self._read(effect) for effect in effects]

    def _read(self, effect: Effect) -> str | None:
        try:
            if isinstance(effect.source, CommandOutput):
                return "\n".join(command.output for command in self.commands).strip()
            if isinstance(effect.source, CommandNumber):
                return effect.source.value_in("\n".join(command.output for command in self.commands))
            if isinstance(effect.source, CommandAnswer):
                printed = last_object(self.commands[-1].output)
                return value_at(printed, effect.source.pointer) if printed else ABSENT
            return self._probe.read(effect.source)
        except EvidenceMissing:
            return None

    def _observe(
        self, effects: Sequence[Effect], before: Sequence[str | None], variant: Variant
    ) -> list[EffectRecord]:  # fmt: skip
        """Read each effect until it holds or its time is up."""
        began = self._clock.now()
        seen: dict[int, EffectRecord] = {}
        while True:
            for at, (effect, was) in enumerate(zip(effects, before, strict=True)):
                if at in seen:
                    continue
                value = self._read(effect)
                held = _held(effect, was, value)
                now = self._clock.now()
                if (value is not None and effect.holds(was, value)) or now - began >= effect.within.total_seconds():
                    seen[at] = EffectRecord(
                        claim=effect.claim, variant=variant, before=was, after=value, held=held, at=now
                    )
            if len(seen) == len(effects):
                return [seen[at] for at in range(len(effects))]
            self._clock.sleep(POLL)

    def _finding(self) -> str:
        """What the text as written failed to do; empty where it did all, or where that can't be told."""
        missed = [seen for seen in self.effects if seen.held is False]
        failed = [command for command in self.commands if command.exit_status != 0 and not command.refused]
        if not missed and not failed:
            return ""
        commands = "; ".join(_told(command) for command in self.commands)
        effects = "".join(
            f"; it did not have its effect: {seen.claim} (before: {seen.before}, after: {seen.after})"
            for seen in missed
        )
        return f"as written, {commands}{effects}"


def _held(effect: Effect, before: str | None, after: str | None) -> bool | None:
    """Whether the step brought the effect about; None where that can't be told: a reading is missing, there is no
    such series, or it was so before the step already."""
    if after is None or (before is None and effect.becomes == INCREASED):
        return None
    if after == ABSENT:
        return False if isinstance(effect.source, PRINTED) else None
    if not effect.holds(before, after):
        return False
    was_so_before = before is None or (effect.becomes != INCREASED and effect.holds(None, before))
    return None if was_so_before else True


def _told(command: CommandRecord) -> str:
    first = command.text.splitlines()[0]
    if command.refused:
        return f"`{first}` was refused here"
    ended = "was stopped" if command.exit_status is None else f"exited with {command.exit_status}"
    output = " ".join(command.output.split())
    said = f" and said: {output[:_QUOTED]}{'…' if len(output) > _QUOTED else ''}" if output else ""
    return f"`{first}` {ended}{said}"
