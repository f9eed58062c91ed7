"""Every: all counterfactuals of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.counterfactual.alerts import Labels, of_alerts
from harness.counterfactual.base import Counterfactual
from harness.counterfactual.experiment import of_the_experiment
from harness.counterfactual.logs import of_logs
from harness.counterfactual.requests import of_requests


def counterfactuals(heard: Mapping[str, Sequence[Labels]]) -> Iterator[Counterfactual]:
    """All of them; `heard` has, by alert, the labels with which each fired in some recorded run."""
    yield from of_requests()
    yield from of_alerts(heard)
    yield from of_logs()
    yield from of_the_experiment()
