"""Operator: performs the runbook's steps by name, in one terminal, as a person on call would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.clock import Clock
from harness.mitigations.runbook_step import CommandLine, Reader, RunbookStep
from harness.model.record import StepRecord
from harness.runbook.steps import Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookOperator:
    """Performs `steps` in the terminal `shell`, and looks at their effects through `probe`."""

    steps: Steps
    shell: CommandLine
    probe: Reader
    clock: Clock

    def problems(self, steps: Sequence[str]) -> Sequence[str]:
        """What is wrong with asking for these steps, one line each; empty if nothing is."""
        return self.steps.problems(steps)

    def perform(self, step: str, window: str) -> StepRecord:
        """Perform the step called `step`. Raises UsageError where there is none of that name."""
        return RunbookStep(self.steps.step(step)).apply(self.shell, self.probe, self.clock, window=window)

    def skip(self, step: str, window: str) -> StepRecord:
        """The record of a step that a control leaves out."""
        return RunbookStep(self.steps.step(step)).skipped(window)

    def taking_back(self, step: str) -> Sequence[str]:
        """The steps that take `step` back, in the runbook's order. Raises UsageError where it has none."""
        return [back.name for back in self.steps.taking_back(step)]
