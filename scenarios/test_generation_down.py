"""The generation service is gone, in each of the ways in which a service can be."""

from harness import Alert, Arrivals, Run, Slo, minutes, percent, seconds
from harness.faults import CrashLoop, ServiceDown, WorkerFrozen

ALERT = Alert("CriticalServiceDown", severity="critical", pager="true", job="generation-service")
SPIKE = Alert("HTTP503ErrorSpike")
RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
USUAL = Arrivals.constant(per_second=60)


def test_generation_killed(run: Run) -> None:
    """When every process of the generation service is killed and stays dead, we are paged, and restarting
    its unit brings users back."""
    with run.load(USUAL):
        with run.fault(ServiceDown("generation", how="killed")) as outage:
            run.wait_for(ALERT.firing, at_most=minutes(5))
            response = run.mitigate("restart-generation")
            better = run.observe("after the restart", minutes(5.5))
        run.wait_for(ALERT.quiet, at_most=minutes(5))
    run.verify(
        ALERT.fires(within=minutes(3), of=outage.start),
        ALERT.delivered(),
        RECOVERED.during(better),
        RECOVERED.within(minutes(5), of=response.end, by=outage.end),
        ALERT.resolves(within=minutes(2), of=response.end),
    )


def test_generation_frozen(run: Run) -> None:
    """When every process of the generation service is frozen, its port still takes connections: we are paged all
    the same, and restarting its unit brings users back."""
    with run.load(USUAL):
        with run.fault(ServiceDown("generation", how="frozen")) as outage:
            run.wait_for(ALERT.firing, at_most=minutes(5))
            response = run.mitigate("restart-generation")
            better = run.observe("after the restart", minutes(5.5))
        run.wait_for(ALERT.quiet, at_most=minutes(5))
    run.verify(
        ALERT.fires(within=minutes(3), of=outage.start),
        ALERT.delivered(),
        RECOVERED.during(better),
        RECOVERED.within(minutes(5), of=response.end, by=outage.end),
        ALERT.resolves(within=minutes(2), of=response.end),
    )


def test_generation_crash_loop(run: Run) -> None:
    """When a deploy brings a setting with which the generation service can't start, we are paged; a restart does not
    help, and only taking the deploy back does."""
    with run.load(USUAL):
        with run.fault(CrashLoop("generation", {"DATABASE_URL": "mysql://nowhere"})) as deploy:
            run.wait_for(ALERT.firing, at_most=minutes(5))
        run.wait_for(ALERT.quiet, at_most=minutes(5))
        after = run.observe("after the rollback", minutes(5.5))
    run.verify(
        ALERT.fires(within=minutes(3), of=deploy.start),
        ALERT.delivered(),
        RECOVERED.during(after),
        ALERT.resolves(within=minutes(2), of=deploy.end),
    )


def test_one_worker_frozen(run: Run) -> None:
    """When one of four workers is frozen, what it has taken hangs and nobody is paged; a restart brings all back."""
    with run.load(USUAL), run.fault(WorkerFrozen("generation")) as frozen:
        unseen = run.observe("three of four workers", minutes(5.5))
        response = run.mitigate("restart-generation")
        run.observe("after the restart", minutes(5.5))
    run.verify(
        SPIKE.stays_quiet(during=unseen),
        RECOVERED.within(minutes(5), of=response.end, by=frozen.end),
    )
