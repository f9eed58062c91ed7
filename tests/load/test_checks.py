"""The load generator is a suspect too: it is believed only where its account is whole and it kept to its plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from harness.load.checks import LoadKeptUp
from harness.model.load import Sample
from harness.model.record import LoadRecord, Record, Scenario
from harness.model.verdict import Control, Outcome

GOOD = LoadRecord(
    window="load",
    plan="80/s (open model)",
    target="http://127.0.0.1:8080",
    began=100.0,
    ended=110.0,
    planned=800,
    sent=800,
    finished=800,
    in_flight=0,
    dropped=0,
    complete=True,
    lateness_p99=0.003,
    lateness_max=0.04,
    generator_cpu=0.08,
    samples_file="load/load/samples.csv",
    samples_count=800,
    sha256="0" * 64,
)
SAMPLE = Sample(planned=100.0, sent=100.0, ended=100.1, name="GET /", status=200, ok=True)


def record(load: LoadRecord | None, samples: int | None = None, control: Control = Control.NONE) -> Record:
    """A record with this load and that many samples (by default, as many as it says)."""
    count = samples if samples is not None else load.samples_count if load else 0
    return Record(
        run_id="r",
        scenario=Scenario(name="s", hypothesis="h"),
        control=control,
        time_scale=1,
        seed=1,
        runtime="processes",
        began=99.0,
        ended=111.0,
        loads=(load,) if load else (),
        samples=(SAMPLE,) * count,
    )


def test_a_generator_that_kept_to_its_plan_passes() -> None:
    """All was sent, nothing late, the account is whole; the figures are there for a doubter."""
    verdict = LoadKeptUp(window="load").judge(record(GOOD))
    assert verdict.outcome is Outcome.PASS
    assert "800 of 800 arrivals sent" in verdict.observed
    assert any("8 % of one core" in line for line in verdict.evidence)


@pytest.mark.parametrize(
    ("change", "outcome", "said"),
    [
        ({"dropped": 1, "sent": 799}, Outcome.INVALID, "1 arrivals were dropped"),
        ({"sent": 791}, Outcome.INVALID, "only 791 of 800"),
        ({"sent": 792}, Outcome.PASS, "792 of 800"),  # 99 % is enough
        ({"lateness_p99": 0.201}, Outcome.INVALID, "started 201 ms late or more"),
        ({"lateness_p99": 0.2}, Outcome.PASS, "at most 200 ms late"),
        ({"lateness_max": 2.1}, Outcome.INVALID, "one arrival started 2.1 s late"),
        ({"complete": False, "problem": "it was killed"}, Outcome.UNKNOWN, "it was killed"),
        ({"complete": False}, Outcome.UNKNOWN, "did not sign off"),
        ({"complete": False, "dropped": 9}, Outcome.UNKNOWN, "did not sign off"),  # we may not say more than we know
        ({"ended": None}, Outcome.UNKNOWN, "never ended"),
        ({"planned": 0, "sent": 0}, Outcome.UNKNOWN, "called for nobody"),
        ({"samples_count": 0}, Outcome.UNKNOWN, "no samples"),
        ({"lateness_p99": None}, Outcome.UNKNOWN, "did not say how late"),
        ({"lateness_max": None}, Outcome.UNKNOWN, "did not say how late"),
    ],
)
def test_what_speaks_against_the_generator(change: dict[str, Any], outcome: Outcome, said: str) -> None:
    """Falling behind is INVALID, a hole in the account is UNKNOWN, and the reason is told."""
    verdict = LoadKeptUp(window="load").judge(record(replace(GOOD, **change)))
    assert (verdict.outcome, said in verdict.observed) == (outcome, True), verdict.observed


@pytest.mark.parametrize("samples", [0, 799, 801])
def test_samples_that_are_not_those_recorded_are_unknown(samples: int) -> None:
    """A copy that lost or gained a sample can't be judged as if it were whole."""
    assert LoadKeptUp(window="load").judge(record(GOOD, samples)).outcome is Outcome.UNKNOWN


def test_a_load_that_nobody_recorded_is_unknown() -> None:
    """Neither no load nor a load of another name is a load that kept up."""
    assert LoadKeptUp(window="load").judge(record(None)).outcome is Outcome.UNKNOWN
    assert LoadKeptUp(window="other").judge(record(GOOD)).outcome is Outcome.UNKNOWN


def test_a_tighter_limit_on_lateness_can_be_asked_for() -> None:
    """An objective in tens of milliseconds needs a generator that is better than that."""
    assert LoadKeptUp(window="load", lateness_limit=0.002).judge(record(GOOD)).outcome is Outcome.INVALID


def test_the_claim_holds_under_every_control() -> None:
    """No control leaves the load out, so this claim is never vacuous."""
    assert LoadKeptUp(window="load").red_under(record(GOOD)) == frozenset()


def test_the_check_survives_json() -> None:
    """It is saved in the record and judged again from there."""
    check = LoadKeptUp(window="load", lateness_limit=0.1)
    reader = TypeAdapter(LoadKeptUp)
    assert reader.validate_python(reader.dump_python(check, mode="json")) == check
