"""During: the claim that users got what they must get, through whole windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.model.evidence import coverage_problem, load_problem
from harness.model.record import FaultRecord, Record
from harness.model.timeline import Span
from harness.model.verdict import Control, Outcome, Verdict
from harness.slo.limits import Limits
from harness.slo.measure import Stretch, all_of, measure


@dataclass(frozen=True, slots=True, kw_only=True)
class During:
    """Every limit was kept in each of `windows`, judged from the requests whose planned instant lies in it."""

    limits: Limits
    windows: tuple[str, ...]
    kind: Literal["slo.during"] = "slo.during"

    @property
    def claim(self) -> str:
        return f"{self.limits} during {' and '.join(self.windows)}"

    def judge(self, record: Record) -> Verdict:
        problem = load_problem(record)
        if problem or not self.windows:
            return self._verdict(Outcome.UNKNOWN, problem or "no window was named")
        judged = [self._window(record, name) for name in self.windows]
        outcome = all_of(outcome for outcome, _, _ in judged)
        said = "; ".join(
            text if len(judged) == 1 else f"{name}: {text}"
            for name, (own, text, _) in zip(self.windows, judged, strict=True)
            if own is outcome
        )
        evidence = tuple(f"{name}: {figures}" for name, (_, _, figures) in zip(self.windows, judged, strict=True))
        return self._verdict(outcome, said, evidence)

    def _window(self, record: Record, name: str) -> tuple[Outcome, str, str]:
        """Outcome, what to say of it, and the figures, for one window."""
        span = record.window(name)
        if span is None:
            return Outcome.UNKNOWN, "this window never began", "never began"
        if span.ended is None:
            return Outcome.UNKNOWN, "this window never ended", "never ended"
        samples = self.limits.counted(record.during([span]))
        problem = self.limits.missing(record.samples) or coverage_problem(record, samples, span.began, span.ended)
        stretch = measure(samples, self.limits) if samples else Stretch(0, (), "n=0")
        if problem:
            return Outcome.UNKNOWN, problem, stretch.figures
        return stretch.outcome, stretch.said, stretch.figures

    def _verdict(self, outcome: Outcome, observed: str, evidence: tuple[str, ...] = ()) -> Verdict:
        return Verdict(
            claim=self.claim,
            outcome=outcome,
            observed=observed,
            limit=str(self.limits),
            resolution="each bound holds with 95 % confidence",
            evidence=evidence,
        )

    def red_under(self, record: Record) -> frozenset[Control]:
        """Without the mitigations, a window that lies inside a fault and after one of them can't be in order."""
        spans = [span for name in self.windows if (span := record.window(name)) is not None]
        hangs = any(
            _inside(record, span, fault) and _mitigated_before(record, span)
            for span in spans
            for fault in record.faults
        )
        return frozenset({Control.NO_MITIGATION}) if hangs else frozenset()


def _inside(record: Record, span: Span, fault: FaultRecord) -> bool:
    """Whether `span` lies inside the fault's."""
    own = record.window(fault.window)
    began = own.began if own is not None else fault.injected_at
    ended = own.ended if own is not None else fault.healed_at
    return began is not None and began <= span.began and (ended is None or (span.ended or record.ended) <= ended)


def _mitigated_before(record: Record, span: Span) -> bool:
    """Whether a mitigating step began before `span`. One that a control skipped counts where it would have begun."""
    for step in record.steps:
        if step.purpose != "mitigate":
            continue
        own = record.window(step.window)
        began = own.began if own is not None else min((command.began for command in step.commands), default=None)
        if (began is None and step.skipped) or (began is not None and began <= span.began):
            return True
    return False
