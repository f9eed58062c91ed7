"""Connections run out: towards a slow upstream, from clients that say nothing, and for want of files to open."""

from datetime import timedelta

import pytest

from harness import Alert, Arrivals, Logs, Run, Slo, minutes, percent, seconds
from harness.faults import Descriptors, IdleConnections, UpstreamOutage

SPIKE = Alert("HTTP503ErrorSpike", severity="critical", job="generation-service")
DOWN = Alert("CriticalServiceDown")
POOL = Alert("LlmPoolSaturated", severity="warning", source="sandbox")
QUEUE = Alert("LlmQueueFilling", severity="warning", source="sandbox")
RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
USUAL = Arrivals.constant(per_second=60)


def test_slow_upstream_fills_the_pool(run: Run) -> None:
    """When OpenAI is slow, calls hold every place of the outbound pool; we are paged, and a larger pool brings users
    back while OpenAI is still slow, without a restart."""
    with run.load(USUAL):
        calm = run.observe("calm", minutes(2))
        with run.fault(UpstreamOutage("openai", how="slow", delay=timedelta(seconds=1.2))) as slow:
            run.wait_for(SPIKE.firing, at_most=minutes(16))
            response = run.mitigate("connection-pool-resize")
            run.observe("with a larger pool", minutes(10))
        run.wait_for(SPIKE.quiet, at_most=minutes(10))
        run.restore("connection-pool-resize")
        after = run.observe("back to normal", minutes(5.5))
    run.verify(
        POOL.fires(within=minutes(6), of=slow.start),
        QUEUE.fires(within=minutes(8), of=slow.start),
        SPIKE.fires(within=minutes(15), of=slow.start),
        SPIKE.delivered(),
        Logs("generation").lacks("Connection pool exhausted", during=calm),
        Logs("generation").shows("Connection pool exhausted", during=slow),
        RECOVERED.within(minutes(5), of=response.end, by=slow.end),
        RECOVERED.during(after),
        SPIKE.resolves(within=minutes(6), of=slow.end),
        POOL.resolves(within=minutes(6), of=slow.end),
        QUEUE.resolves(within=minutes(6), of=slow.end),
    )


def test_idle_clients(run: Run) -> None:
    """Clients that hold a thousand connections and say nothing keep nobody else from being served, and page nobody."""
    with run.load(USUAL), run.fault(IdleConnections("generation", 8002, count=1000)):
        crowded = run.observe("a crowd that says nothing", minutes(5.5))
    run.verify(
        RECOVERED.during(crowded),
        SPIKE.stays_quiet(during=crowded),
        DOWN.stays_quiet(during=crowded),
    )


@pytest.mark.alone  # four workers that can't take a connection try for all their CPU is worth
def test_no_file_left_to_open(run: Run) -> None:
    """When each process of the service may open few files and idle clients hold them, no new user gets in: those wait
    in a queue of the kernel's where nobody counts them, and nobody is paged. It outlasts the clients, as those who
    waited now hold the files that answering them takes; a restart brings users back with no file more."""
    with run.load(USUAL), run.fault(Descriptors("generation", at_most=80)) as few:
        spare = run.observe("few files", minutes(5.5))
        with run.fault(IdleConnections("generation", 8002, count=400)):
            hit = run.observe("no file left", minutes(5.5))
        response = run.mitigate("restart-generation")
        better = run.observe("after the restart", minutes(5.5))
    run.verify(
        RECOVERED.during(spare),
        Logs("generation").shows("Too many open files", during=hit),
        SPIKE.stays_quiet(during=hit),
        DOWN.does_not_fire(during=hit),
        RECOVERED.during(better),
        RECOVERED.within(minutes(5), of=response.end, by=few.end),
    )
