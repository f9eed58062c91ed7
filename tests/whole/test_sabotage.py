"""Sabotage: whatever is broken behind the run's back, the verdict is never PASS, and never a hang or a traceback."""

from __future__ import annotations

import signal

import pytest

from harness.sandbox.processes import ProcessSandbox
from tests.whole.conftest import RunOutage, Saboteur
from tests.whole.strikes import Strike, delete_the_rules, kill, kill_the_load, lead_astray

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.sabotage, pytest.mark.timeout(150)]


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
        pytest.param(INSIDE, kill("alertmanager"), {"FAIL", "UNKNOWN"}, id="alertmanager killed"),
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
    run_outage: RunOutage, when: tuple[str, str], strike: Strike, outcomes: set[str]
) -> None:
    """Each way to spoil the evidence, the fault or the path has the outcome that stands for it."""
    saboteur = Saboteur(*when, strike)
    outage = run_outage(saboteur)
    assert saboteur.struck
    assert outage.judgement.outcome.value in outcomes, "\n".join(map(str, outage.judgement.verdicts))


def test_a_killed_alertmanager_never_delivers(run_outage: RunOutage) -> None:
    """The claim of delivery itself is FAIL or UNKNOWN when Alertmanager is gone before the alert fires."""
    outage = run_outage(Saboteur(*INSIDE, kill("alertmanager")))
    assert outage.of("is delivered")[0] in {"FAIL", "UNKNOWN"}
