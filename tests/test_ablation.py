"""What runs without some of the steps say about each step."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import pytest

from harness.ablation import ablate, check_form, conclude, trial, variants, write
from harness.errors import UsageError
from harness.judge import REORDERED, encode_check
from harness.model.ablation import Ablation, Variant
from harness.model.record import Record, StepRecord
from harness.model.timeline import Event, Span, Window
from harness.model.units import percent
from harness.model.verdict import Control
from harness.settings import Settings
from harness.slo import Slo
from tests.slo.build import BEGAN, RATE, fault, record, sample, span

CLAIM = Slo.availability(at_least=percent(90)).during(Window("w"))
Fails = Callable[[Collection[str]], float]  # the share of requests that fail with these steps performed


def step(name: str, *, skipped: bool) -> StepRecord:
    return StepRecord(window=name, name=name, source="r.md:1", purpose="mitigate", deadline=None, skipped=skipped)


def told(steps: Sequence[str], settings: Settings, fails: Fails) -> Record:
    """A run of ten seconds in which the steps stand at the very beginning."""
    kept = [name for name in steps if name not in settings.without]
    each = round(1 / share) if (share := fails(kept)) else 0
    samples = [sample(i / RATE, status=503 if each and i % each == 0 else 200) for i in range(10 * RATE)]
    spans = [Span(name=name, kind="step", began=BEGAN, ended=BEGAN) for name in steps]
    run = record(
        samples,
        windows=[span("w", 0, 10), *spans],
        steps=[step(name, skipped=name not in kept) for name in steps],
        control=settings.control,
    )
    changed = (Event(at=BEGAN, kind=REORDERED, subject="", details={}),) if settings.order else ()
    return replace(run, events=changed, checks=(encode_check(CLAIM),))


def ablated(steps: Sequence[str], fails: Fails) -> Ablation:
    return ablate("s", Settings(), lambda settings: [told(steps, settings, fails)])


def worths(found: Ablation) -> dict[str, str]:
    return {finding.step: finding.worth for finding in found.findings}


def test_every_variant_is_tried_once() -> None:
    """As written, none, each left out, each alone and every order; what comes to the same is one variant."""
    assert [one.name for one in variants(["a", "b"])] == [
        "as written",
        "no step",
        "without a",
        "without b",
        "b, then a",
    ]
    three = variants(["a", "b", "c"])
    assert len(three) == 1 + 1 + 3 + 3 + 5
    assert {one.left_out for one in three if one.name == "only b"} == {("a", "c")}
    assert [one.order for one in variants("abcd") if one.order] == [tuple("dcba")]
    assert variants(["a"]) == (Variant(name="as written"), Variant(name="no step", left_out=("a",)))


@pytest.mark.parametrize(
    ("fails", "expected", "shortest"),
    [
        (lambda kept: 0.0 if "a" in kept else 0.5, {"a": "matters", "b": "placebo"}, ("a",)),
        (lambda kept: 0.0 if kept else 0.5, {"a": "redundant", "b": "redundant"}, ("b",)),  # the first one tried
        (lambda kept: 0.5 if "b" in kept else 0.0, {"a": "placebo", "b": "harms"}, ()),
        (lambda kept: 0.02 if "a" in kept else 0.05, {"a": "helps", "b": "placebo"}, ()),
        (lambda kept: 0.05 if "b" in kept else 0.02, {"a": "placebo", "b": "harms"}, ()),
        (lambda kept: 0.5, {"a": "placebo", "b": "placebo"}, None),
        (lambda kept: 0.0 if len(kept) == 2 else 0.5, {"a": "matters", "b": "matters"}, ("a", "b")),
    ],
)
def test_what_users_got_says_what_a_step_is_good_for(
    fails: Fails, expected: dict[str, str], shortest: tuple[str, ...] | None
) -> None:
    """A step is told by the run with it and the run without it, and one that others make needless by itself."""
    found = ablated(["a", "b"], fails)
    assert (worths(found), found.shortest) == (expected, shortest)


def test_a_step_is_not_called_a_placebo_where_the_runs_do_not_tell() -> None:
    """A claim that is UNKNOWN, or a run that is INVALID, leaves the step's worth unknown."""
    assert worths(ablated(["a"], lambda kept: 0.1)) == {"a": "unknown"}  # both at the limit
    settings = Settings(control=Control.ABLATION, without=("a",))
    sound = told(["a"], Settings(), lambda kept: 0.0)
    broken = replace(told(["a"], settings, lambda kept: 0.5), faults=(fault(0, 10),))  # nobody saw it in force
    one = trial(Variant(name="no step", left_out=("a",)), [broken])
    assert one.spoilt.startswith("INVALID")
    assert one.met is None
    found = conclude("s", ["a"], [trial(Variant(name="as written"), [sound]), one], 1.0)
    assert (worths(found), found.shortest) == ({"a": "unknown"}, ("a",))
    assert found.findings[0].why == one.spoilt


def test_a_variant_that_was_never_performed_is_not_counted() -> None:
    """A run that left no record says so and is no pass."""
    assert trial(Variant(name="no step"), []).spoilt == "it was never performed"


def test_several_runs_of_a_variant_are_taken_together() -> None:
    """Every request of every run counts, and of each claim the worst outcome."""
    runs = [told(["a"], Settings(), lambda kept: share) for share in (0.0, 0.5)]  # noqa: B023 - called at once
    one = trial(Variant(name="as written"), runs)
    assert one.failed is not None
    assert (one.failed.hits, one.failed.count) == (500, 2000)
    assert one.met is False


def test_a_scenario_without_steps_has_nothing_to_leave_out() -> None:
    """There is nothing to learn from the same run again."""
    with pytest.raises(UsageError, match="no mitigating step"):
        ablated([], lambda kept: 0.0)


def test_it_can_be_read_by_people_and_programs() -> None:
    """Markdown, HTML and JSON say the same; any other form is refused before anything is run."""
    found = ablated(["a", "b"], lambda kept: 0.0 if "a" in kept else 0.5)
    assert "| a | **matters** |" in write(found, "md")
    assert "The shortest runbook that still met every objective: a." in write(found, "md")
    assert "<strong>placebo</strong>" in write(found, "html")
    assert json.loads(write(found, "json"))["findings"][1]["worth"] == "placebo"
    with pytest.raises(UsageError, match="--format pdf"):
        check_form("pdf")
