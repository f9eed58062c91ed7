"""What a run keeps so that other rules can be tried on it later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from harness.alerts.prometheus import LoadedRule, Prometheus
from harness.alerts.whole import MOST_SERIES, complete, whole_metrics
from harness.errors import EvidenceMissing
from harness.model.record import Series, WholeMetrics

BEGAN, ENDED = 1000.0, 1010.0
RULE = LoadedRule(
    name="A",
    kind="alerting",
    expr='rate(x{s="1"}[5s]) > 20',
    hold=0.0,
    labels={},
    health="ok",
    interval=1.0,
    evaluated=0.0,
    error="",
    active=(),
)
ONE, TWO = ({"__name__": "x", "s": value} for value in "12")


class _Prometheus:
    """Holds `series`; says that there are `more` of x than it has."""

    def __init__(self, *series: Series, more: int = 0, gone: bool = False) -> None:
        self.series, self.more, self.gone = series, more, gone

    def vector(self, query: str, at: float) -> Sequence[Series]:
        if self.gone:
            raise EvidenceMissing("it does not answer", hint="")
        count = float(len(self.series) + self.more)
        return (Series(labels={"__name__": "x"}, points=((at, count),)),)

    def samples(self, selector: str, began: float, ended: float) -> Sequence[Series]:
        return self.series if '"x"' in selector else ()


def kept(prometheus: _Prometheus, *known: Series) -> WholeMetrics:
    return whole_metrics(
        cast(Prometheus, prometheus), [RULE], known, began=BEGAN, ended=ENDED, shorten=lambda series: series
    )


def test_a_run_keeps_what_its_rules_do_not_select() -> None:
    """Of a series that is in the record already only what was before the run; of the others all of it, from ten of the
    longest ranges before."""
    points = ((990.0, 1.0), (1001.0, 2.0))
    one, two = Series(labels=ONE, points=points), Series(labels=TWO, points=points)
    found = kept(_Prometheus(one, two), Series(labels=ONE, points=points[1:]))
    assert found.since == BEGAN - 50
    assert set(found.metrics) == {"x", "up"}
    assert {one.labels["s"]: one.points for one in found.series} == {"1": points[:1], "2": points}
    assert found.cut == ""


@pytest.mark.parametrize(
    ("prometheus", "said"),
    [(_Prometheus(more=MOST_SERIES + 1), "x: more than 1000"), (_Prometheus(gone=True), "does not answer")],
    ids=["too much", "gone"],
)
def test_what_is_left_out_is_said(prometheus: _Prometheus, said: str) -> None:
    """A metric with too many series is left out whole; a Prometheus that is gone leaves nothing, and fails nothing."""
    found = kept(prometheus)
    assert said in found.cut
    assert "x" not in found.metrics


def test_which_metrics_are_whole() -> None:
    """Those that a run kept whole, `up`, and those that a rule reads without any condition."""
    whole = WholeMetrics(since=0.0, metrics=("a",))
    assert complete(whole, {"A": "b > 1", "B": 'c{d="e"} > 1'}) == {"a", "b", "up"}
    assert complete(None, {}) == {"up"}
