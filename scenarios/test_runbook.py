"""Lines of the runbook that are no root cause's response: those that only look, and those that act on a host."""

import json

from harness import Alert, Arrivals, Run, Slo, minutes, percent, seconds
from harness.faults import HttpProbe, UpstreamMisbehaves

SPIKE = Alert("HTTP503ErrorSpike", severity="critical", job="generation-service")
RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
OPENAI = HttpProbe(
    path="/v1/chat/completions",
    headers={"Authorization": "Bearer sk-sandbox", "Content-Type": "application/json"},
    body=json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "ping"}], "max_tokens": 5}),
    says='"content"',
)


def test_diagnosis_during_an_incident(run: Run) -> None:
    """Every line of the diagnosis says what it is there to say: the health endpoints while all is well, the others also
    while OpenAI is overloaded and people are paged. What acts on a host acts on the one that is laid out; a cluster
    and a container engine there are none."""
    with run.load(Arrivals.constant(per_second=60)):
        run.look("look-health")
        with run.fault(UpstreamMisbehaves("openai", "overloaded", OPENAI)) as overloaded:
            run.wait_for(SPIKE.firing, at_most=minutes(10))
            run.look("look-cpu", "look-memory", "look-redis", "look-chromadb")
            run.look("look-models", "look-models-time", "look-status-page", "look-error-rate")
            run.look("look-disk", "look-sockets", "look-open-databases", "look-database-holders", "look-processes")
            run.mitigate("tidy-temporary", "pack-logs", "tcp-keepalive", "prune-containers", "scale-out")
        run.wait_for(SPIKE.quiet, at_most=minutes(10))
    run.verify(
        SPIKE.fires(within=minutes(8), of=overloaded.start),
        SPIKE.resolves(within=minutes(6), of=overloaded.end),
    )


def test_every_other_response(run: Run) -> None:
    """Each response of the runbook that no other scenario needs has its effect on a healthy system, and what can be
    taken back leaves it healthy."""
    with run.load(Arrivals.constant(per_second=60)):
        run.observe("the cache fills", minutes(5))
        run.mitigate("flush-temporary", "reset-pool-generation", "redis-maxmemory")
        run.mitigate("rate-limit-emergency", "shed-endpoints", "force-ok", "scale-down")
        run.restore("rate-limit-emergency", "shed-endpoints", "health-as-seen", "usual-workers")
        run.mitigate("anthropic-circuit-breaker")
        run.restore("anthropic-circuit-breaker")
        after = run.observe("what could be taken back is", minutes(5.5))
    run.verify(RECOVERED.during(after))
