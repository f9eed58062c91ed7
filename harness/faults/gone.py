"""Gone: the claim that a healed fault has left nothing behind, by the same probe that saw it in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.faults.receipts import fault_of, receipt_line
from harness.model.record import Record
from harness.model.verdict import Control, Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultGone:
    """The fault is gone once healed, by the same probe. If not, the sandbox is dirty: ERROR."""

    window: str
    kind: Literal["fault.gone"] = "fault.gone"

    @property
    def claim(self) -> str:
        return f"the fault was gone after {self.window}"

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset()

    def judge(self, record: Record) -> Verdict:
        fault = fault_of(record, self.window)
        if fault is None or fault.healed_at is None or not fault.after:
            observed = (fault.problem if fault else "") or "it was not healed, or nobody looked"
            return Verdict(claim=self.claim, outcome=Outcome.ERROR, observed=observed)
        last = fault.after[-1]
        evidence = tuple(receipt_line(receipt, fault) for receipt in fault.after)
        if last.in_force is None:
            return Verdict(claim=self.claim, outcome=Outcome.INVALID, observed=last.measured, evidence=evidence)
        outcome = Outcome.ERROR if last.in_force else Outcome.PASS
        return Verdict(claim=self.claim, outcome=outcome, observed=last.measured, evidence=evidence)
