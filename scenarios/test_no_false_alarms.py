"""What happens every day pages nobody."""

from harness import Alert, Arrivals, Run, Slo, minutes, percent, seconds
from harness.faults import ScrapeGap

SPIKE = Alert("HTTP503ErrorSpike")
DOWN = Alert("CriticalServiceDown")
HEALTHY = Slo.recovery(error_503=percent(1), mean=seconds(2))


def test_rolling_restart(run: Run) -> None:
    """Workers are replaced one after the other without a lost request, and nobody is paged."""
    with run.load(Arrivals.constant(per_second=60)):
        rolling = run.mitigate("graceful-restart")
        after = run.observe("with new workers", minutes(5.5))
    run.verify(
        HEALTHY.during(rolling, after),
        SPIKE.stays_quiet(during=rolling),
        DOWN.stays_quiet(during=rolling),
    )


def test_missed_scrapes(run: Run) -> None:
    """When Prometheus misses a scrape or two, nobody is told that the service is down."""
    with run.load(Arrivals.constant(per_second=60)):
        run.observe("calm", minutes(2))
        with run.fault(ScrapeGap("generation-service")):
            pass
        after = run.observe("scraped again", minutes(5.5))
    run.verify(
        DOWN.does_not_fire(during=after),
        SPIKE.stays_quiet(during=after),
        HEALTHY.during(after),
    )


def test_healthy_limit(run: Run) -> None:
    """At the most users that the service is meant to bear, it meets its objectives and nobody is paged."""
    with run.load(Arrivals.constant(per_second=75)):
        busy = run.observe("as busy as it may be", minutes(5.5))
    run.verify(
        HEALTHY.during(busy),
        SPIKE.stays_quiet(during=busy),
        DOWN.stays_quiet(during=busy),
    )
