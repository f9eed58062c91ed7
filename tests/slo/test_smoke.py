"""What a smoke test concludes from what users made of a system's core functions."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness import Outcome, Slo, UsageError, Window
from harness.judge import encode_check, verdict_on
from harness.model.load import Sample
from harness.model.timeline import Span
from tests.slo.build import BEGAN, load, record, sample, steady

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN
CHECK = Slo.smoke("GET /", "POST /orders").during(Window("after"))
ORDERS = [replace(sample(at / 10), name="POST /orders") for at in range(20, 80, 2)]
PAGES = steady(0, 10, rate=10)
WINDOW = [Span(name="after", kind="observe", began=BEGAN + 2, ended=BEGAN + 8)]


def order(at: float, **changed: object) -> Sample:
    return replace(sample(at, **changed), name="POST /orders")  # type: ignore[arg-type]  # sample's own keywords


@pytest.mark.parametrize(
    ("orders", "outcome", "said"),
    [
        (ORDERS, PASS, "POST /orders: all 30"),
        (ORDERS[:3], PASS, "POST /orders: all 3"),
        (ORDERS[:2], UNKNOWN, "POST /orders: only 2 were made"),
        ([], UNKNOWN, "POST /orders: only 0 were made"),
        ([*ORDERS, order(7.5, status=500)], FAIL, "POST /orders: 1 of 31 failed, the first with status 500"),
        ([*ORDERS, order(7.5, ok=False)], FAIL, "1 of 31 failed"),
        ([*ORDERS, order(9.0, status=500)], PASS, "all 30"),  # after the window
        ([*ORDERS, order(7.5, took=None, waited=1.0)], UNKNOWN, "1 of them unanswered"),
        ([*ORDERS, order(7.5, took=None, waited=5.0)], FAIL, "1 of 31 failed"),
        ([order(3.0, status=503)], FAIL, "1 of 1 failed"),
    ],
)
def test_each_function_must_work_each_time(orders: list[Sample], outcome: Outcome, said: str) -> None:
    """One wrong answer is one too many, and a function that hardly anybody tried is not known to work."""
    verdict = CHECK.judge(record([*PAGES, *orders], windows=WINDOW))
    assert (verdict.outcome, said in verdict.observed) == (outcome, True), verdict.observed


def test_without_whole_evidence_nobody_knows() -> None:
    """No load, one that did not sign off, and a window that never was are UNKNOWN."""
    samples = [*PAGES, *ORDERS]
    torn = load(samples, 10.0, complete=False)
    assert CHECK.judge(record(samples, windows=WINDOW, loads=[])).outcome is UNKNOWN
    assert CHECK.judge(record(samples, windows=WINDOW, loads=[torn])).outcome is UNKNOWN
    assert CHECK.judge(record(samples, windows=[])).outcome is UNKNOWN
    assert CHECK.judge(record(samples, windows=[replace(WINDOW[0], ended=None)])).outcome is UNKNOWN


def test_it_can_be_judged_from_a_file_and_needs_a_name() -> None:
    """Its JSON form is read again; one of no request is refused."""
    told = record([*PAGES, *ORDERS], windows=WINDOW)
    assert verdict_on(json.loads(json.dumps(encode_check(CHECK))), told) == CHECK.judge(told)
    with pytest.raises(UsageError, match="names of requests"):
        Slo.smoke()
