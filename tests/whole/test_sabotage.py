"""Sabotage: whatever is broken behind the run's back, the verdict is never PASS, and never a hang or a traceback."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import httpx
import pytest

from harness.sandbox.processes import ProcessSandbox
from tests.whole.conftest import RunOutage, Saboteur

pytestmark = [pytest.mark.integration, pytest.mark.sabotage, pytest.mark.timeout(150)]

Strike = Callable[[ProcessSandbox], None]


def kill(service: str, number: int = signal.SIGKILL) -> Strike:
    return lambda sandbox: sandbox.kill(service, number)


def delete_the_rule(sandbox: ProcessSandbox) -> None:
    rules = sandbox.path("prometheus", "/etc/prometheus/rules.yml")
    rules.write_text("groups: []\n")
    reload(sandbox)


def stop_scraping(sandbox: ProcessSandbox) -> None:
    config = sandbox.path("prometheus", "/etc/prometheus/prometheus.yml")
    text = config.read_text()
    generation = str(sandbox.address("generation", 8002))
    assert generation in text
    config.write_text(text.replace(generation, str(sandbox.address("frontend", 3000))))
    reload(sandbox)


def reload(sandbox: ProcessSandbox) -> None:
    httpx.post(f"{sandbox.address('prometheus', 9090).url}/-/reload", timeout=5).raise_for_status()


def kill_the_load(sandbox: ProcessSandbox) -> None:
    os.kill(sandbox.spawned("load-load").pid, signal.SIGKILL)


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
        pytest.param(BEFORE, delete_the_rule, {"FAIL"}, id="rule deleted"),
        pytest.param(BEFORE, stop_scraping, {"UNKNOWN"}, id="target not scraped"),
        pytest.param(INSIDE, stop_scraping, {"UNKNOWN"}, id="target dropped in mid-fault"),
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
