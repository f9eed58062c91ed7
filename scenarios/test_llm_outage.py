"""The service keeps answering when its language model is down."""

from harness import Alert, Arrivals, Run, Slo, minutes, percent, seconds
from harness.faults import UpstreamOutage

ALERT = Alert("HTTP503ErrorSpike", severity="critical", job="generation-service")
RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))


def test_llm_outage(run: Run) -> None:
    """When OpenAI stops answering we are paged, and the circuit breaker with the
    fallback model brings users back before OpenAI itself returns."""
    with run.load(Arrivals.constant(per_second=60)):
        calm = run.observe("calm", minutes(8))
        with run.fault(UpstreamOutage("openai")) as outage:
            run.wait_for(ALERT.firing, at_most=minutes(10))
            response = run.mitigate("openai-circuit-breaker", "fallback-model")  # steps of the runbook
            better = run.observe("on the fallback", minutes(8))
        run.wait_for(ALERT.quiet, at_most=minutes(10))
        run.restore("openai-circuit-breaker", "fallback-model")
        after = run.observe("back to normal", minutes(8))
    run.verify(
        ALERT.fires(within=minutes(8), of=outage.start),
        ALERT.delivered(),
        RECOVERED.during(better),
        RECOVERED.within(minutes(5), of=response.end, by=outage.end),
        RECOVERED.during(calm, after),
        ALERT.resolves(within=minutes(6), of=outage.end),
    )
