"""What stands behind the load balancer is gone, or is asked for more than it can bear."""

import json

from harness import Alert, Arrivals, Logs, Run, Slo, minutes, percent, seconds
from harness.faults import Answered, HeavyRequests, ServiceDown

DOWN = Alert("CriticalServiceDown")
PROJECT = Alert("ProjectServiceDown", severity="warning", source="sandbox")
SLOW = Alert("SlowAnswers", job="generation-service")
RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
# Those who search, one in seventeen, are turned away as well.
SCRIPTS = Slo.recovery(error_503=percent(15), mean=seconds(2))
USUAL = Arrivals.constant(per_second=60)
DOCUMENT = json.dumps({"query": "a bakery at night", "pages": 300})


def test_project_killed(run: Run) -> None:
    """When the project service is killed, whoever looks at a project is hit. CriticalServiceDown watches another
    service and stays quiet, the sandbox's own alert tells; restarting its unit brings users back."""
    with run.load(USUAL):
        with run.fault(ServiceDown("project", how="killed")) as outage:
            run.wait_for(PROJECT.firing, at_most=minutes(5))
            unseen = run.observe("nobody is paged", minutes(3))
            response = run.mitigate("restart-project")
            better = run.observe("after the restart", minutes(7))
        run.wait_for(PROJECT.quiet, at_most=minutes(5))
    run.verify(
        PROJECT.fires(within=minutes(3), of=outage.start),
        DOWN.stays_quiet(during=unseen),
        Logs("frontend").shows("Backend server is down (project)", during=outage),
        RECOVERED.during(better),
        RECOVERED.within(minutes(5), of=response.end, by=outage.end),
        PROJECT.resolves(within=minutes(2), of=response.end),
    )


def test_documents_turned_away_at_the_door(run: Run) -> None:
    """When large documents take the workers' CPU, a changed upstream block and `nginx -s reload` turn them away: then
    scripts come in time while the documents still come, and whoever searches is turned away with them."""
    jobs = HeavyRequests(
        "nginx",
        8080,
        "/api/rag/documents",
        at_once=24,
        until=Answered(),
        headers={"Content-Type": "application/json"},
        body=DOCUMENT,
    )
    with run.load(USUAL):
        run.observe("calm", minutes(2))
        with run.fault(jobs) as busy:
            run.wait_for(SLOW.firing, at_most=minutes(12))
            response = run.mitigate("nginx-reload")
            # What the service had taken by then it still answers, in real seconds.
            run.observe("turned away at the door", minutes(13))
        run.restore("nginx-reload")
        run.wait_for(SLOW.quiet, at_most=minutes(10))
    run.verify(
        SLOW.fires(within=minutes(10), of=busy.start),
        SCRIPTS.within(minutes(10), of=response.end, by=busy.end),
        SLOW.resolves(within=minutes(10), of=busy.end),
    )
