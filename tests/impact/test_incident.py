"""From when to when there was an incident."""

from __future__ import annotations

import pytest

from harness.model.incident import incident_of
from harness.model.record import AlertEvidence, AlertSample, FaultRecord


def _fault(injected: float | None, healed: float | None) -> FaultRecord:
    return FaultRecord(window="f", description="f", settings={}, injected_at=injected, healed_at=healed)


def _alerts(*firing: tuple[float, float, float], name: str = "Slow") -> AlertEvidence:
    """Each alert as the instant since which it is pending, of its first and of its last firing sample."""
    states = [
        AlertSample(at=at, name=name, state="firing", labels={}, active_since=since)
        for since, first, last in firing
        for at in (first, last)
    ]
    return AlertEvidence(read=True, states=tuple(states), evaluation_interval=1.0)


@pytest.mark.parametrize(
    ("faults", "alerts", "expected"),
    [
        ([], _alerts(), None),
        ([_fault(None, None)], _alerts(), None),  # a control left it out
        ([_fault(10, 20)], _alerts(), (10, 20)),
        ([_fault(15, 30), _fault(10, 20)], _alerts(), (10, 30)),
        ([_fault(10, 20)], _alerts((12, 14, 25)), (10, 26)),  # it resolves after the fault's end
        ([_fault(10, 20)], _alerts((12, 14, 16)), (10, 20)),  # and before it
        ([_fault(10, 20)], _alerts((19, 22, 25)), (10, 26)),  # it pages late, and is still of it
        ([_fault(10, 20)], _alerts((40, 42, 45)), (10, 20)),  # it became pending when all was over
        ([_fault(10, 20)], _alerts((2, 4, 8)), (10, 20)),  # it was before
        ([_fault(10, None)], _alerts(), (10, 100)),
        ([_fault(10, 20)], _alerts((12, 14, 100)), (10, 100)),  # still firing when the run ended
        ([], _alerts((12, 14, 25)), (12, 26)),
    ],
)
def test_an_incident_lasts_until_fault_and_alert_are_over(
    faults: list[FaultRecord], alerts: AlertEvidence, expected: tuple[float, float] | None
) -> None:
    """It begins with the first fault, or the alert where there is none, and ends with the later of the two ends."""
    found = incident_of(faults, alerts, 100.0)
    assert (None if found is None else (found.began, found.ended)) == expected
