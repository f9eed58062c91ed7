"""What happens every day pages nobody."""

from harness import Alert, Arrivals, Run, Slo, minutes, percent, seconds
from harness.faults import ScrapeGap, UpstreamOutage

SPIKE = Alert("HTTP503ErrorSpike")
DOWN = Alert("CriticalServiceDown")
ERRORS = Alert("ErrorRatioHigh", severity="warning", source="sandbox", job="generation-service")
HEALTHY = Slo.recovery(error_503=percent(1), mean=seconds(2))
HEALTHY_SO_FAR = Slo.recovery(error_503=percent(3), mean=seconds(2))  # what two seconds of requests can show


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


def test_blip_in_a_quiet_hour(run: Run) -> None:
    """In a quiet hour an outage fails most scripts and pages nobody: five busier minutes take the rule over its
    threshold for less than its `for`. The sandbox's own alert, on the share of errors, tells at once."""
    # The users make the blip and not the outage, which does not end at once: breakers take real seconds to close. With
    # 20.5 to 24 of 503s a second for five minutes the rule is over its threshold for 15 to 105 s. 25 users make 22 of
    # them, as long as hardly a script is in the cache: hence so few users before.
    few = Arrivals.constant(per_second=2, lasting=minutes(8))
    more = few.then_constant(per_second=25, lasting=minutes(5))
    with run.load(more.then_constant(per_second=2)):
        run.observe("calm", minutes(1))
        with run.fault(UpstreamOutage("openai")) as outage:
            run.wait_for(SPIKE.pending, at_most=minutes(16))
            run.observe("until its `for` is over", minutes(4))
        run.observe("well again", minutes(5))
    run.verify(
        SPIKE.is_only_pending(during=outage),
        DOWN.stays_quiet(during=outage),
        ERRORS.fires(within=minutes(8), of=outage.start),
    )


def test_deploy(run: Run) -> None:
    """A new setting is brought to the workers one after the other, and taken back, without a lost request, and nobody
    is paged."""
    with run.load(Arrivals.constant(per_second=60)):
        deploy = run.mitigate("larger-pool")
        new = run.observe("with the new setting", minutes(5.5))
        rollback = run.restore("larger-pool")
        old = run.observe("with the old one again", minutes(5.5))
    run.verify(
        HEALTHY_SO_FAR.during(deploy, rollback),
        HEALTHY.during(new, old),
        SPIKE.stays_quiet(during=new),
        SPIKE.stays_quiet(during=old),
        DOWN.stays_quiet(during=new),
        DOWN.stays_quiet(during=old),
    )
