"""What the generation service leans on is gone: who notices, and who is told."""

from datetime import timedelta

from harness import Alert, Arrivals, Run, Slo, minutes, percent, seconds
from harness.faults import IdleConnections, ServiceDown, UpstreamOutage

SPIKE = Alert("HTTP503ErrorSpike")
DOWN = Alert("CriticalServiceDown")
CACHE = Alert("CacheFailing", severity="warning", source="sandbox")
SEARCH = Alert("DocumentSearchFailing", severity="warning", source="sandbox")
RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
USUAL = Arrivals.constant(per_second=60)


def test_redis_frozen(run: Run) -> None:
    """When Redis answers no more, scripts are written without the cache: users do not notice, nobody is paged, and
    the sandbox's own alert tells."""
    with run.load(USUAL):
        with run.fault(ServiceDown("redis", how="frozen")) as outage:
            run.wait_for(CACHE.firing, at_most=minutes(8))
            without = run.observe("without the cache", minutes(5.5))
        run.wait_for(CACHE.quiet, at_most=minutes(8))
    run.verify(
        CACHE.fires(within=minutes(6), of=outage.start),
        RECOVERED.during(without),
        SPIKE.stays_quiet(during=without),
        DOWN.stays_quiet(during=without),
        CACHE.resolves(within=minutes(5), of=outage.end),
    )


def test_redis_at_maxclients(run: Run) -> None:
    """When idle clients hold all places of Redis, scripts are still written, and nobody is paged."""
    with run.load(USUAL):
        with run.fault(IdleConnections("redis", 6379, count=200)):
            crowded = run.observe("no place at Redis", minutes(5.5))
        after = run.observe("places again", minutes(5.5))
    run.verify(
        RECOVERED.during(crowded, after),
        SPIKE.stays_quiet(during=crowded),
        DOWN.stays_quiet(during=crowded),
    )


def test_chromadb_killed(run: Run) -> None:
    """When ChromaDB is gone, scripts are written without sources and searches fail. The runbook's alert does not see
    it, as searches are few; the sandbox's own does."""
    with run.load(USUAL):
        with run.fault(ServiceDown("chromadb", how="killed")) as outage:
            run.wait_for(SEARCH.firing, at_most=minutes(8))
            without = run.observe("without documents", minutes(3))
        run.wait_for(SEARCH.quiet, at_most=minutes(8))
        after = run.observe("documents again", minutes(5.5))
    run.verify(
        SEARCH.fires(within=minutes(6), of=outage.start),
        SPIKE.stays_quiet(during=without),
        DOWN.stays_quiet(during=without),
        RECOVERED.during(after),
        SEARCH.resolves(within=minutes(5), of=outage.end),
    )


def test_slow_network_to_generation(run: Run) -> None:
    """When every answer of the generation service is late on its way, users wait and no alert of the runbook sees it,
    as the service itself is well."""
    with run.load(USUAL):
        with run.fault(UpstreamOutage("generation", how="slow", delay=timedelta(seconds=3))) as slow:
            hit = run.observe("answers come late", minutes(5.5))
        after = run.observe("in time again", minutes(5.5))
    run.verify(
        SPIKE.stays_quiet(during=hit),
        DOWN.does_not_fire(during=hit),
        RECOVERED.within(minutes(5), of=slow.end),
        RECOVERED.during(after),
    )
