"""What the claims about levels conclude from whole, bad and missing evidence."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness import Level, Outcome, Record, UsageError, percent
from harness.judge import encode_check, verdict_on
from harness.model.record import AlertEvidence, Series
from tests.levels.build import CPU, INSTANTS, LATER, evidence, scraped, series, told

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN
BELOW, ABOVE = CPU.below(percent(70)).during(LATER), CPU.at_least(1).during(LATER)
GOES = CPU.goes(0, 1, 2, during=LATER)


@pytest.mark.parametrize(
    ("found", "below", "at_least"),
    [
        ((series(0.2),), PASS, FAIL),
        ((series(0.2, 0.69),), PASS, FAIL),
        ((series(0.2, 0.7, 0.2),), FAIL, FAIL),  # the limit itself is not below it
        ((series(1.0),), FAIL, PASS),
        ((series(1.0, 0.99),), FAIL, FAIL),
        ((series(0.2, job="a"), series(0.9, job="b")), FAIL, FAIL),
        ((series(2.0, job="a"), series(1.0, job="b")), FAIL, PASS),
    ],
)
def test_a_limit_holds_all_along_and_for_each_series(
    found: tuple[Series, ...], below: Outcome, at_least: Outcome
) -> None:
    """One instant on the wrong side of it, of one series of several, refutes a limit."""
    record = told(evidence(*found))
    assert (BELOW.judge(record).outcome, ABOVE.judge(record).outcome) == (below, at_least)


def test_the_verdict_names_the_series_that_failed() -> None:
    """Of several series it shows the one that refutes, with its values, and what was asked of Prometheus."""
    verdict = BELOW.judge(told(evidence(series(0.2, job="a"), series(0.3, 0.9, job="b"))))
    assert (verdict.observed, verdict.limit) == ("0.3 to 0.9 (job=b)", "< 0.7")
    assert (verdict.resolution, verdict.evidence) == ("a value each 15 s", (CPU.expr,))


@pytest.mark.parametrize(
    ("values", "outcome", "said"),
    [
        ((0, 1, 2), PASS, "0 -> 1 -> 2"),
        ((5, 0, 0, 3, 1, 0, 2), PASS, "5 -> 0 -> 3 -> 1 -> 0 -> 2"),
        ((0, 2, 1), FAIL, "0 -> 2 -> 1"),
        ((1, 2, 0), FAIL, "1 -> 2 -> 0"),
        ((0,), FAIL, "0"),
    ],
)
def test_a_level_goes_from_value_to_value(values: tuple[float, ...], outcome: Outcome, said: str) -> None:
    """The values must come in their order; others may come between."""
    verdict = GOES.judge(told(evidence(series(*values))))
    assert (verdict.outcome, verdict.observed) == (outcome, said)


def without(instants: list[float], began: float, ended: float) -> list[float]:
    return [at for at in instants if not began < at < ended]


TORN = series(0.2)
TORN = replace(TORN, points=TORN.points[:30])


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (told(), "nobody asked"),
        (told(evidence(series(0.2), window="another")), "nobody asked"),
        (told(evidence(series(0.2), expr="another")), "nobody asked"),
        (told(evidence(series(0.2)), ended=None), "never ended"),
        (replace(told(evidence(series(0.2))), windows=()), "never began"),
        (told(evidence(problem="Prometheus is gone")), "Prometheus is gone"),
        (told(evidence()), "no such series"),
        (told(evidence(TORN)), "only 30 of 39 values"),
        (told(evidence(series(0.2), TORN)), "only 30 of 39 values"),
        (told(evidence(series(0.2), step=0.0)), "values are there"),
        (told(evidence(series(0.2)), alerts=scraped(without(INSTANTS, 1003.0, 1005.0))), "did not scrape (job=app)"),
        (told(evidence(series(0.2)), alerts=scraped(without(INSTANTS, 1008.0, 1011.0))), "did not scrape"),
        (told(evidence(series(0.2)), alerts=scraped([])), "did not scrape"),
        (told(evidence(series(0.2)), alerts=AlertEvidence(read=True)), "could not be read"),
        (told(evidence(series(0.2)), alerts=AlertEvidence(problems=("it was silent",))), "it was silent"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("check", [BELOW, GOES], ids=["kept", "went"])
def test_missing_evidence_is_unknown(check: object, record: Record, said: str) -> None:
    """No series, too few values, a Prometheus that could not be read or did not scrape for a while: nobody knows."""
    verdict = verdict_on(encode_check(check), record)  # type: ignore[arg-type]  # either is a check
    assert (verdict.outcome, said in verdict.observed) == (UNKNOWN, True), verdict.observed


def test_one_window_refuted_is_all_refuted() -> None:
    """Of two windows the one that fails decides, whatever is unknown of the other."""
    both = replace(BELOW, windows=("later", "never"))
    assert both.judge(told(evidence(series(0.9)))).outcome is FAIL
    assert both.judge(told(evidence(series(0.2)))).outcome is UNKNOWN
    assert replace(BELOW, windows=()).judge(told(evidence(series(0.2)))).outcome is UNKNOWN


@pytest.mark.parametrize("check", [BELOW, GOES], ids=["kept", "went"])
def test_they_can_be_judged_from_a_file(check: object) -> None:
    """Their JSON form is read again, and gives the same verdict."""
    plain = json.loads(json.dumps(encode_check(check)))  # type: ignore[arg-type]  # either is a check
    record = told(evidence(series(0.2)))
    assert verdict_on(plain, record) == check.judge(record)  # type: ignore[attr-defined]  # either is a check


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("rate(", "not PromQL"),
        ("requests_total", "depends on the time scale"),
        ("increase(requests_total[5m])", "depends on the time scale"),
        ("time() - started", "time"),
    ],
)
def test_what_the_time_scale_can_not_keep_is_no_level(expr: str, said: str) -> None:
    """A count means something else in a minute than in an hour: it is refused where it is written down."""
    with pytest.raises(UsageError, match="is no level") as refused:
        Level("odd", expr)
    assert said in str(refused.value)


def test_claims_need_something_to_be_about() -> None:
    """A claim without a window, and a way without a second value, are refused."""
    with pytest.raises(UsageError, match="needs a window"):
        CPU.below(1).during()
    with pytest.raises(UsageError, match="two values"):
        CPU.goes(1, during=LATER)
