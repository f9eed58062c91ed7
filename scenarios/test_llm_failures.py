"""A language model is up and answers badly, in each of the ways that its API has."""

import json
from datetime import timedelta

from harness import Alert, Arrivals, Run, Slo, minutes, percent, seconds
from harness.faults import HttpProbe, UpstreamMisbehaves, UpstreamOutage

SPIKE = Alert("HTTP503ErrorSpike", severity="critical", job="generation-service")
ERRORS = Alert("ErrorRatioHigh", severity="warning", source="sandbox", job="generation-service")
BREAKER = Alert("CircuitBreakerOpen", severity="warning", source="sandbox", upstream="openai")
RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
USUAL = Arrivals.constant(per_second=60)
OPENAI = HttpProbe(
    path="/v1/chat/completions",
    headers={"Authorization": "Bearer sk-sandbox", "Content-Type": "application/json"},
    body=json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "ping"}], "max_tokens": 5}),
    says='"content"',
)
ANTHROPIC = HttpProbe(
    path="/v1/messages",
    headers={"x-api-key": "sk-ant-sandbox", "anthropic-version": "2023-06-01", "Content-Type": "application/json"},
    body=json.dumps(
        {"model": "claude-3-5-haiku-latest", "messages": [{"role": "user", "content": "ping"}], "max_tokens": 5}
    ),
    says='"text"',
)


def test_openai_refuses(run: Run) -> None:
    """When OpenAI answers 429 to everything, we are paged, and the circuit breaker with the fallback model brings
    users back."""
    with run.load(USUAL):
        with run.fault(UpstreamMisbehaves("openai", "rate-limited", OPENAI)) as refusing:
            run.wait_for(SPIKE.firing, at_most=minutes(10))
            response = run.mitigate("openai-circuit-breaker", "fallback-model")
            better = run.observe("on the fallback", minutes(7))
        run.wait_for(SPIKE.quiet, at_most=minutes(10))
        run.restore("openai-circuit-breaker", "fallback-model")
    run.verify(
        SPIKE.fires(within=minutes(8), of=refusing.start),
        SPIKE.delivered(),
        ERRORS.fires(within=minutes(5), of=refusing.start),
        BREAKER.fires(within=minutes(5), of=refusing.start),
        RECOVERED.during(better),
        RECOVERED.within(minutes(5), of=response.end, by=refusing.end),
        SPIKE.resolves(within=minutes(6), of=refusing.end),
        ERRORS.resolves(within=minutes(6), of=refusing.end),
    )


def test_no_way_of_failing_reaches_users_of_the_fallback(run: Run) -> None:
    """With the fallback model on, users notice none of the ways in which OpenAI can fail."""
    with run.load(USUAL):
        run.mitigate("fallback-model")
        with run.fault(UpstreamMisbehaves("openai", "server-error", OPENAI)):
            erring = run.observe("OpenAI errs", minutes(5.5))
        with run.fault(UpstreamMisbehaves("openai", "overloaded", OPENAI)):
            overloaded = run.observe("OpenAI is overloaded", minutes(5.5))
        with run.fault(UpstreamMisbehaves("openai", "malformed", OPENAI)):
            malformed = run.observe("OpenAI talks nonsense", minutes(5.5))
        with run.fault(UpstreamMisbehaves("openai", "cut", OPENAI)):
            cut = run.observe("OpenAI breaks off", minutes(5.5))
    run.verify(
        RECOVERED.during(erring, overloaded, malformed, cut),
        SPIKE.stays_quiet(during=erring),
        SPIKE.stays_quiet(during=cut),
    )


def test_both_models_down(run: Run) -> None:
    """With the fallback model on, an outage of OpenAI alone is not noticed; when Anthropic goes as well, we are paged,
    and users are hit until one of them is back."""
    with run.load(USUAL):
        run.mitigate("fallback-model")
        with run.fault(UpstreamOutage("openai")):
            alone = run.observe("on the fallback", minutes(5.5))
            with run.fault(UpstreamOutage("anthropic")) as outage:
                run.wait_for(SPIKE.firing, at_most=minutes(10))
            run.wait_for(SPIKE.quiet, at_most=minutes(10))
        after = run.observe("both are back", minutes(5.5))
    run.verify(
        RECOVERED.during(alone),
        SPIKE.fires(within=minutes(8), of=outage.start),
        RECOVERED.within(minutes(5), of=outage.end),
        RECOVERED.during(after),
        SPIKE.resolves(within=minutes(6), of=outage.end),
    )


def test_brief_outage_pages_late(run: Run) -> None:
    """An outage of three minutes pages us when it is over: the rule looks back over five minutes, so its `for` of two
    filters no such blip."""
    with run.load(USUAL):
        with run.fault(UpstreamOutage("openai")) as blip:
            run.observe("away", minutes(3))
        run.wait_for(SPIKE.firing, at_most=minutes(6))
        after = run.observe("well again", minutes(5.5))
        run.wait_for(SPIKE.quiet, at_most=minutes(8))
    run.verify(
        SPIKE.fires(within=minutes(8), of=blip.start),
        RECOVERED.within(minutes(5), of=blip.end),
        RECOVERED.during(after),
        SPIKE.resolves(within=minutes(8), of=blip.end),
    )


def test_openai_hesitates(run: Run) -> None:
    """When OpenAI's first word comes later than the service waits for it, we are paged as for an outage, and the
    circuit breaker with the fallback model brings users back."""
    late = UpstreamMisbehaves("openai", "slow-first-token", OPENAI, delay=timedelta(seconds=4))
    with run.load(USUAL):
        with run.fault(late) as hesitating:
            run.wait_for(SPIKE.firing, at_most=minutes(12))
            response = run.mitigate("openai-circuit-breaker", "fallback-model")
            better = run.observe("on the fallback", minutes(7))
        run.wait_for(SPIKE.quiet, at_most=minutes(10))
        run.restore("openai-circuit-breaker", "fallback-model")
    run.verify(
        SPIKE.fires(within=minutes(12), of=hesitating.start),
        RECOVERED.during(better),
        RECOVERED.within(minutes(5), of=response.end, by=hesitating.end),
        SPIKE.resolves(within=minutes(6), of=hesitating.end),
    )


def test_openai_stalls(run: Run) -> None:
    """When OpenAI stops in the middle of each answer, we are paged as for an outage, and the circuit breaker with the
    fallback model brings users back."""
    with run.load(USUAL):
        with run.fault(UpstreamMisbehaves("openai", "stall", OPENAI)) as stalling:
            run.wait_for(SPIKE.firing, at_most=minutes(12))
            response = run.mitigate("openai-circuit-breaker", "fallback-model")
            better = run.observe("on the fallback", minutes(7))
        run.wait_for(SPIKE.quiet, at_most=minutes(10))
        run.restore("openai-circuit-breaker", "fallback-model")
    run.verify(
        SPIKE.fires(within=minutes(12), of=stalling.start),
        RECOVERED.during(better),
        RECOVERED.within(minutes(5), of=response.end, by=stalling.end),
        SPIKE.resolves(within=minutes(6), of=stalling.end),
    )


def test_openai_black_hole(run: Run) -> None:
    """When OpenAI takes connections and never says a word, we are paged, and the circuit breaker with the fallback
    model brings users back."""
    with run.load(USUAL):
        with run.fault(UpstreamOutage("openai", how="timeout")) as silence:
            run.wait_for(SPIKE.firing, at_most=minutes(12))
            response = run.mitigate("openai-circuit-breaker", "fallback-model")
            better = run.observe("on the fallback", minutes(7))
        run.wait_for(SPIKE.quiet, at_most=minutes(10))
        run.restore("openai-circuit-breaker", "fallback-model")
    run.verify(
        SPIKE.fires(within=minutes(12), of=silence.start),
        RECOVERED.during(better),
        RECOVERED.within(minutes(5), of=response.end, by=silence.end),
        SPIKE.resolves(within=minutes(6), of=silence.end),
    )


def test_openai_resets(run: Run) -> None:
    """When each connection to OpenAI is reset, we are paged, and the circuit breaker with the fallback model brings
    users back."""
    with run.load(USUAL):
        with run.fault(UpstreamOutage("openai", how="reset")) as resetting:
            run.wait_for(SPIKE.firing, at_most=minutes(10))
            response = run.mitigate("openai-circuit-breaker", "fallback-model")
            better = run.observe("on the fallback", minutes(7))
        run.wait_for(SPIKE.quiet, at_most=minutes(10))
        run.restore("openai-circuit-breaker", "fallback-model")
    run.verify(
        SPIKE.fires(within=minutes(8), of=resetting.start),
        RECOVERED.during(better),
        RECOVERED.within(minutes(5), of=response.end, by=resetting.end),
        SPIKE.resolves(within=minutes(6), of=resetting.end),
    )


def test_anthropic_down(run: Run) -> None:
    """While the fallback model writes everything, an outage of Anthropic pages us, and users are hit until Anthropic
    is back: the runbook has no model to go to after the fallback."""
    with run.load(USUAL):
        # Not in the runbook's order: between its breaker and its fallback nobody writes, which makes the alert pending.
        run.mitigate("fallback-model", "openai-circuit-breaker")
        calm = run.observe("on the fallback", minutes(5.5))
        with run.fault(UpstreamOutage("anthropic")) as outage:
            run.wait_for(SPIKE.firing, at_most=minutes(10))
        run.wait_for(SPIKE.quiet, at_most=minutes(10))
        run.observe("Anthropic again", minutes(5.5))
    run.restore("openai-circuit-breaker", "fallback-model")  # a restart, which users would feel
    run.verify(
        RECOVERED.during(calm),
        SPIKE.fires(within=minutes(8), of=outage.start),
        SPIKE.delivered(),
        RECOVERED.within(minutes(5), of=outage.end),
        SPIKE.resolves(within=minutes(6), of=outage.end),
    )


def test_both_models_refuse(run: Run) -> None:
    """With the fallback model on, nobody notices that OpenAI refuses all (429); when Anthropic is overloaded as well
    (529), we are paged, and users are back with Anthropic while OpenAI still refuses."""
    with run.load(USUAL):
        run.mitigate("fallback-model")
        with run.fault(UpstreamMisbehaves("openai", "rate-limited", OPENAI, retry_after=seconds(1))) as refusing:
            alone = run.observe("on the fallback", minutes(5.5))
            with run.fault(UpstreamMisbehaves("anthropic", "overloaded", ANTHROPIC)) as overloaded:
                run.wait_for(SPIKE.firing, at_most=minutes(10))
            run.observe("Anthropic is well again", minutes(8))
            run.wait_for(SPIKE.quiet, at_most=minutes(10))
        run.observe("OpenAI is asked again", minutes(4))
    run.verify(
        RECOVERED.during(alone),
        SPIKE.fires(within=minutes(8), of=overloaded.start),
        RECOVERED.within(minutes(5), of=overloaded.end, by=refusing.end),
        SPIKE.resolves(within=minutes(6), of=overloaded.end),
    )
