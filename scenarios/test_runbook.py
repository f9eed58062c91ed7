"""Lines of the runbook that are no root cause's response: those that only look, and those that act on a host."""

import json

from harness import Alert, Arrivals, Run, minutes
from harness.faults import HttpProbe, UpstreamMisbehaves

SPIKE = Alert("HTTP503ErrorSpike", severity="critical", job="generation-service")
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
