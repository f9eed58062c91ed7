"""In force: the claim that a fault took hold, on a path that carries traffic, and stayed until it was healed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from harness.faults.receipts import fault_of, receipt_line, telling, took
from harness.model.record import FaultRecord, Record
from harness.model.units import say_duration
from harness.model.verdict import Control, Outcome, Verdict

# Receipts are taken about once a second; a longer silence leaves a stretch in which nobody looked.
LONGEST_SILENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInForce:
    """The fault took hold, on a path that the system uses, and stayed until it was healed; one that is curable until
    the first step of the runbook that was performed after it. If not: INVALID."""

    window: str
    kind: Literal["fault.in_force"] = "fault.in_force"

    @property
    def claim(self) -> str:
        return f"the fault was in force all through {self.window}"

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset()

    def judge(self, record: Record) -> Verdict:
        fault = fault_of(record, self.window)
        cure = _cure(fault, record) if fault else float("inf")
        trouble = _trouble(fault, cure) if fault else "no such fault was recorded"
        evidence = tuple(receipt_line(receipt, fault) for receipt in telling(fault)) if fault else ()
        if trouble:
            return Verdict(claim=self.claim, outcome=Outcome.INVALID, observed=trouble, evidence=evidence)
        assert fault is not None
        observed = f"{len(fault.during)} receipts, the last: {fault.during[-1].measured}"
        ended = next((receipt for receipt in fault.during if receipt.at >= cure and receipt.in_force is False), None)
        if ended is not None:
            observed = f"in force until a step ended it, {say_duration(ended.at - cure)} after the first one began"
        return Verdict(claim=self.claim, outcome=Outcome.PASS, observed=observed, evidence=evidence)


def _cure(fault: FaultRecord, record: Record) -> float:
    """From when on the fault may be gone: the first step that was performed once it was in; never for a fault that is
    not curable."""
    if not fault.curable or fault.injected_at is None:
        return float("inf")
    spans = (record.window(step.window) for step in record.steps if not step.skipped)
    return min((s.began for s in spans if s is not None and s.began >= fault.injected_at), default=float("inf"))


def _trouble(fault: FaultRecord, cure: float) -> str:
    """Why the fault can't be believed, or an empty string. It may be gone from the instant `cure` on."""
    if fault.injected_at is None:
        return fault.problem or "it was never injected"
    if not fault.before or any(receipt.in_force is not False for receipt in fault.before):
        return "it was not whole before the fault: " + (fault.before[-1].measured if fault.before else "no probe")
    binding = [receipt for receipt in fault.during if receipt.at + took(receipt) < cure]
    if not binding:
        return "nobody saw it in force"
    lost = next((receipt for receipt in binding if not receipt.in_force), None)
    if lost is not None:
        said = "could not be seen" if lost.in_force is None else "was not in force"
        return f"it {said} {say_duration(lost.at - fault.injected_at)} after its injection: {lost.measured}"
    instants = [fault.injected_at, *(r.at for r in fault.during), fault.healed_at or fault.during[-1].at]
    silence = max(later - earlier for earlier, later in pairwise(instants))
    slowest = max(map(took, fault.during))  # a probe of a slow link is itself slow
    if silence > LONGEST_SILENCE + slowest:
        return f"nobody looked at it for {say_duration(silence)}"
    return _unused(fault)


def _unused(fault: FaultRecord) -> str:
    """A fault on a path that carries no traffic is no fault: the system went another way, or nobody used it."""
    for receipt in (*fault.before, *fault.after):
        traffic = receipt.details.get("traffic")
        if isinstance(traffic, str):
            return traffic
        if traffic is not None and traffic <= 0:
            when = "before" if receipt in fault.before else "after"
            return f"no traffic passed there {when} the fault: it is unused or by-passed"
    return ""
