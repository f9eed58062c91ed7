"""Incident: from when to when users may have been hit, told from the faults and the alerts of a run."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.impact import Incident
from harness.model.record import AlertEvidence, FaultRecord


def incident_of(faults: Sequence[FaultRecord], alerts: AlertEvidence, ended: float) -> Incident | None:
    """The incident of a run that ended at `ended`; None where no fault was put in and no alert fired.

    It begins with the first fault, because users are hit before anybody knows; without a fault, with the instant since
    which the first alert that fired was pending. It ends when both are over: the last fault is out, and the last alert
    has resolved of those that were pending by then. Either alone is too early: a breaker may still answer 503 once its
    cause is gone, and an alert may resolve while what helps is no more than a mitigation.
    """
    injected = [fault.injected_at for fault in faults if fault.injected_at is not None]
    firing = [sample for sample in alerts.states if sample.state == "firing"]
    if injected:
        began, began_by = min(injected), "the first fault"
        out = max(ended if fault.healed_at is None else fault.healed_at for fault in faults if fault.injected_at)
        firing = [sample for sample in firing if sample.at >= began and (sample.active_since or sample.at) <= out]
    elif firing:
        first = min(firing, key=lambda sample: sample.at)
        began, began_by = first.active_since or first.at, f"{first.name} pending"
    else:
        return None
    ends = [(ended if fault.healed_at is None else fault.healed_at, "the end of the fault") for fault in faults
            if fault.injected_at is not None]  # fmt: skip
    ends += [(sample.at + alerts.evaluation_interval, f"{sample.name} resolved") for sample in firing]
    last, by = max(ends, key=lambda end: end[0])
    if last >= ended:
        last, by = ended, "the end of the run: by then it was not over"
    return Incident(began=began, began_by=began_by, ended=max(began, last), ended_by=by)
