"""Objectives during windows: each way to pass, to fail, and above all not to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from pydantic import TypeAdapter

from harness.errors import UsageError
from harness.model.load import Sample
from harness.model.record import FaultRecord, Record, StepRecord
from harness.model.timeline import Window
from harness.model.units import percent, seconds
from harness.model.verdict import Control, Outcome
from harness.slo import During, Objectives, Slo
from harness.slo.limits import Limits
from tests.slo.build import fault, load, record, sample, span, spoilt, steady

RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
W = Window("w")
CALM = steady(0, 10)


@pytest.mark.parametrize(
    ("bad", "outcome", "said"),
    [
        ([], Outcome.PASS, "0 of 1000 were 503"),
        ([sample(0, status=503)] * 4, Outcome.PASS, "4 of 1000 were 503"),  # at most 0.91 %
        ([sample(0, status=503)] * 5, Outcome.UNKNOWN, "too few samples to tell (n=1000, needs 1049)"),
        ([sample(0, status=503)] * 10, Outcome.UNKNOWN, "too near the limit of 1 %"),
        ([sample(0, status=503)] * 13, Outcome.UNKNOWN, "too near the limit of 1 %"),  # above, and yet not for sure
        ([sample(0, status=503)] * 30, Outcome.FAIL, "the limit is 1 %"),
        ([sample(0, status=500)] * 30, Outcome.FAIL, "failed in any way"),  # not a 503, and yet no recovery
        ([sample(0, status=0)] * 30, Outcome.FAIL, "failed in any way"),  # refused connections
        ([sample(0, ok=False)] * 30, Outcome.FAIL, "failed in any way"),  # the wrong answer, with status 200
        ([sample(0, status=503, ok=True)] * 30, Outcome.FAIL, "were 503"),  # whatever the user makes of it
        ([sample(0, took=None, waited=9.0)] * 30, Outcome.FAIL, "failed in any way"),  # nobody waits nine seconds
        ([sample(0, took=None, waited=0.5)] * 30, Outcome.UNKNOWN, "30 more perhaps"),  # might have been answered
        ([sample(0, took=None, waited=0.5)], Outcome.UNKNOWN, "only a lower bound"),
        ([sample(0, took=5.0)] * 500, Outcome.FAIL, "the mean is at least"),
        ([sample(0, took=4.0)] * 494, Outcome.UNKNOWN, "the mean is too near the limit"),
    ],
)
def test_samples_decide(bad: Sequence[Sample], outcome: Outcome, said: str) -> None:
    """The share of failures and the mean pass, fail or stay open as the samples can show."""
    verdict = RECOVERED.during(W).judge(record(spoilt(CALM, bad)))
    assert verdict.outcome is outcome, verdict
    assert said in verdict.observed


@pytest.mark.parametrize(("count", "outcome"), [(299, Outcome.PASS), (298, Outcome.UNKNOWN), (150, Outcome.UNKNOWN)])
def test_too_few_samples_are_unknown(count: int, outcome: Outcome) -> None:
    """299 requests in order show less than 1 % of failures, 298 don't."""
    samples = [sample(i * 10 / count) for i in range(count)]
    verdict = RECOVERED.during(W).judge(record(samples))
    assert verdict.outcome is outcome
    assert outcome is Outcome.PASS or "needs 299" in verdict.observed
    assert RECOVERED.needs == 299


def _broken(**how: object) -> Record:
    return record(CALM, loads=[load(CALM, 10.0, **how)])


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (record(CALM, loads=[]), "no load"),
        (_broken(complete=False, problem="killed by signal 9"), "did not sign off: killed by signal 9"),
        (_broken(samples_count=1001), "1001 samples were recorded, 1000 are here"),
        (_broken(samples_count=0), "0 samples were recorded, 1000 are here"),
        (_broken(planned=1100, sent=1000), "target rate not reached: 100 planned arrivals left no sample"),
        (_broken(planned=900, sent=800), "target rate not reached: 100 planned arrivals"),  # several requests each
        (_broken(dropped=60), "target rate not reached: 60 planned arrivals"),
        (record([]), "no samples"),
        (record(steady(0, 5)), "no arrivals for 50.1 % of this stretch"),
        (record(steady(5, 10)), "no arrivals for 50 % of this stretch"),
        (record([*steady(0, 4), *steady(7, 10)]), "no arrivals for 30.1 % of this stretch"),
        (record(steady(0, 9.4)), "no arrivals for 6.1 % of this stretch"),  # the load ended before the window
        (record(CALM, windows=[]), "never began"),
        (record(CALM, windows=[span("w", 0, None)]), "never ended"),
        (record(CALM, windows=[span("w", 3, 3)]), "no samples"),
    ],
)
def test_spoilt_evidence_is_unknown(run: Record, said: str) -> None:
    """Good samples prove nothing where some are missing, or where nobody knows whether some are."""
    verdict = RECOVERED.during(W).judge(run)
    assert verdict.outcome is Outcome.UNKNOWN
    assert said in verdict.observed


def test_a_few_samples_do_not_stand_for_a_window_without_load() -> None:
    """So few arrivals may leave wide gaps by chance; but the load was over, and that is no chance."""
    few = steady(0, 0.12)
    run = record(few, loads=[load(few, 0.12)])
    verdict = Slo.availability(at_least=percent(50)).during(W).judge(run)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "no load was on for 98.8 % of this stretch" in verdict.observed


@pytest.mark.parametrize("seed", range(5))
def test_random_arrivals_leave_no_gap(seed: int) -> None:
    """Users who arrive at random leave gaps by chance, and those are not held against them."""
    dice = Random(seed)
    samples = [sample(at) for at in sorted(dice.uniform(0, 10) for _ in range(320))]
    assert RECOVERED.during(W).judge(record(samples)).outcome is Outcome.PASS


def test_an_outage_fails_though_its_mean_is_unknown() -> None:
    """A refuted limit refutes the claim even where too few right answers are left to tell their mean."""
    verdict = RECOVERED.during(W).judge(record(steady(0, 10, status=503)))
    assert verdict.outcome is Outcome.FAIL


def test_quick_refusals_do_not_flatter_the_mean() -> None:
    """The mean is taken of the right answers too, so that quick errors can't pull it under its limit."""
    mixed = spoilt(steady(0, 10, took=3.0), [sample(0, status=503, took=0.001)] * 500)
    verdict = Slo.latency(mean=seconds(2)).during(W).judge(record(mixed))
    assert verdict.outcome is Outcome.FAIL
    assert "mean 3 s" in verdict.observed


def test_a_mean_must_be_below_its_limit_for_sure() -> None:
    """A mean below its limit that may be above it by chance does not pass, nor does one that quick errors hide."""
    restless = [*steady(0, 5, took=3.9), *steady(5, 10)]
    verdict = RECOVERED.during(W).judge(record(restless))
    assert (verdict.outcome, "too near" in verdict.observed) == (Outcome.UNKNOWN, True)
    hidden = spoilt([*steady(0, 5, took=3.5), *steady(5, 10, took=0.1)], [sample(0, status=503, took=0.001)] * 500)
    assert Slo.latency(mean=seconds(2)).during(W).judge(record(hidden)).outcome is Outcome.UNKNOWN


def test_an_unanswered_request_may_have_been_a_503() -> None:
    """Requests that nobody saw answered count against a pass of the 503 limit alone, too."""
    only = Objectives(Limits(error_503=percent(1)))
    samples = spoilt(CALM, [sample(0, took=None, waited=1.0)] * 30)
    assert only.during(W).judge(record(samples)).outcome is Outcome.UNKNOWN
    assert only.during(W).judge(record(CALM)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("samples", "outcome"),
    [
        (CALM, Outcome.PASS),
        (spoilt(CALM, [sample(0, took=3.0)] * 100), Outcome.FAIL),  # a tenth is slow
        (spoilt(CALM, [sample(0, status=500, took=0.001)] * 100), Outcome.FAIL),  # a tenth fails quickly
        (spoilt(CALM, [sample(0, took=3.0)] * 50), Outcome.UNKNOWN),  # right at the limit
        (spoilt(CALM, [sample(0, took=None, waited=2.5)] * 100), Outcome.FAIL),  # waited longer than the limit
    ],
)
def test_a_percentile_counts_failures_as_slowest(samples: Sequence[Sample], outcome: Outcome) -> None:
    """To a p95, a request that was not answered rightly is slower than any limit."""
    assert Slo.latency(p95=seconds(2)).during(W).judge(record(samples)).outcome is outcome


@pytest.mark.parametrize(("bad", "outcome"), [(0, Outcome.PASS), (20, Outcome.FAIL)])
def test_availability(bad: int, outcome: Outcome) -> None:
    """Availability is the share of requests that were answered rightly."""
    samples = spoilt(CALM, [sample(0, status=502)] * bad)
    assert Slo.availability(at_least=percent(99.5)).during(W).judge(record(samples)).outcome is outcome


def test_every_window_is_judged_by_itself() -> None:
    """A good window can't make up for a bad one; the evidence lists both."""
    samples = [*steady(0, 5), *steady(5, 10, status=503)]
    run = record(samples, windows=[span("good", 0, 5), span("bad", 5, 10)])
    verdict = RECOVERED.during(Window("good"), Window("bad")).judge(run)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.observed.startswith("bad: 500 of 500 were 503")
    assert [line.partition(",")[0] for line in verdict.evidence] == ["good: n=500", "bad: n=500"]


def test_an_unknown_window_spoils_a_good_one() -> None:
    """A window of which nothing is known keeps the claim from passing."""
    run = record(CALM, windows=[span("good", 0, 10)])
    assert RECOVERED.during(Window("good"), Window("gone")).judge(run).outcome is Outcome.UNKNOWN


def test_a_request_belongs_to_the_window_in_which_it_was_planned() -> None:
    """A request that ends after its window still counts in it, and one planned at its end does not."""
    samples = [*steady(0, 5, took=9.0), *steady(5, 10)]
    run = record(samples, windows=[span("w", 0, 5)])
    verdict = RECOVERED.during(W).judge(run)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.evidence[0].startswith("w: n=500,")


def _step(**changed: object) -> StepRecord:
    plain: dict[str, object] = {"window": "m", "name": "m", "source": "r.md:1", "purpose": "mitigate", "deadline": 30.0}
    return StepRecord(**(plain | changed))  # type: ignore[arg-type]  # its own fields


@pytest.mark.parametrize(
    ("faults", "steps", "red"),
    [
        ([fault(1, 9)], [_step()], True),  # inside the fault, after the step
        ([fault(1, 9)], [_step(skipped=True)], True),  # the same, under the control
        ([fault(1, 9)], [_step(purpose="restore")], False),  # nothing was mitigated
        ([fault(1, 9)], [], False),
        ([fault(5, 9)], [_step()], False),  # began before the fault
        ([fault(1, 5)], [_step()], False),  # the fault ended first
        ([fault(1, None)], [_step()], True),  # the fault never ended
        ([], [_step()], False),
    ],
)
def test_red_without_mitigation(faults: Sequence[FaultRecord], steps: Sequence[StepRecord], red: bool) -> None:
    """Only a window inside a fault and after a mitigation has to turn red when the mitigation is left out."""
    windows = [span("m", 2, 3), span("w", 4, 8)]
    run = record(CALM, windows=windows, faults=faults, steps=steps)
    assert RECOVERED.during(W).red_under(run) == (frozenset({Control.NO_MITIGATION}) if red else frozenset())


def test_a_later_mitigation_is_no_reason_to_turn_red() -> None:
    """A window before the mitigation does not hang on it."""
    run = record(CALM, windows=[span("w", 2, 3), span("m", 4, 5)], faults=[fault(1, 9)], steps=[_step()])
    assert RECOVERED.during(W).red_under(run) == frozenset()


@pytest.mark.parametrize(
    "check",
    [
        RECOVERED.during(W),
        Slo.latency(p50=seconds(1), p99=seconds(5)).during(W, Window("x")),
        Slo.availability(at_least=percent(99)).during(W),
    ],
)
def test_a_check_survives_json(check: During) -> None:
    """A check comes back from its JSON form as it was."""
    adapter = TypeAdapter(During)
    assert adapter.validate_json(adapter.dump_json(check)) == check


@pytest.mark.parametrize(
    ("error_503", "mean", "problems"), [(0.0, 2.0, 2), (1.0, 2.0, 2), (0.01, 0.0, 1), (0.0, -1.0, 3)]
)
def test_limits_that_cannot_be_shown_are_refused_at_once(error_503: float, mean: float, problems: int) -> None:
    """Limits which no samples could show are refused before a run, all of them together."""
    with pytest.raises(UsageError) as caught:
        Slo.recovery(error_503=error_503, mean=seconds(mean))
    assert len(caught.value.problems) == problems


def test_an_objective_without_a_limit_is_refused() -> None:
    """Objectives that limit nothing would pass always."""
    with pytest.raises(UsageError, match="no limit"):
        Slo.latency()


def test_during_nothing_is_refused() -> None:
    """A claim about no window is refused, and one that got into a record by itself is UNKNOWN."""
    with pytest.raises(UsageError, match="needs a window"):
        RECOVERED.during()
    assert During(limits=RECOVERED.limits, windows=()).judge(record(CALM)).outcome is Outcome.UNKNOWN


OTHERS = [replace(each, name="GET /search") for each in CALM]
FAILING = [replace(each, status=503, ok=False) for each in OTHERS]


def test_objectives_of_some_requests_leave_the_others_out() -> None:
    """What others got neither spoils nor saves what the named requests must get."""
    mixed = record([*CALM, *FAILING])
    assert RECOVERED.during(W).judge(mixed).outcome is Outcome.FAIL
    assert RECOVERED.on("GET /").during(W).judge(mixed).outcome is Outcome.PASS
    assert RECOVERED.on("GET /search").during(W).judge(mixed).outcome is Outcome.FAIL
    assert RECOVERED.on("GET /search", "GET /").during(W).judge(mixed).outcome is Outcome.FAIL
    assert "of GET /search" in RECOVERED.on("GET /search").during(W).claim


def test_named_requests_must_cover_the_window_themselves() -> None:
    """Others can't stand in for named requests that came only now and then, or never."""
    half = record([*CALM, *OTHERS[: len(OTHERS) // 2]])
    assert "no arrivals for" in RECOVERED.on("GET /search").during(W).judge(half).observed
    verdict = RECOVERED.on("GET /serch", "GET /").during(W).judge(record([*CALM, *OTHERS]))
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.observed == "no request is called GET /serch; there are GET /, GET /search"


def test_no_requests_named_is_refused() -> None:
    """Objectives of no request would hold always."""
    with pytest.raises(UsageError, match="needs the name"):
        RECOVERED.on()
    with pytest.raises(UsageError, match="no limit"):
        Objectives(Limits(requests=("GET /",)))


def test_objectives_say_what_they_are() -> None:
    """Objectives print as one line that says that failures of any kind count."""
    assert isinstance(RECOVERED, Objectives)
    assert str(RECOVERED) == "503 answers < 1 %, failures of any kind < 1 %, mean latency < 2 s"
    assert RECOVERED.during(W).claim.endswith("during w")
