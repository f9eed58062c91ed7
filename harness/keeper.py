"""Keeper: keeps one fault's record, and the promise to heal it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace

from harness.cast import Cast
from harness.errors import HarnessError
from harness.faults import Fault, encode
from harness.faults.receipts import took
from harness.model.record import FaultRecord, Receipt
from harness.model.timeline import Scalar

# How long (wall seconds) a path is watched for traffic, and how long the trace of our own probe takes to settle.
TRAFFIC_WATCH = 1.0
PROBE_SETTLES = 0.25

Tell = Callable[[str, str], None]  # an event's kind and subject


class FaultKeeper:
    """One fault of a run: looked at before, injected, looked at while it has to be in force, healed as its `with` ends
    whatever happens in it, and looked at again. `trouble` says why it can't be believed any more."""

    def __init__(self, cast: Cast, fault: Fault, window: str, tell: Tell) -> None:
        self.record = FaultRecord(window=window, description=str(fault), settings=encode(fault), curable=fault.curable)
        self.trouble = ""
        self._cast = cast
        self._fault = fault
        self._tell = tell
        self._during: list[Receipt] = []
        self._undo = ExitStack()
        self._counted: int | str | None = None
        self._may_be_cured = False

    def __enter__(self) -> FaultKeeper:
        clock = self._cast.clock
        before = self._receipt()
        self.record = replace(self.record, before=(before,))
        clock.sleep(PROBE_SETTLES)
        self._counted = self._traffic()
        if self._counted is not None:
            clock.sleep(TRAFFIC_WATCH)
        return self

    def skip(self) -> None:
        """A control leaves it out."""
        self.record = replace(self.record, skipped=True)

    def inject(self) -> None:
        cast = self._cast
        promise = cast.journal.promise(encode(self._fault))
        self._undo.callback(self._heal, promise)
        self.record = replace(self.record, injected_at=cast.clock.now())
        self._fault.inject(cast.sandbox)
        self._tell("fault.injected", str(self._fault))
        self._count()

    def look(self) -> None:
        """See whether it is in force now."""
        receipt = self._receipt()
        self._during.append(receipt)
        if not receipt.in_force and not self._may_be_cured:
            self.trouble = f"the fault is not in force: {receipt.measured}"

    def look_since(self, instant: float) -> None:
        """See whether it is in force, unless a look that has ended since `instant` has seen it already (one at a slow
        link takes seconds)."""
        if not self._during or self._during[-1].at + took(self._during[-1]) < instant:
            self.look()

    def mitigated(self) -> None:
        """A step of the runbook is about to be performed: it may end a fault that is curable."""
        self._may_be_cured = self._fault.curable

    def look_for_traffic_again(self) -> None:
        """A path that nobody used between the healing and the end was by-passed meanwhile: the fault did not hit what
        it claims to, and what looked like recovery may be the by-pass."""
        if self.record.healed_at is None:
            return
        with suppress(HarnessError):  # a dead proxy is seen by the receipt
            self._fault.flush(self._cast.sandbox)
        self._cast.clock.sleep(PROBE_SETTLES)
        grown = _growth(self.record.after[-1].details.get("counted"), self._traffic())
        self.record = replace(self.record, after=(*self.record.after, self._receipt(traffic=grown)))

    def __exit__(self, *_: object) -> None:
        try:
            self._undo.close()
        finally:
            self.record = replace(self.record, during=tuple(self._during))

    def _count(self) -> None:
        """What the path carried until the fault cut it; our own probe does not count."""
        grown = _growth(self._counted, self._traffic())
        before = self.record.before[-1]
        self.record = replace(self.record, before=(replace(before, details={**before.details, "traffic": grown}),))
        if grown is not None and not isinstance(grown, int):
            self.trouble = grown
        elif grown is not None and grown <= 0:
            self.trouble = f"nothing uses what {self._fault} breaks"

    def _heal(self, promise: str) -> None:
        cast = self._cast
        try:
            self._fault.heal(cast.sandbox)
        except HarnessError as problem:
            self.record = replace(self.record, problem=str(problem))
            self._tell("fault.heal-failed", str(problem))
            return
        after = self._receipt()
        cast.clock.sleep(PROBE_SETTLES)
        after = replace(after, details={**after.details, "counted": self._traffic()})
        self.record = replace(self.record, healed_at=cast.clock.now(), after=(after,))
        if after.in_force is False:
            cast.journal.kept(promise)
        self._tell("fault.healed", str(self._fault))

    def _traffic(self) -> int | str | None:
        """The fault's traffic count, or why it can't be read; None for a fault that has none."""
        try:
            return self._fault.traffic(self._cast.sandbox)
        except HarnessError as problem:
            return str(problem)

    def _receipt(self, **details: Scalar) -> Receipt:
        clock = self._cast.clock
        began = clock.now()
        try:
            receipt = self._fault.receipt(self._cast.sandbox, began)
        except Exception as problem:  # whatever a probe dies of, the answer is that nobody knows
            intended = str(self._fault)
            receipt = Receipt(at=began, in_force=None, intended=intended, measured=f"the probe failed: {problem!r}")
        return replace(receipt, details={**receipt.details, **details, "took": round(clock.now() - began, 3)})


def _growth(first: Scalar, now: Scalar) -> int | str | None:
    """How far a count has grown; None where there is none, and in words why nobody knows."""
    if isinstance(first, int) and isinstance(now, int):
        return now - first
    return None if first is None and now is None else f"the traffic could not be counted: {first}, then {now}"
