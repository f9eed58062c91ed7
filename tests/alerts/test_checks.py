"""What each claim about an alert concludes from whole, spoilt and missing evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from harness.alerts.alert import Alert
from harness.errors import UsageError
from harness.model.check import Check
from harness.model.record import AlertEvidence, AlertSample, Record, Rule, Series
from harness.model.timeline import Moment, Window
from harness.model.units import minutes, seconds
from harness.model.verdict import Control, Outcome
from tests.alerts.story import (
    ENDED,
    EVIDENCE,
    FIRING,
    HEALED,
    INJECTED,
    LABELS,
    LAST,
    LOAD,
    NAME,
    RECORD,
    RULE,
    STATES,
    STEP,
    TARGET,
    TOLD,
    USERS,
    active,
    counter,
    gap,
    joined,
    load,
    note,
    scraped,
    told,
    without,
)

ALERT = Alert(NAME, severity="critical")
OUTAGE = Window("outage")
FIRES = ALERT.fires(within=minutes(8), of=OUTAGE.start)
DELIVERED = ALERT.delivered(within=minutes(2))
RESOLVES = ALERT.resolves(within=minutes(6), of=OUTAGE.end)
QUIET = ALERT.stays_quiet(Window("calm"), Window("after"))
EVERY = (FIRES, DELIVERED, RESOLVES, QUIET, ALERT.does_not_fire(Window("calm")))

PASS, FAIL, UNKNOWN, INVALID = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN, Outcome.INVALID
OTHER = {**LABELS, "severity": "warning"}
OTHER_TARGET = {"job": "frontend", "instance": "127.0.0.1:8"}
NO_RULE: tuple[Rule, ...] = ()
NEVER = without(STATES, 0, ENDED)


def judged(check: Check, record: Record) -> Outcome:
    return check.judge(record).outcome


# -- the whole story ---------------------------------------------------------------------------------------------


PRESENT = (replace(RULE, expr='http_requests_total{status="503"} > 20'),)


@pytest.mark.parametrize("check", EVERY, ids=lambda check: check.kind)
def test_a_sound_story_passes(check: Check) -> None:
    """With whole evidence and everything in time, each claim passes."""
    assert judged(check, RECORD) is PASS


@pytest.mark.parametrize("check", EVERY, ids=lambda check: check.kind)
@pytest.mark.parametrize(
    ("record", "why"),
    [
        (replace(RECORD, alerts=AlertEvidence()), "nothing was read at all"),
        (told(read=False), "Prometheus could not be read"),
        (told(read=False, problems=("it is gone",)), "and says why"),
        (told(evaluation_interval=0.0), "the resolution is not known"),
        (told(scrape_interval=0.0), "what counts as scraped is not known"),
        (told(rules=None), "the rules at the start are not known"),
        (told(rules_at_end=None), "the rules at the end are not known"),
    ],
)
def test_unread_evidence_is_unknown(check: Check, record: Record, why: str) -> None:
    """Evidence that could not be read leaves every claim UNKNOWN."""
    assert judged(check, record) is UNKNOWN, why


@pytest.mark.parametrize("check", EVERY, ids=lambda check: check.kind)
def test_no_evidence_never_passes_however_it_is_marked(check: Check) -> None:
    """Evidence that says it was read, and holds nothing, does not pass."""
    empty = AlertEvidence(
        read=True, rules=(RULE,), rules_at_end=(RULE,), scrape_interval=STEP, evaluation_interval=STEP
    )
    assert judged(check, replace(RECORD, alerts=empty)) is UNKNOWN


@pytest.mark.parametrize("check", EVERY, ids=lambda check: check.kind)
@pytest.mark.parametrize(
    "rule",
    [
        None,  # none at all
        replace(RULE, name="Other"),  # another one
        replace(RULE, labels={"severity": "warning"}),  # the same, with labels that rule out what is claimed
    ],
)
def test_a_rule_that_was_never_loaded_fails(check: Check, rule: Rule | None) -> None:
    """An alert without a rule can't page anyone: FAIL, and not a quiet success."""
    rules = NO_RULE if rule is None else (rule,)
    verdict = check.judge(told(rules=rules, rules_at_end=rules, states=NEVER, notifications=()))
    assert verdict.outcome is FAIL
    assert "no such rule is loaded" in verdict.observed
    mislabelled = rule is not None and rule.name == NAME
    assert ('has the labels {severity="warning"}' in verdict.observed) == mislabelled


@pytest.mark.parametrize("check", EVERY, ids=lambda check: check.kind)
@pytest.mark.parametrize(
    "change", [{"expr": "vector(1)"}, {"hold": 0.0}, {"labels": {"severity": "critical", "a": "b"}}]
)
def test_a_rule_that_was_changed_is_invalid(check: Check, change: dict[str, Any]) -> None:
    """A rule that is another one at the end makes the experiment another one."""
    assert judged(check, told(rules_at_end=(replace(RULE, **change),))) is INVALID


@pytest.mark.parametrize("check", [FIRES, RESOLVES], ids=lambda check: check.kind)
def test_a_moment_that_never_came_is_unknown(check: Check) -> None:
    """A claim counted from a window that never began is UNKNOWN."""
    elsewhere = replace(check, of=Moment("nowhere", "start"))  # type: ignore[type-var]  # both are dataclasses
    assert judged(elsewhere, RECORD) is UNKNOWN


# -- fires -------------------------------------------------------------------------------------------------------


def late(by: float) -> Record:
    """The story with the alert firing so many wall seconds after its limit of 8."""
    began = INJECTED + 8 + by
    return told(states=(*active("pending", 1021.0, 1022.0), *active("firing", began, began + 20)))


@pytest.mark.parametrize(
    ("record", "outcome", "why"),
    [
        (late(0.0), PASS, "exactly on the limit"),
        (late(STEP), UNKNOWN, "late by no more than the resolution"),
        (late(2 * STEP), FAIL, "late by more than that"),
        (told(states=NEVER), FAIL, "it never fired, and all was watched"),
        (told(states=active("pending", 1021.0, 1060.0)), FAIL, "pending is not firing"),
        (told(states=active("firing", FIRING, LAST, OTHER)), FAIL, "another alert fired"),
        (told(states=(*active("pending", 1010.0, 1011.0), *STATES)), INVALID, "pending before the fault"),
        (told(states=(*active("firing", 1019.75, 1019.75), *STATES)), INVALID, "firing just before the fault"),
        (told(states=(*active("pending", INJECTED, INJECTED), *STATES)), INVALID, "pending as the fault began"),
        (told(states=(*active("firing", 1010.0, 1011.0, OTHER), *STATES)), PASS, "another alert fired before"),
        (told(gaps=(gap(1005.0, 1006.0),)), UNKNOWN, "not watched before the fault"),
        (told(gaps=(gap(1021.0, 1022.0),)), UNKNOWN, "not watched between fault and firing"),
        (told(gaps=(gap(1080.0, 1081.0),)), PASS, "not watched long after it fired"),
        (told(gaps=(gap(1021.0, 1022.0, "receiver"),)), PASS, "the receiver is not needed to fire"),
        (told(gaps=(gap(1021.0, 1022.0, f"rule {NAME}"),)), UNKNOWN, "the rule was not evaluated"),
        (told(gaps=(gap(1021.0, 1022.0, "rule Other"),)), PASS, "another rule was not evaluated"),
        (told(up=(scraped(1010.0),)), UNKNOWN, "what feeds it was not scraped before the fault"),
        (told(up=(scraped(1000.0, 1010.0),)), UNKNOWN, "what feeds it was scraped no more"),
        (
            told(up=(joined(scraped(1000.0, 1010.0), scraped(1010.0, 1013.0, up=0), scraped(1013.0)),)),
            UNKNOWN,
            "down",
        ),
        (told(up=(joined(scraped(1000.0, 1021.0), scraped(1022.5)),)), PASS, "a hole after the fault can't forge it"),
        (told(inputs={}), UNKNOWN, "what feeds it is not known"),
        (told(rules_at_end=NO_RULE), PASS, "the rule was deleted after it had fired"),
        (told(rules_at_end=(replace(RULE, health="err"),)), PASS, "the rule broke after it had fired"),
    ],
)
def test_fires(record: Record, outcome: Outcome, why: str) -> None:
    """`fires` passes only where the alert was seen quiet before, and firing in time after."""
    assert judged(FIRES, record) is outcome, why


@pytest.mark.parametrize(
    ("evidence", "outcome", "why"),
    [
        ({}, FAIL, "all was watched"),
        ({"rules_at_end": NO_RULE}, FAIL, "the rule was deleted meanwhile"),
        ({"rules_at_end": NO_RULE, "gaps": (gap(1030.0, ENDED, f"rule {NAME}"),)}, FAIL, "and we saw it go"),
        ({"rules_at_end": NO_RULE, "gaps": (gap(1021.0, 1023.0),)}, UNKNOWN, "but it may have fired before"),
        ({"rules_at_end": (replace(RULE, health="err"),)}, UNKNOWN, "the rule can't be evaluated"),
        ({"rules_at_end": (replace(RULE, health="unknown"),)}, UNKNOWN, "the rule was never evaluated"),
        ({"gaps": (gap(1027.9, 1050.0),)}, UNKNOWN, "a gap just before the limit"),
        ({"gaps": (gap(1029.0, 1050.0),)}, FAIL, "a gap after the limit"),
        ({"gaps": (gap(1021.0, 1022.0, f"rule {NAME}"),)}, UNKNOWN, "not evaluated for a while"),
        ({"up": ()}, UNKNOWN, "nothing was scraped"),
        ({"up": (scraped(target=OTHER_TARGET),)}, FAIL, "it has no `up`, but samples all along: a gateway's"),
        (
            {"up": (scraped(target=OTHER_TARGET),), "inputs": {NAME: (Series(labels=TARGET, points=()),)}},
            UNKNOWN,
            "it has neither",
        ),
        ({"up": (scraped(1000.0, 1024.0),)}, UNKNOWN, "scraped no more"),
        ({"up": (joined(scraped(1000.0, 1024.0), scraped(1024.0, up=0)),)}, UNKNOWN, "scraped in vain"),
        ({"up": (joined(scraped(1000.0, 1024.0), scraped(1026.5)),)}, FAIL, "half of its range not scraped"),
        ({"up": (joined(scraped(1000.0, 1024.0), scraped(1026.75)),)}, UNKNOWN, "more than half of it not scraped"),
        (
            {"up": (joined(scraped(1000.0, 1024.0), scraped(1025.25)),), "rules": PRESENT, "rules_at_end": PRESENT},
            UNKNOWN,
            "what reads the present bears no such hole",
        ),
        ({"inputs": {}}, UNKNOWN, "what feeds it was not recorded"),
        ({"inputs": {NAME: ()}}, UNKNOWN, "nothing feeds it"),
        (
            {"inputs": {NAME: (Series(labels=TARGET, points=()), Series(labels=OTHER_TARGET, points=()))}},
            UNKNOWN,
            "one of two targets was never scraped",
        ),
        ({"inputs": {NAME: (Series(labels=TARGET, points=()),)}}, FAIL, "exposed, scraped, and no such series"),
    ],
)
def test_not_firing(evidence: dict[str, Any], outcome: Outcome, why: str) -> None:
    """That an alert did not fire is a FAIL only where it would have been seen."""
    assert judged(FIRES, told(**{"states": NEVER, **evidence})) is outcome, why


def test_not_firing_before_the_run_ended_is_unknown() -> None:
    """An alert that still had time when the run ended has not failed to fire."""
    assert judged(FIRES, replace(told(states=NEVER), ended=INJECTED + 7.9)) is UNKNOWN
    assert judged(FIRES, replace(told(states=NEVER), ended=INJECTED + 8)) is FAIL


def test_a_late_alert_whose_input_was_not_scraped_is_unknown() -> None:
    """It may be late only because nobody looked."""
    up = joined(scraped(1000.0, 1021.0), scraped(1025.0))
    assert judged(FIRES, replace(late(3.0), alerts=replace(late(3.0).alerts, up=(up,)))) is UNKNOWN


def test_a_fault_without_a_calm_before_is_unknown() -> None:
    """Where nothing was watched before the fault, nobody knows whether it was quiet."""
    windows = tuple(replace(one, began=max(one.began, 1019.8)) for one in RECORD.windows)
    assert judged(FIRES, replace(RECORD, windows=windows, began=1019.8)) is UNKNOWN


def test_an_alert_on_up_is_fed_by_targets_that_are_down() -> None:
    """For `up == 0` a scrape that finds the target down is the evidence; for anything else it is none."""
    up = joined(scraped(1000.0, 1020.0), scraped(1020.25, ENDED, up=0))
    on_up = told(up=(up,), inputs={NAME: (up, Series(labels=TARGET, points=()))}, states=NEVER)
    on_requests = told(up=(up,), states=NEVER)
    assert judged(FIRES, on_up) is FAIL
    assert judged(FIRES, on_requests) is UNKNOWN


def test_fires_says_when_with_its_resolution() -> None:
    """A firing is said in runbook time with its resolution."""
    verdict = FIRES.judge(RECORD)
    assert verdict.observed == "fired 3 min ± 15 s after the start of outage"
    assert (verdict.limit, verdict.resolution) == ("8 min", "± 15 s")


def test_other_labels_are_named() -> None:
    """An alert that fired with other labels is mentioned: it is the usual mistake."""
    assert 'severity="warning"' in FIRES.judge(told(states=active("firing", FIRING, LAST, OTHER))).observed


# -- delivered ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evidence", "outcome", "why"),
    [
        ({"notifications": (note(FIRING + 2),)}, PASS, "exactly on the limit"),
        ({"notifications": (note(FIRING + 2.2),)}, UNKNOWN, "late by less than the resolution"),
        ({"notifications": (note(FIRING + 2 + STEP),)}, UNKNOWN, "late by just the resolution"),
        ({"notifications": (note(FIRING + 3),)}, FAIL, "late"),
        (
            {"notifications": (note(FIRING + 3),), "gaps": (gap(1023.5, 1024.0, "receiver"),)},
            UNKNOWN,
            "one was missed?",
        ),
        ({"notifications": ()}, FAIL, "nothing came, and we would have seen it"),
        ({"notifications": (), "notifications_read": False}, UNKNOWN, "the receiver could not be read"),
        ({"notifications": (), "gaps": (gap(1023.5, 1024.0, "receiver"),)}, UNKNOWN, "the receiver was away"),
        ({"notifications": (), "gaps": (gap(1023.5, 1024.0, "alertmanager"),)}, UNKNOWN, "Alertmanager was away"),
        ({"notifications": (), "gaps": (gap(1023.5, 1024.0),)}, UNKNOWN, "Prometheus was away"),
        ({"gaps": (gap(1010.0, 1011.0, "alertmanager"),)}, UNKNOWN, "Alertmanager was away at any time"),
        ({"notifications": (note(1010.0, starts_at=1009.0),)}, FAIL, "a leftover that came before it fired"),
        ({"notifications": (note(1024.0, starts_at=900.0),)}, FAIL, "a repetition of an older firing"),
        ({"notifications": (note(starts_at=FIRING - STEP),)}, PASS, "begun an evaluation earlier"),
        ({"notifications": (note(starts_at=FIRING - 2 * STEP),)}, FAIL, "begun before it fired"),
        ({"notifications": (note(starts_at=LAST + 2 * STEP),)}, FAIL, "begun after it fired"),
        ({"notifications": (note(FIRING - 0.1),)}, FAIL, "arrived before it fired"),
        ({"notifications": (note(labels=OTHER),)}, FAIL, "another alert was delivered"),
        ({"notifications": (replace(note(), name="Other"),)}, FAIL, "another name was delivered"),
        ({"notifications": (note(TOLD, "resolved"),)}, FAIL, "only its end was delivered"),
        ({"notifications_read": False}, PASS, "it came; what was not read later does not matter"),
        ({"states": NEVER}, FAIL, "a notification of an alert that never fired is none of it"),
        ({"states": NEVER, "gaps": (gap(1023.0, 1024.0),)}, UNKNOWN, "it may have fired unseen"),
        ({"states": NEVER, "rules_at_end": NO_RULE}, FAIL, "it never fired: the rule was deleted"),
        (
            {"states": NEVER, "rules_at_end": NO_RULE, "gaps": (gap(1030.0, ENDED, f"rule {NAME}"),)},
            FAIL,
            "and we saw it go",
        ),
        ({"states": NEVER, "rules_at_end": NO_RULE, "gaps": (gap(1023.0, 1024.0),)}, UNKNOWN, "but not all the while"),
        ({"states": NEVER, "rules_at_end": (replace(RULE, health="err"),)}, UNKNOWN, "the rule broke"),
        ({"states": NEVER, "gaps": (gap(1030.0, 1031.0, f"rule {NAME}"),)}, UNKNOWN, "the rule was not evaluated"),
        ({"states": NEVER, "up": (scraped(1000.0, 1024.0),)}, UNKNOWN, "it never fired: it was not fed"),
    ],
)
def test_delivered(evidence: dict[str, Any], outcome: Outcome, why: str) -> None:
    """`delivered` passes only on a notification of this very firing, in time."""
    assert judged(DELIVERED, told(**evidence)) is outcome, why


def test_delivered_without_a_limit_waits_until_the_run_ends() -> None:
    """Without a limit, any time before the end will do, and none is a FAIL."""
    assert judged(ALERT.delivered(), told(notifications=(note(ENDED),))) is PASS
    assert judged(ALERT.delivered(), told(notifications=())) is FAIL


def test_not_delivered_yet_is_unknown() -> None:
    """A limit that had not passed when the run ended is not missed."""
    assert judged(DELIVERED, replace(told(notifications=()), ended=FIRING + 1)) is UNKNOWN
    assert judged(DELIVERED, replace(told(notifications=()), ended=FIRING + 2)) is FAIL


# -- resolves ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evidence", "outcome", "why"),
    [
        ({"states": active("firing", FIRING, HEALED + 5.75)}, PASS, "seen inactive exactly on the limit"),
        ({"states": active("firing", FIRING, HEALED + 6)}, UNKNOWN, "ended between two evaluations, one too late"),
        ({"states": active("firing", FIRING, HEALED + 6.25)}, FAIL, "too late"),
        ({"states": active("firing", FIRING, ENDED)}, FAIL, "it never resolved"),
        ({"states": NEVER}, FAIL, "what never fired can't resolve"),
        ({"states": NEVER, "gaps": (gap(1021.0, 1022.0),)}, UNKNOWN, "it may have fired unseen"),
        ({"states": active("firing", FIRING, 1050.0)}, PASS, "resolved before the fault ended (it was mitigated)"),
        ({"states": (*STATES, *active("firing", 1090.0, 1091.0))}, FAIL, "it fired again"),
        ({"states": (*STATES, *active("firing", ENDED, ENDED))}, FAIL, "it fired again at the very end"),
        ({"states": (*STATES, *active("pending", 1090.0, 1091.0))}, PASS, "pending again, and over: no relapse"),
        ({"states": (*STATES, *active("pending", 1099.0, ENDED))}, UNKNOWN, "pending when the run ended"),
        ({"gaps": (gap(1070.0, 1071.0),)}, UNKNOWN, "it may have fired again unseen"),
        ({"gaps": (gap(1010.0, 1011.0),)}, PASS, "a gap before it fired"),
        ({"gaps": (gap(1070.0, 1071.0, f"rule {NAME}"),)}, UNKNOWN, "not evaluated after it ended"),
        ({"gaps": (gap(1070.0, 1071.0, "receiver"),)}, PASS, "the receiver is not needed to resolve"),
        ({"rules_at_end": NO_RULE}, FAIL, "it went quiet because the rule was deleted"),
        ({"rules_at_end": NO_RULE, "gaps": (gap(1070.0, 1071.0),)}, UNKNOWN, "or it had resolved before, unseen"),
        ({"rules_at_end": (replace(RULE, health="err"),)}, UNKNOWN, "it went quiet because the rule broke"),
        ({"up": (scraped(1000.0, 1064.0),)}, UNKNOWN, "it went quiet because nobody scraped any more"),
        ({"up": (joined(scraped(1000.0, 1064.0), scraped(1064.0, ENDED, up=0)),)}, UNKNOWN, "or scraped in vain"),
        ({"up": (joined(scraped(1000.0, 1064.0), scraped(1067.0)),)}, UNKNOWN, "scraped again only after the limit"),
        (
            {"states": active("firing", FIRING, 1061.0), "up": (joined(scraped(1000.0, 1060.0), scraped(1063.0)),)},
            PASS,
            "scraped again within the limit, and it stayed quiet",
        ),
        (
            {"states": active("firing", FIRING, 1061.0), "up": (joined(scraped(1000.0, 1060.0), scraped(1098.0)),)},
            UNKNOWN,
            "scraped again only just before the end",
        ),
        ({"inputs": {}}, UNKNOWN, "what feeds it is not known"),
    ],
)
def test_resolves(evidence: dict[str, Any], outcome: Outcome, why: str) -> None:
    """`resolves` passes only where the alert ended in time, for good, and would have been seen to go on."""
    assert judged(RESOLVES, told(**evidence)) is outcome, why


def test_still_firing_when_a_short_run_ends_is_unknown() -> None:
    """A run that ends within the limit, with the alert firing, proves nothing."""
    record = replace(told(states=active("firing", FIRING, HEALED + 3)), ended=HEALED + 3)
    assert judged(RESOLVES, record) is UNKNOWN


def test_a_run_may_end_soon_after_an_alert_was_seen_to_resolve() -> None:
    """Two evaluations without the alert are enough where everything was scraped."""
    assert judged(RESOLVES, replace(RECORD, ended=LAST + 3 * STEP)) is PASS


@pytest.mark.parametrize(("again", "outcome"), [(ENDED - 2.5, PASS), (ENDED - 2.25, UNKNOWN)])
def test_after_a_hole_the_alert_must_have_had_the_time_to_fire(again: float, outcome: Outcome) -> None:
    """Once its input is scraped again, an alert needs its `for` (2 s) and two evaluations before silence counts."""
    check = ALERT.resolves(within=minutes(60), of=OUTAGE.end)
    assert judged(check, told(up=(joined(scraped(1000.0, 1064.0), scraped(again)),))) is outcome


@pytest.mark.parametrize(
    ("check", "record", "said"),
    [
        (FIRES, told(states=(*active("pending", 1010.0, 1011.0), *STATES)), "pending 10 min ± 15 s before the start"),
        (FIRES, replace(told(states=NEVER), ended=INJECTED + 5), "when the run ended, 5 min after the start"),
        (FIRES, told(states=active("pending", 1021.0, 1060.0)), "it became pending, and did not fire"),
        (FIRES, told(states=NEVER), "it did not fire"),
        (
            FIRES,
            told(gaps=(gap(1005.0, 1006.5),)),
            "prometheus could not be watched for 1 min 30 s: connection refused",
        ),
        (FIRES, told(up=(scraped(1010.0),)), "generation-service at 127.0.0.1:7 was not scraped for 10 min"),
        (DELIVERED, RECORD, "delivered 12 s ± 15 s after it fired"),
        (RESOLVES, told(states=active("firing", FIRING, 1080.0)), "it still fired 20 min ± 15 s after the end of"),
        (RESOLVES, told(states=active("firing", FIRING, 1049.75)), "resolved 10 min ± 15 s before the end of outage"),
        (
            RESOLVES,
            replace(told(states=active("firing", FIRING, HEALED + 3)), ended=HEALED + 3),
            "it was firing when the run ended, 3 min after the end of outage",
        ),
        (QUIET, told(states=active("firing", 1007.0, 1008.0)), "it was firing during calm, 2 min into it"),
        (QUIET, told(states=active("pending", 1007.0, 1008.0)), "it was pending during calm, 2 min into it"),
        (ALERT.stays_quiet(Window("nowhere")), RECORD, "nowhere never began"),
        (ALERT.stays_quiet(Window("broken off")), RECORD, "broken off never ended"),
    ],
)
def test_what_was_observed_is_said(check: Check, record: Record, said: str) -> None:
    """What was seen is said in runbook time, with its resolution where it was measured."""
    assert said in check.judge(record).observed


def test_resolved_says_when_and_how_often_it_came_back() -> None:
    """The last end counts; relapses and the notification are reported."""
    states = (*STATES, *active("firing", 1065.5, 1065.75))
    said = RESOLVES.judge(told(states=without(states, 1063.0, 1064.0))).observed
    assert said.startswith("resolved 6 min ± 15 s after the end of outage, having fired again 2 times")
    assert "people were told" in said
    assert said.endswith("later")


# -- stays quiet -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evidence", "outcome", "why"),
    [
        ({"states": (*active("firing", 1010.0, 1011.0), *STATES)}, FAIL, "it fired in the first window"),
        ({"states": (*STATES, *active("firing", 1085.0, 1085.0))}, FAIL, "it fired once in the last window"),
        ({"states": (*active("firing", 1005.0, 1005.0), *STATES)}, FAIL, "as a window began"),
        ({"states": (*active("firing", 1015.0, 1015.0), *STATES)}, FAIL, "as a window ended"),
        ({"states": (*STATES, *active("pending", 1085.0, 1085.0))}, FAIL, "it was pending"),
        ({"states": (*STATES, *active("firing", 1085.0, 1086.0, OTHER))}, PASS, "another alert fired"),
        ({"gaps": (gap(1010.0, 1011.0),)}, UNKNOWN, "not watched in a window"),
        ({"gaps": (gap(1014.9, 1020.0),)}, UNKNOWN, "not watched at the end of a window"),
        ({"gaps": (gap(1000.0, 1005.0),)}, UNKNOWN, "not watched until a window began"),
        ({"gaps": (gap(1015.0, 1020.0),)}, UNKNOWN, "not watched from a window's end on"),
        ({"gaps": (gap(1030.0, 1040.0),)}, PASS, "not watched between the windows"),
        ({"gaps": (gap(1010.0, 1011.0, f"rule {NAME}"),)}, UNKNOWN, "not evaluated"),
        ({"rules_at_end": NO_RULE}, FAIL, "the rule was deleted"),
        ({"rules_at_end": NO_RULE, "gaps": (gap(1010.0, 1011.0),)}, UNKNOWN, "and not all was watched"),
        ({"rules_at_end": (replace(RULE, health="err"),)}, UNKNOWN, "the rule broke"),
        ({"up": (scraped(1000.0, 1085.0),)}, UNKNOWN, "not scraped in a window"),
        ({"up": (scraped(up=0),)}, UNKNOWN, "never scraped with success"),
        ({"inputs": {}}, UNKNOWN, "what feeds it is not known"),
        (
            {"inputs": {NAME: (counter(), Series(labels=OTHER_TARGET, points=()))}},
            UNKNOWN,
            "a target nobody can tell of",
        ),
    ],
)
def test_stays_quiet(evidence: dict[str, Any], outcome: Outcome, why: str) -> None:
    """`stays_quiet` passes only where the alert would have been seen."""
    assert judged(QUIET, told(**evidence)) is outcome, why


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"loads": ()}, "there was no load"),
        ({"samples": ()}, "samples were recorded, 0 are here"),
        ({"loads": (replace(LOAD, complete=False),)}, "did not sign off"),
        ({"loads": (replace(LOAD, planned=9_000),)}, "target rate not reached"),
        ({"loads": (replace(LOAD, began=1085.0),)}, "no load was on"),
        ({"loads": (load(USERS[:41], 1000.0, 1099.0),), "samples": USERS[:41]}, "after: no samples"),
    ],
)
def test_an_alert_that_nobody_could_set_off_is_not_shown_to_be_quiet(change: dict[str, Any], why: str) -> None:
    """Without users, all of them accounted for, silence proves nothing."""
    verdict = QUIET.judge(replace(RECORD, **change))
    assert (verdict.outcome, why in verdict.observed) == (UNKNOWN, True), verdict.observed


def test_an_alert_that_was_not_quiet_fails_whoever_came() -> None:
    """What was seen is not taken back because users were missing."""
    record = replace(told(states=active("pending", 1006.0, 1007.0)), loads=(), samples=())
    assert judged(ALERT.stays_quiet(Window("calm")), record) is FAIL


@pytest.mark.parametrize(
    ("states", "outcome", "said"),
    [
        (NEVER, PASS, "no evaluation found it firing; "),
        (active("pending", 1006.0, 1007.0), PASS, "no evaluation found it firing, pending at times; "),
        ((*active("pending", 1006.0, 1007.0), *active("firing", 1007.25, 1007.25)), FAIL, "it was firing during calm"),
    ],
)
def test_does_not_fire(states: tuple[AlertSample, ...], outcome: Outcome, said: str) -> None:
    """What is over before the rule's `for` may make it pending, and may not page anyone."""
    verdict = ALERT.does_not_fire(Window("calm")).judge(told(states=states))
    assert (verdict.outcome, verdict.observed[: len(said)]) == (outcome, said)


@pytest.mark.parametrize(
    ("states", "outcome", "said"),
    [
        (NEVER, FAIL, "it was never pending during calm"),
        (active("pending", 1006.0, 1007.0), PASS, "no evaluation found it firing, pending at times; "),
        ((*active("pending", 1006.0, 1007.0), *active("firing", 1007.25, 1007.25)), FAIL, "it was firing during calm"),
    ],
)
def test_is_only_pending(states: tuple[AlertSample, ...], outcome: Outcome, said: str) -> None:
    """A blip crosses the threshold and pages nobody; without a fault nothing crosses it."""
    check = ALERT.is_only_pending(Window("calm"))
    verdict = check.judge(told(states=states))
    assert (verdict.outcome, verdict.observed[: len(said)]) == (outcome, said)
    assert check.red_under(RECORD) == {Control.NO_FAULT}


@pytest.mark.parametrize("window", ["blink", "broken off", "nowhere"])
def test_a_window_that_shows_nothing_is_unknown(window: str) -> None:
    """A window too short for two evaluations, one without an end, and one that never was prove nothing."""
    assert judged(ALERT.stays_quiet(Window(window)), RECORD) is UNKNOWN


def test_the_worst_window_decides() -> None:
    """One window without evidence is not made up for by another that passes."""
    assert judged(ALERT.stays_quiet(Window("calm"), Window("nowhere")), RECORD) is UNKNOWN


def test_a_label_that_nothing_carries_is_unknown() -> None:
    """A label that neither the rule nor its inputs carry would make any alert look quiet."""
    assert judged(Alert(NAME, job="generation-service").stays_quiet(Window("calm")), RECORD) is PASS
    assert judged(Alert(NAME, job="generation-servce").stays_quiet(Window("calm")), RECORD) is UNKNOWN


# -- for all -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", EVERY, ids=lambda check: check.kind)
def test_checks_survive_being_saved(check: Check) -> None:
    """A check that was written as JSON and read again is the same check."""
    adapter: TypeAdapter[Any] = TypeAdapter(type(check))
    assert adapter.validate_json(adapter.dump_json(check)) == check
    assert adapter.validate_python(adapter.dump_python(check, mode="json")).judge(RECORD) == check.judge(RECORD)


def test_which_claims_a_control_must_turn_red() -> None:
    """Without the fault nothing may fire, be delivered or resolve; an alert may well stay quiet."""
    red = [check.red_under(RECORD) for check in EVERY]
    assert red == [frozenset({Control.NO_FAULT})] * 3 + [frozenset()] * 2


@pytest.mark.parametrize("check", [FIRES, DELIVERED, RESOLVES], ids=lambda check: check.kind)
def test_without_the_fault_the_claims_fail(check: Check) -> None:
    """In a sound run without the fault, nothing fires, and each claim that says so fails."""
    record = replace(told(states=NEVER, notifications=()), control=Control.NO_FAULT)
    assert judged(check, record) is FAIL


@pytest.mark.parametrize("within", [timedelta(0), seconds(-1)])
def test_limits_must_be_positive(within: timedelta) -> None:
    """A limit of nothing can't be met, and is refused."""
    with pytest.raises(UsageError):
        ALERT.fires(within=within, of=OUTAGE.start)
    with pytest.raises(UsageError):
        ALERT.delivered(within=within)
    with pytest.raises(UsageError):
        ALERT.resolves(within=within, of=OUTAGE.start)


def test_at_scale_1_the_same_instants_are_sixty_times_as_short() -> None:
    """Limits are runbook time: at scale 1 the 3 s until it fired are 3 s."""
    record = replace(RECORD, time_scale=1.0)
    assert judged(ALERT.fires(within=seconds(3), of=OUTAGE.start), record) is PASS
    assert judged(ALERT.fires(within=seconds(2.5), of=OUTAGE.start), record) is FAIL


def test_the_evidence_is_whole() -> None:
    """The story that the tables spoil is sound in itself."""
    assert EVIDENCE.read
    assert not EVIDENCE.gaps
