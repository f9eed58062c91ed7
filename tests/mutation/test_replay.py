"""What Prometheus' own engine makes of wrong rules over a recorded run, and which claims notice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.model.mutation import Kill
from harness.model.record import Record
from harness.mutation.operators import mutants
from harness.mutation.promtool import Question, ask
from harness.mutation.replay import Replay, Result
from harness.mutation.series import Track
from harness.mutation.tally import tally
from tests.alerts.servers import promtool
from tests.mutation.incident import CALM, STORY, fires, incident, resolves, rule

pytestmark = pytest.mark.integration


def results(record: Record) -> dict[str, Result]:
    """What `record` says of every mutant, by operator."""
    deployed = rule()
    replayed, found = Replay(record=record, rules=[deployed], promtool=promtool()).of(
        "Down", mutants(deployed, ["api", "web"])
    )
    assert replayed.usable, replayed.why
    return {one.mutant.operator: one for one in found}


def killed(record: Record) -> dict[str, bool]:
    """The operators whose mutants are killed, and whether that is supposed."""
    return {name: one.kill.supposed for name, one in results(record).items() if one.kill is not None}


def test_a_calm_day_kills_what_fires_too_readily() -> None:
    """Rules that fire, or stir, while nothing is wrong are killed by the claim that they stay quiet."""
    found = killed(incident(CALM))
    assert set(found) == {"== to !=", "== to >", "== to >=", "threshold 0 to 1", "rule deleted"}
    assert not any(found.values())


def test_an_outage_kills_what_does_not_fire() -> None:
    """Rules that would have kept people waiting beyond the limit are killed, and it is said that this is supposed."""
    found = killed(incident(fires(8)))
    assert {"== to <", "matcher job misspelt", "wrong job", "for x10", "rule deleted"} <= set(found)
    assert found["for x10"]


def test_a_rule_that_fires_later_lives_while_the_limit_allows_it() -> None:
    """In the recording people had helped before the slower rule could fire; in a run with it they would have waited. It
    is killed by a limit that it would have missed, and by no other."""
    assert "for x2" not in killed(incident(fires(8)))
    assert results(incident(fires(8)))["for x2"].parted
    assert killed(incident(fires(3)))["for x2"]


def test_after_the_stories_part_nothing_is_said() -> None:
    """A rule that fires sooner ends the wait sooner: what the recording shows later kills nothing."""
    found = results(incident(fires(8), resolves(6)))
    assert found["for 0"].parted
    assert found["for 0"].kill is None


def test_what_was_not_recorded_is_undecided() -> None:
    """A rule that looks back to before the recording can't be tried, and says so."""
    found = results(incident(fires(8)))["offset added"]
    assert found.kill is None
    assert "before the recording" in found.why


def test_a_label_that_is_missing_is_noticed() -> None:
    """An alert without the label that is claimed is not the alert that is claimed."""
    kill = results(incident(fires(8)))["label severity dropped"].kill
    assert kill is not None
    assert "without the label severity" in kill.observed


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        ({"states": STORY[:3]}, "does not do what it did"),
        ({"rules": ()}, "0 rules of this name were loaded"),
        ({"rules": (replace(incident().alerts.rules[0], hold=9.0),)}, "not the one that is deployed"),  # type: ignore[index]  # it has one
    ],
    ids=["another story", "no rule", "another rule"],
)
def test_a_run_that_does_not_bear_the_rule_out_is_not_used(spoilt: dict[str, Any], why: str) -> None:
    """Where the deployed rule, replayed, does not do what was recorded, or is another, nothing is said of mutants."""
    replay = Replay(record=incident(CALM), rules=[rule()], promtool=promtool())
    replay.record = replace(replay.record, alerts=replace(replay.record.alerts, **spoilt))
    replayed, found = replay.of("Down", mutants(rule()))
    assert not replayed.usable
    assert why in replayed.why
    assert found == []


def test_only_claims_that_held_can_kill() -> None:
    """A claim that failed before has no word, nor has a run that proves nothing."""
    assert Replay(record=incident(fires(1)), rules=[rule()], promtool="").claims() == {}
    broken = replace(incident(CALM), error="we broke")
    assert Replay(record=broken, rules=[rule()], promtool="").claims() == {}


def test_all_runs_together_make_the_score() -> None:
    """A mutant is killed where any run kills it, and survives where none does; an alert that no claim speaks of has
    survivors only."""
    found = tally([rule()], mutants(rule(), ["api", "web"]), [incident(CALM), incident(fires(8))], promtool()).mutation(
        0.0, {}
    )
    score = found.whole()
    assert (score.killed, score.undecided) == (12, 1)
    assert score.killed + score.survived + score.undecided == len(found.tried)
    (kill,) = [one.kill for one in found.tried if one.operator == "== to !="]
    assert isinstance(kill, Kill)
    silent = tally([rule()], mutants(rule(), ["api", "web"]), [incident()], promtool()).mutation(0.0, {})
    assert silent.whole().share == 0
    assert {one.why for one in silent.tried} == {"no claim that held in a recorded run speaks of this alert"}


def test_promtool_names_the_rules_that_it_refuses() -> None:
    """A rule that Prometheus can't evaluate, as two of its alerts would be one, is named; the others are answered."""
    labels = ({"__name__": "x", "a": "1"}, {"__name__": "x", "a": "2"})
    question = Question(
        tracks=[Track(one, tuple((float(at), 1.0) for at in range(10))) for one in labels],
        rules={"sick": {"expr": "x > 0", "labels": {"a": "same"}}, "well": {"expr": "x > 0", "for": "2s"}},
        recording=[],
        began=0.0,
        ended=9.0,
        step=1.0,
        phase=0.5,
    )
    answer = ask(promtool(), question)
    assert set(answer.sick) == {"sick"}
    first = [one for one in answer.samples["well"] if one.labels["a"] == "2"]
    assert [(one.at, one.state) for one in first[:3]] == [(0.5, "pending"), (1.5, "pending"), (2.5, "firing")]
