"""Sabotage: whatever is broken behind the run's back, the verdict is never PASS, and never a hang or a traceback."""

from __future__ import annotations

import signal

import pytest

from harness import Arrivals, Run, minutes
from harness.faults import UpstreamOutage
from harness.sandbox.processes import ProcessSandbox
from scenarios.test_llm_outage import ALERT, RECOVERED
from tests.whole.conftest import RunStory, Saboteur
from tests.whole.strikes import Strike, delete_the_rules, kill, kill_the_load, lead_astray

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.sabotage, pytest.mark.timeout(150)]


def outage_in_short(run: Run) -> None:
    """The shipped scenario with all of its kinds of claims, half of its response and shorter windows."""
    with run.load(Arrivals.constant(per_second=60)):
        calm = run.observe("calm", minutes(5.5))
        with run.fault(UpstreamOutage("openai")) as outage:
            run.wait_for(ALERT.firing, at_most=minutes(10))
            response = run.mitigate("fallback-model")
            better = run.observe("on the fallback", minutes(5.5))
        run.wait_for(ALERT.quiet, at_most=minutes(10))
        run.observe("OpenAI is asked again", minutes(4))
    run.verify(
        ALERT.fires(within=minutes(8), of=outage.start),
        ALERT.delivered(),
        RECOVERED.during(calm, better),
        RECOVERED.within(minutes(5), of=response.end, by=outage.end),
        ALERT.resolves(within=minutes(6), of=outage.end),
    )


def take_the_fault_out(sandbox: ProcessSandbox) -> None:
    for link in sandbox.links_to("openai"):
        link.enable()


def lead_past_the_proxy(sandbox: ProcessSandbox) -> None:
    sandbox.restart("generation", {"OPENAI_BASE_URL": "https://openai:8443/v1"})


BEFORE, INSIDE = ("observe.began", "calm"), ("fault.injected", "")


@pytest.mark.parametrize(
    ("when", "strike", "outcomes"),
    [
        pytest.param(INSIDE, kill("prometheus"), {"UNKNOWN"}, id="prometheus killed"),
        pytest.param(INSIDE, kill("prometheus", signal.SIGSTOP), {"UNKNOWN"}, id="prometheus frozen"),
        pytest.param(INSIDE, kill("receiver"), {"FAIL", "UNKNOWN"}, id="receiver killed"),
        pytest.param(BEFORE, delete_the_rules, {"FAIL"}, id="rule deleted"),
        pytest.param(BEFORE, lead_astray, {"UNKNOWN"}, id="target not scraped"),
        pytest.param(INSIDE, lead_astray, {"UNKNOWN"}, id="target dropped in mid-fault"),
        pytest.param(INSIDE, kill_the_load, {"UNKNOWN"}, id="load killed"),
        pytest.param(INSIDE, take_the_fault_out, {"INVALID"}, id="fault taken out"),
        pytest.param(BEFORE, lead_past_the_proxy, {"INVALID"}, id="proxy by-passed"),
        pytest.param(INSIDE, lead_past_the_proxy, {"INVALID"}, id="proxy by-passed in mid-fault"),
        pytest.param(INSIDE, kill("toxiproxy"), {"INVALID", "ERROR"}, id="toxiproxy killed"),
    ],
)
def test_no_sabotage_ever_passes(
    run_story: RunStory, when: tuple[str, str], strike: Strike, outcomes: set[str]
) -> None:
    """Each way to spoil the evidence, the fault or the path has the outcome that stands for it."""
    saboteur = Saboteur(*when, strike)
    outage = run_story(outage_in_short, saboteur)
    assert saboteur.struck
    assert outage.judgement.outcome.value in outcomes, "\n".join(map(str, outage.judgement.verdicts))


def test_nothing_done_to_it_passes(run_story: RunStory) -> None:
    """What turns red below is red by the sabotage."""
    outage = run_story(outage_in_short, Saboteur("nothing", "", lambda sandbox: None))
    assert outage.judgement.outcome.value == "PASS", "\n".join(map(str, outage.judgement.verdicts))


def test_a_killed_alertmanager_never_delivers(run_story: RunStory) -> None:
    """When Alertmanager is gone before the alert fires, the claim of delivery itself is FAIL or UNKNOWN, and so is the
    run."""
    outage = run_story(outage_in_short, Saboteur(*INSIDE, kill("alertmanager")))
    assert outage.of("is delivered")[0] in {"FAIL", "UNKNOWN"}
    assert outage.judgement.outcome.value in {"FAIL", "UNKNOWN"}
