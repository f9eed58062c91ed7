"""Receipts: the fault of a window in a record, and what was seen of it, for those who judge it."""

from __future__ import annotations

from harness.model.record import FaultRecord, Receipt, Record


def fault_of(record: Record, window: str) -> FaultRecord | None:
    """The account of the fault whose window is called `window`."""
    return next((fault for fault in record.faults if fault.window == window), None)


def took(receipt: Receipt) -> float:
    """Wall seconds from the beginning of the look to its end."""
    return float(receipt.details.get("took") or 0)


def telling(fault: FaultRecord | None) -> list[Receipt]:
    """The receipts that show most: the first, the odd ones, the last."""
    if fault is None:
        return []
    odd = [receipt for receipt in fault.during if not receipt.in_force]
    return [*fault.before, *fault.during[:1], *odd[:3], *fault.during[-1:], *fault.after[-1:]]


def receipt_line(receipt: Receipt, fault: FaultRecord | None) -> str:
    """A receipt as a line of evidence, with its instant since the injection."""
    since = receipt.at - fault.injected_at if fault and fault.injected_at is not None else 0.0
    return f"{since:+.2f} s: intended {receipt.intended}, measured {receipt.measured}"
