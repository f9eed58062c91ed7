"""Arrivals are arithmetic on values; a sample is one line of a file."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.load import Arrivals, Sample, Stage, parse_sample, sample_line
from harness.model.units import minutes, seconds

RATES = st.floats(min_value=0, max_value=30)
LENGTHS = st.floats(min_value=0.05, max_value=10).map(lambda length: seconds(length))
STAGES = st.builds(lambda start, end, length: Stage(start=start, end=end, duration=length), RATES, RATES, LENGTHS)
PLANS = st.lists(STAGES, min_size=1, max_size=4).map(lambda stages: Arrivals(tuple(stages)))
SHARES = st.floats(min_value=0, max_value=1.2)

DAY = Arrivals.ramp(to=40, over=seconds(30)).then_hold(minutes(6)).then_ramp(to=0, over=seconds(10))


def whole(plan: Arrivals) -> float:
    """The plan's length in seconds."""
    assert plan.duration is not None
    return plan.duration.total_seconds()


# -- the rate and its integral -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "rate", "expected"),
    [
        (seconds(-1), 0, 0),  # before the start
        (seconds(0), 0, 0),  # nobody has arrived yet
        (seconds(15), 20, 150),  # half way up the ramp
        (seconds(30), 40, 600),  # at the top
        (minutes(6.5), 40, 15_000),  # held for six minutes, and about to fall
        (minutes(6.5) + seconds(5), 20, 15_150),  # half way down
        (minutes(7), 0, 15_200),  # the plan is over
    ],
)
def test_a_ramp_rises_and_falls_along_a_straight_line(at: timedelta, rate: float, expected: float) -> None:
    """The rate follows the stages, and what is expected is its exact integral."""
    assert DAY.rate_at(at) == pytest.approx(rate)
    assert DAY.expected(at) == pytest.approx(expected)


def test_where_two_stages_meet_the_later_one_counts() -> None:
    """A step belongs to the stage that it begins."""
    plan = Arrivals.steps([10, 30], each=seconds(5))
    assert [plan.rate_at(seconds(t)) for t in (4.999, 5, 10)] == [10, 30, 0]


@given(PLANS, SHARES)
@settings(max_examples=30, deadline=None)
def test_what_is_expected_is_the_integral_of_the_rate(plan: Arrivals, share: float) -> None:
    """A sum over small steps comes to the same number."""
    until = whole(plan) * share
    steps = 500
    middles = (until * (k + 0.5) / steps for k in range(steps))
    summed = sum(plan.rate_at(seconds(middle)) for middle in middles) * until / steps
    # A step that holds a jump is off by at most the jump times its width, as is one that timedelta rounds.
    assert plan.expected(seconds(until)) == pytest.approx(summed, abs=4 * 30 * until / steps + 0.01)


# -- the instants ----------------------------------------------------------------------------------------------


@given(PLANS, SHARES)
@settings(max_examples=40, deadline=None)
def test_evenly_spaced_arrivals_are_never_off_by_more_than_a_half(plan: Arrivals, share: float) -> None:
    """Up to any instant as many have arrived as were expected, rounded."""
    until = whole(plan) * share
    came = sum(1 for _ in plan.times(seconds(until)))
    assert abs(came - plan.expected(seconds(until))) <= 0.5 + 1e-3


@given(PLANS, st.booleans(), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_arrivals_are_in_order_and_inside_the_plan(plan: Arrivals, poisson: bool, seed: int) -> None:
    """Instants never go back and never lie outside, whatever the spacing."""
    instants = list((plan.as_poisson() if poisson else plan).times(seed=seed))
    assert instants == sorted(instants)
    assert all(0 <= instant <= whole(plan) + 1e-6 for instant in instants)


@given(PLANS)
@settings(max_examples=30, deadline=None)
def test_an_arrival_stands_where_its_count_is_expected(plan: Arrivals) -> None:
    """Arrival k comes where k and a half are expected: `times` is the inverse of `expected`."""
    for k, instant in enumerate(itertools.islice(plan.times(), 50)):
        assert plan.expected(seconds(instant)) == pytest.approx(k + 0.5, abs=1e-3)


@given(PLANS, st.floats(min_value=0, max_value=10))
@settings(max_examples=30, deadline=None)
def test_stopping_earlier_only_takes_from_the_end(plan: Arrivals, until: float) -> None:
    """The arrivals before an instant are the first ones of all."""
    some = list(plan.times(seconds(until)))
    assert some == list(itertools.islice(plan.times(), len(some)))
    assert plan.count(seconds(until)) == len(some)


def test_a_constant_rate_is_evenly_spaced_and_endless() -> None:
    """Eighty a second come every 12.5 ms, for as long as one listens."""
    instants = list(itertools.islice(Arrivals.constant(80).times(), 20_000))
    assert instants[0] == pytest.approx(0.00625)
    assert instants[-1] - instants[0] == pytest.approx(19_999 / 80)
    assert Arrivals.constant(80).duration is None


def test_poisson_arrivals_come_from_the_seed_alone() -> None:
    """The same seed gives the same arrivals, another one others."""
    plan = Arrivals.constant(50).as_poisson()
    first = list(plan.times(minutes(1), seed=1))
    assert first == list(plan.times(minutes(1), seed=1))
    assert first != list(plan.times(minutes(1), seed=2))


def test_poisson_gaps_are_exponential() -> None:
    """Their mean is 1/rate and their spread equals their mean; evenly spaced ones have no spread at all."""
    instants = list(Arrivals.constant(50).as_poisson().times(seconds(400), seed=3))
    gaps = [later - earlier for earlier, later in itertools.pairwise(instants)]
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert mean == pytest.approx(1 / 50, rel=0.05)
    assert spread == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize("plan", [Arrivals.constant(0), Arrivals.constant(0).as_poisson()])
def test_nobody_comes_at_a_rate_of_nothing(plan: Arrivals) -> None:
    """An endless pause has no arrivals, and finding that out takes no time."""
    assert list(plan.times()) == []


def test_a_pause_between_two_stages_keeps_its_length() -> None:
    """Nobody arrives in it, and what follows begins after it."""
    plan = Arrivals.steps([1, 0, 1], each=seconds(2))
    assert list(plan.times()) == pytest.approx([0.5, 1.5, 4.5, 5.5])


# -- scaling, saying, saving -----------------------------------------------------------------------------------


def test_scaling_divides_durations_and_never_rates() -> None:
    """At scale 60 a minute is a second, and eighty a second are eighty a second."""
    scaled = DAY.scaled(60)
    assert scaled.duration == timedelta(seconds=400 / 60)
    assert scaled.peak == DAY.peak == 40
    assert scaled.rate_at(seconds(0.25)) == pytest.approx(DAY.rate_at(seconds(15)))


@given(PLANS, st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_plan_survives_json(plan: Arrivals, poisson: bool) -> None:
    """What is read back is the same plan, unless it was one with problems."""
    given_plan = plan.as_poisson() if poisson else plan
    if given_plan.problems():
        with pytest.raises(ValueError, match="no arrival"):
            Arrivals.from_json(given_plan.to_json())
    else:
        assert Arrivals.from_json(given_plan.to_json()) == given_plan


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "stages"),  # nothing at all
        ({"spacing": "even", "stages": []}, "no stage"),
        ({"spacing": "odd", "stages": [{"start": 1, "end": 1, "duration": None}]}, "neither even nor poisson"),
        ({"spacing": "even", "stages": [{"start": "x", "end": 1, "duration": None}]}, "not a load plan"),
        ({"spacing": "even", "stages": [{"start": -1, "end": 1, "duration": 1}]}, "rate of -1/s"),
        ({"spacing": "even", "stages": [{"start": 1, "end": math.inf, "duration": 1}]}, "rate of inf/s"),
        ({"spacing": "even", "stages": [{"start": 1, "end": 2, "duration": None}]}, "ramp needs a duration"),
        ({"spacing": "even", "stages": [{"start": 1, "end": 1, "duration": 0}]}, "duration of 0 s"),
        ({"spacing": "even", "stages": [{"start": 0, "end": 0, "duration": 5}]}, "no arrival at all"),
    ],
)
def test_a_plan_that_can_not_work_is_refused_with_its_reason(data: dict[str, Any], said: str) -> None:
    """Whatever stands in a plan file, it is followed as meant or refused."""
    with pytest.raises(ValueError, match=said):
        Arrivals.from_json(data)


def test_all_problems_of_a_plan_are_told_at_once() -> None:
    """A stage after an endless one, and a rate below nothing: both."""
    problems = Arrivals.constant(-1).then_ramp(to=5, over=seconds(0)).problems()
    assert len(problems) == 4
    assert any("never ends, so stage 2 never begins" in problem for problem in problems)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Arrivals.constant(80), "80/s (open model)"),
        (
            Arrivals.ramp(to=40, over=seconds(30)).then_hold(minutes(6)),
            "0/s to 40/s over 30 s, 40/s for 6 min (open model)",
        ),
        (Arrivals.constant(5, lasting=seconds(9)).then_constant(9), "5/s for 9 s, 9/s (open model)"),
        (Arrivals.constant(5).as_poisson(), "5/s (open model, Poisson)"),
    ],
)
def test_a_plan_says_itself_in_one_line(plan: Arrivals, said: str) -> None:
    """Reports and logs print the plan as it is."""
    assert str(plan) == said


# -- samples as lines ------------------------------------------------------------------------------------------

INSTANTS = st.integers(0, 2 * 10**15).map(lambda micros: micros / 1_000_000)
TEXTS = st.text(max_size=30)


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Any sample that an engine might write."""
    planned, sent, last = sorted(draw(st.tuples(INSTANTS, INSTANTS, INSTANTS)))
    answered = draw(st.booleans())
    return Sample(
        planned=planned,
        sent=sent,
        ended=last if answered else None,
        censored=None if answered else last,
        name=draw(TEXTS),
        status=draw(st.integers(0, 999)),
        ok=answered and draw(st.booleans()),
        error=draw(TEXTS),
    )


def printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)


@given(samples())
@settings(max_examples=80, deadline=None)
def test_a_sample_is_one_line_and_comes_back_as_it_was(sample: Sample) -> None:
    """Quotes, commas and line ends in its texts can't break the file; control characters become spaces."""
    line = sample_line(sample)
    back = parse_sample(line)
    assert len(line.splitlines()) <= 1
    assert (back.name, back.error) == (printable(sample.name), printable(sample.error))
    assert (back.status, back.ok) == (sample.status, sample.ok)
    for ours, theirs in [(back.planned, sample.planned), (back.sent, sample.sent), (back.at_least, sample.at_least)]:
        assert ours == pytest.approx(theirs, abs=1e-5)


GOOD = "1.000000,1.500000,2.000000,,200,1,GET /,"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "0 fields"),
        ("1.0,1.5,2.0", "3 fields"),  # torn
        (GOOD + ",more", "9 fields"),
        ("1.0,1.5,2.0,2.0,200,1,GET /,", "never both"),
        ("1.0,1.5,,,200,1,GET /,", "never both"),
        ("1.0,1.5,1.2,,200,1,GET /,", "not in this order"),  # ended before it was sent
        ("1.0,0.5,2.0,,200,1,GET /,", "not in this order"),  # sent before it was planned
        ("nan,1.5,2.0,,200,1,GET /,", "not in this order"),
        ("1.0,1.5,inf,,200,1,GET /,", "not in this order"),
        ("1.0,1.5,2.0,,2000,1,GET /,", "not possible"),
        ("1.0,1.5,2.0,,200,yes,GET /,", "not possible"),
        ("1.0,1.5,,2.0,0,1,GET /,", "not possible"),  # a right answer that never came
        ("one,1.5,2.0,,200,1,GET /,", "could not convert"),
        ('1.0,1.5,2.0,,200,1,"GET /,', "unexpected end of data"),
    ],
)
def test_a_line_that_no_engine_writes_is_refused(line: str, said: str) -> None:
    """A torn or doctored line never becomes a sample."""
    assert parse_sample(GOOD).latency == 1.0
    with pytest.raises(ValueError, match=said):
        parse_sample(line)
