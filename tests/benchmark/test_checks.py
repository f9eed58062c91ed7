"""What the claim about a benchmark concludes from whole, bad and missing evidence."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness import Outcome, Record, UsageError, seconds
from harness.judge import encode_check, verdict_on
from harness.model.benchmark import Reply
from tests.benchmark.build import BENCHMARK, CHECK, ran, record, replies, reply

PASS, FAIL, UNKNOWN, INVALID = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN, Outcome.INVALID
REFUSED, SLOW, EMPTY = reply(status=503), reply(2.5), reply(status=0, error="closed without an answer")
SHORT = reply(error="2 bytes of 200")


@pytest.mark.parametrize(
    ("asked", "lasted", "outcome", "said"),
    [
        (replies(1000), 10.0, PASS, "1000 of 1000 answered rightly; 99 % within 20 ms, 100/s, mean 100 ms"),
        (replies(991, *[SLOW] * 9), 10.0, PASS, "99 % within 20 ms"),
        (replies(990, *[SLOW] * 10), 10.0, FAIL, "99 % within 2.5 s"),
        (replies(990, *[REFUSED] * 10), 10.0, FAIL, "10 status 503; 99 % never"),
        (replies(991, *[REFUSED] * 9), 10.0, PASS, "991 of 1000 answered rightly, 9 status 503"),
        (replies(0, *[REFUSED] * 1000), 1.0, FAIL, "0 of 1000 answered rightly"),
        (replies(0, *[EMPTY] * 1000), 1.0, FAIL, "1000 closed without an answer"),
        (replies(0, *[SHORT] * 1000), 1.0, FAIL, "1000 2 bytes of 200"),
        (replies(1000), 20.0, FAIL, "not more than 50/s"),  # exactly 50
        (replies(1000), 19.9, PASS, "50.3/s"),
        (replies(1000), 201.0, FAIL, "the mean is not below 2 s"),
    ],
    ids=str,
)
def test_the_limits_of_a_benchmark(asked: tuple[Reply, ...], lasted: float, outcome: Outcome, said: str) -> None:
    """Ten in a thousand that are slow, refused or not whole are too many; a rate at its limit is not above it."""
    verdict = CHECK.judge(ran(asked, lasted=lasted))
    assert (verdict.outcome, said in verdict.observed) == (outcome, True), verdict.observed


@pytest.mark.parametrize(
    ("told", "outcome", "said"),
    [
        (record(), UNKNOWN, "no such benchmarks"),
        (ran(replies(1000), window="another"), UNKNOWN, "no such benchmarks"),
        (record(*ran(replies(1000)).benchmarks * 2), UNKNOWN, "2 such benchmarks"),
        (ran((), problem="it left no account"), UNKNOWN, "it left no account"),
        (ran(replies(999)), UNKNOWN, "999 were recorded"),
        (ran(replies(1001)), UNKNOWN, "1001 were recorded"),
        (ran(replies(1000), at_once=9), UNKNOWN, "9 at a time"),
        (ran(replies(100), requests=100), UNKNOWN, "100 requests"),
        (ran(replies(1000), lasted=0.001), UNKNOWN, "don't lie between"),
        (ran(replies(1000), began=0.0, ended=0.0), UNKNOWN, "don't lie between"),
        (ran(replies(20), stopped="after 60 s it was broken off"), FAIL, "broken off"),
        (ran((), stopped="nobody took a connection: refused"), FAIL, "1000 never made"),
        (ran(replies(1000), lasted=30.0, client_cpu=0.95), INVALID, "our own client used 95 %"),
        (ran(replies(1000), client_cpu=0.95), PASS, "1000 of 1000"),  # busy, and in time all the same
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_account_is_no_pass(told: Record, outcome: Outcome, said: str) -> None:
    """Missing, torn and foreign evidence is UNKNOWN; one that was broken off has failed; a client that had no CPU left
    can't blame the server."""
    verdict = CHECK.judge(told)
    assert (verdict.outcome, said in verdict.observed) == (outcome, True), verdict.observed


def test_what_ab_would_have_said_is_in_the_evidence() -> None:
    """ab counts what was refused as complete: its figures stand beside ours."""
    verdict = CHECK.judge(ran(replies(0, *[REFUSED] * 1000), lasted=1.0))
    assert verdict.evidence[0] == (
        "as ab counts: 1000 complete in 1 s, 1000.0/s, 10 ms per request, 99 % within 20 ms, 1000 not 2xx, "
        "0 of another length than the first"
    )


def test_it_can_be_judged_from_a_file() -> None:
    """Its JSON form is read again, and gives the same verdict."""
    plain = json.loads(json.dumps(encode_check(CHECK)))
    assert verdict_on(plain, ran(replies(1000))) == CHECK.judge(ran(replies(1000)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"requests": 99}, "99 % can be told of 100"),
        ({"requests": 20_000}, "what a record can keep"),
        ({"at_once": 0}, "at a time"),
        ({"at_once": 200, "requests": 100}, "no more than there are requests"),
        ({"path": "health"}, "is no path"),
        ({"path": "/a b"}, "is no path"),
        ({"rate": 0.0}, "above zero"),
        ({"p99": seconds(0)}, "above zero"),
        ({"rate": 10.0}, "it takes 1 min 40 s, and would be broken off"),
    ],
)
def test_a_benchmark_that_can_not_be_run_is_refused(changed: dict[str, object], said: str) -> None:
    """Settings that can't work are refused where they are written down."""
    with pytest.raises(UsageError, match=said):
        replace(BENCHMARK, **changed)  # type: ignore[arg-type]  # a table of settings has no one type
