"""What each counterfactual makes of a run of which every claim holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.checkpoint import BegunWithin
from harness.counterfactual.base import Counterfactual
from harness.counterfactual.every import counterfactuals
from harness.judge import judge
from harness.model.record import AlertEvidence, Record
from harness.model.timeline import Moment
from harness.model.verdict import Outcome
from tests.counterfactual.whole import AFTER, KEPT, LOG, OTHER, WHOLE, claiming

HEARD = {"Other": [{"severity": "warning", "job": "generation-service"}]}
ALL = {one.name: one for one in counterfactuals(HEARD)}
FAIL, INVALID, ERROR = Outcome.FAIL, Outcome.INVALID, Outcome.ERROR


def judged(counter: Counterfactual, record: Record = KEPT) -> dict[str, Outcome]:
    """The verdicts by claim in the run as it might have been."""
    changed = counter.of(record)
    assert changed is not None
    return {verdict.claim: verdict.outcome for verdict in judge(changed).verdicts}


def test_nothing_is_wrong_with_the_run() -> None:
    """What turns red below is red by the counterfactual."""
    verdicts = judge(KEPT).verdicts
    assert len(verdicts) == 6 + 9
    assert {verdict.outcome for verdict in verdicts} == {Outcome.PASS}, "\n".join(map(str, verdicts))


@pytest.mark.parametrize(
    ("name", "parts", "outcome"),
    [
        ("users served as in the fault", [" s during better", "during calm and after", "recovered"], FAIL),
        ("every request refused", [" s during better", "during calm and after", "recovered"], FAIL),
        ("every answer a minute late", [" s during better", "during calm and after", "recovered"], FAIL),
        ("no user was ever hit", ["recovered"], FAIL),
        ("the generator fell behind", ["kept to its plan"], INVALID),
        ("alerts as once heard", ["neither pending"], FAIL),
        ("no alert stirs", ["fires", "delivered", "resolves"], FAIL),
        ("nothing is delivered", ["delivered"], FAIL),
        ("alerts go on firing", ["resolves"], FAIL),
        ("every alert fires", ["neither pending", "resolves"], FAIL),
        ("lines of other times", ["does not show"], FAIL),
        ("no such line", [" shows "], FAIL),
        ("such a line in every window", ["does not show"], FAIL),
        ("faults never in force", ["in force"], INVALID),
        ("faults never gone", ["was gone"], ERROR),
        ("steps without effect", ["step mend", "step take back"], FAIL),
        ("steps never taken back", ["set to what it was"], FAIL),
        ("something left behind", ["set to what it was"], FAIL),
    ],
)
def test_it_refutes_what_it_is_there_to_refute(name: str, parts: list[str], outcome: Outcome) -> None:
    """Each turns the claims on what it changed, to the word that stands for a claim refuted, and no other."""
    counter = ALL[name]
    became = judged(counter)
    assert counter.red is outcome
    assert not [verdict for verdict in became.values() if verdict is Outcome.ERROR and outcome is not ERROR]
    turned = {claim for claim, verdict in became.items() if verdict is outcome}
    assert turned == {claim for claim in became if any(part in claim for part in parts)}


def test_each_is_in_the_table() -> None:
    """No counterfactual is there that was not seen to turn something."""
    (table,) = test_it_refutes_what_it_is_there_to_refute.pytestmark  # type: ignore[attr-defined]  # pytest's own
    assert {row[0] for row in table.args[1]} | {"no evidence", "checks begun too late"} == set(ALL)


def test_checks_that_begin_too_late_tell_nobody_how_it_was_in_time() -> None:
    """The claim that they were begun in time is UNKNOWN then; it is told by the story itself, so that it holds without
    any other evidence, and is not asked to do without."""
    begun = BegunWithin(window=AFTER.name, within=3600, of=Moment("outage", "end"))
    record = claiming(begun)
    late, bare = ALL["checks begun too late"], ALL["no evidence"]
    assert judged(late, record)[begun.claim] is late.red is Outcome.UNKNOWN
    assert judged(bare, record)[begun.claim] is Outcome.PASS
    assert (late.is_about(begun.kind), bare.is_about(begun.kind)) == (True, False)
    assert (late.is_about("alert.fires"), bare.is_about("alert.fires")) == (False, True)


def test_nothing_passes_without_evidence() -> None:
    """With all evidence of what came of the story taken away, no claim holds."""
    assert ALL["no evidence"].grade == "taken away"
    assert Outcome.PASS not in judged(ALL["no evidence"]).values()


@pytest.mark.parametrize("name", ALL)
def test_none_breaks_a_check(name: str) -> None:
    """Whatever is changed, of however little, each check comes to a verdict: a broken one is no claim refuted."""
    changed = ALL[name].of(replace(KEPT, steps=(), logs=(), windows=()))
    said = [verdict.observed for verdict in judge(changed).verdicts] if changed else []
    assert not [one for one in said if "the check itself broke" in one]


@pytest.mark.parametrize("name", sorted(set(ALL) - {"no evidence"}))
def test_a_run_without_it_has_no_counterfactual(name: str) -> None:
    """Where a run has nothing of the kind there is nothing to change, and nothing is judged twice."""
    bare = replace(
        WHOLE, samples=(), loads=(), faults=(), steps=(), logs=(), alerts=AlertEvidence(), census_before=None
    )
    assert ALL[name].of(bare) is None


def test_an_alert_that_is_made_up_has_the_labels_of_its_rule_and_of_what_it_reads() -> None:
    """So a claim of silence with a label that the alert can't have stays green, and is seen to be vacuous. Templates in
    a rule's labels are filled in as Prometheus does."""
    templated = replace(OTHER, labels={"severity": "warning", "who": "{{ $labels.job }}!"})
    record = replace(KEPT, alerts=replace(KEPT.alerts, rules=(templated,), rules_at_end=(templated,)))
    changed = ALL["every alert fires"].of(record)
    assert changed is not None
    (labels,) = {tuple(sorted(one.labels.items())) for one in changed.alerts.states if one.name == "Other"}
    read = {"status": "503", "job": "generation-service", "instance": "127.0.0.1:7"}
    assert dict(labels) == {"severity": "warning", "who": "generation-service!", **read}


def test_what_a_fault_does_is_taken_from_before_anybody_responded() -> None:
    """Answers given while people mended it are no measure of the fault, nor are those of another request."""
    changed = ALL["users served as in the fault"].of(KEPT)
    assert changed is not None
    assert sum(sample.status == 503 for sample in changed.samples) > 0.9 * len(changed.samples)
    assert [one.planned for one in changed.samples] == [one.planned for one in KEPT.samples]
    others = tuple(replace(one, name="other") if one.planned > 1045 else one for one in KEPT.samples)
    kept = ALL["users served as in the fault"].of(replace(KEPT, samples=others))
    assert kept is not None
    assert all(one.ok for one in kept.samples if one.name == "other")


def test_a_line_stands_for_the_text_that_it_holds() -> None:
    """A text that was written at another time has its own line moved; of one that never was nothing is, and only a
    made-up line turns its claim."""
    log = replace(KEPT.logs[0], texts=(*KEPT.logs[0].texts, "out of memory"))
    written = replace(log, lines=(*log.lines, replace(log.lines[0], text="ERROR out of memory")))
    record = claiming(LOG.lacks("out of memory", during=AFTER))
    (claim,) = (verdict.claim for verdict in judge(record).verdicts if "out of memory" in verdict.claim)
    elsewhere, made_up = ALL["lines of other times"], ALL["such a line in every window"]
    assert judged(elsewhere, replace(record, logs=(written,)))[claim] is FAIL
    assert judged(elsewhere, replace(record, logs=(log,)))[claim] is Outcome.PASS
    assert judged(made_up, replace(record, logs=(log,)))[claim] is FAIL
