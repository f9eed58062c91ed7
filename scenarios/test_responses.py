"""Responses that no other scenario needs, each in an incident that it is meant for."""

import json
from datetime import timedelta

from harness import Alert, Arrivals, Logs, Run, Slo, minutes, percent, seconds
from harness.faults import Answered, HeavyRequests, RedisFull, UpstreamOutage

SPIKE = Alert("HTTP503ErrorSpike", severity="critical", job="generation-service")
QUEUE = Alert("LlmQueueFilling", severity="warning", source="sandbox")
LOG = Logs("generation")
REFUSED = "command not allowed when used memory"  # what a full Redis says to whoever writes
RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
USUAL = Arrivals.constant(per_second=60)
SLOW = UpstreamOutage("openai", how="slow", delay=timedelta(seconds=0.2))
BATCHES = HeavyRequests(
    "generation",
    8002,
    "/api/generation/batch",
    at_once=12,
    until=Answered(),
    headers={"Content-Type": "application/json"},
    body=json.dumps({"prompts": [f"Write a script about stop {n} of night bus {{number}}." for n in range(20)]}),
)


def test_batches_are_shed(run: Run) -> None:
    """When batches take the places that users need at a slow OpenAI, the queue fills and people are told; shedding
    what is not essential empties it while the batches still come."""
    with run.load(USUAL):
        run.observe("calm", minutes(3))
        with run.fault(SLOW):
            run.observe("slow, and enough places", minutes(2))
            with run.fault(BATCHES) as batches:
                run.wait_for(QUEUE.firing, at_most=minutes(10))
                response = run.mitigate("shed-endpoints")
                run.observe("without batches", minutes(8))
            run.restore("shed-endpoints")
        after = run.observe("OpenAI is quick again", minutes(5.5))
    run.verify(
        QUEUE.fires(within=minutes(8), of=batches.start),
        QUEUE.resolves(within=minutes(6), of=response.end),
        RECOVERED.during(after),
    )


def test_a_hundred_requests_a_minute(run: Run) -> None:
    """The emergency limit ends a flood of batches, and turns nearly all users away with it; they are back when it is
    lifted."""
    with run.load(USUAL):
        run.observe("calm", minutes(3))
        with run.fault(SLOW), run.fault(BATCHES) as batches:
            run.wait_for(QUEUE.firing, at_most=minutes(10))
            response = run.mitigate("rate-limit-emergency")
            run.observe("with the limit", minutes(6))
        run.restore("rate-limit-emergency")
        after = run.observe("without it", minutes(5.5))
    run.verify(
        QUEUE.fires(within=minutes(8), of=batches.start),
        QUEUE.resolves(within=minutes(6), of=response.end),
        RECOVERED.during(after),
    )


def test_nothing_to_restore_brings_a_model_back(run: Run) -> None:
    """When OpenAI is gone, a pool that is reset and health endpoints that are told to say ok bring nobody back; OpenAI
    does."""
    with run.load(USUAL):
        with run.fault(UpstreamOutage("openai")) as outage:
            run.wait_for(SPIKE.firing, at_most=minutes(10))
            run.mitigate("reset-pool-generation", "force-ok")
            run.observe("as if it were well", minutes(6))
        run.wait_for(SPIKE.quiet, at_most=minutes(10))
        run.restore("health-as-seen")
        after = run.observe("OpenAI is back", minutes(5.5))
    run.verify(
        SPIKE.fires(within=minutes(8), of=outage.start),
        RECOVERED.within(minutes(5), of=outage.end),
        RECOVERED.during(after),
        SPIKE.resolves(within=minutes(6), of=outage.end),
    )


def test_both_models_say_nothing(run: Run) -> None:
    """When, on the fallback, Anthropic takes connections and never says a word, its breaker refuses at once what would
    hang; users are back with Anthropic while OpenAI is still gone."""
    with run.load(USUAL):
        run.mitigate("fallback-model")
        with run.fault(UpstreamOutage("openai")) as outage:
            run.observe("on the fallback", minutes(2))
            with run.fault(UpstreamOutage("anthropic", how="timeout")) as silence:
                run.wait_for(SPIKE.firing, at_most=minutes(12))
                run.mitigate("anthropic-circuit-breaker")
                run.observe("refused at once", minutes(6))
            back = run.restore("anthropic-circuit-breaker")
            run.observe("on the fallback again", minutes(6))
            run.wait_for(SPIKE.quiet, at_most=minutes(10))
        run.restore("fallback-model")
    run.verify(
        SPIKE.fires(within=minutes(12), of=silence.start),
        RECOVERED.within(minutes(5), of=back.end, by=outage.end),
        SPIKE.resolves(within=minutes(8), of=back.end),
    )


def test_redis_full(run: Run) -> None:
    """When what is temporary fills Redis, nothing new is kept, and users do not notice: the log tells. Emptying it ends
    that."""
    with run.load(USUAL), run.fault(RedisFull("redis", database=1)):
        full = run.observe("nothing is kept", minutes(5.5))
        run.mitigate("flush-temporary")
        emptied = run.observe("emptied", minutes(5.5))
    run.verify(
        LOG.shows(REFUSED, during=full),
        LOG.lacks(REFUSED, during=emptied),
        RECOVERED.during(full),
    )


def test_redis_gets_more_room(run: Run) -> None:
    """When Redis is full of what is to stay, a higher limit lets new things in."""
    with run.load(USUAL):
        with run.fault(RedisFull("redis", database=0)):
            full = run.observe("nothing is kept", minutes(5.5))
            run.mitigate("redis-maxmemory")
            roomy = run.observe("with more room", minutes(5.5))
        run.restore("redis-maxmemory")
    run.verify(
        LOG.shows(REFUSED, during=full),
        LOG.lacks(REFUSED, during=roomy),
        RECOVERED.during(full),
    )
