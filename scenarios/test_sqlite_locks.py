"""The projects' database is locked: by the service itself, and by somebody else."""

import json

from harness import Alert, Arrivals, Run, Slo, minutes, percent, seconds
from harness.faults import DatabaseLock, HeavyRequests, Locked

SPIKE = Alert("HTTP503ErrorSpike")
LOCKED = Alert("DatabaseLocked")
RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
USUAL = Arrivals.constant(per_second=60)
DATABASE = "/data/project.db"
IMPORT = json.dumps({"projects": [{"name": "imported"}], "seconds": 60, "exclusive": True, "dry_run": True})


def test_a_long_import_locks_the_database(run: Run) -> None:
    """When an import of the service's own holds the database, projects can't be looked at. The runbook's alert does
    not see it, the sandbox's own does; killing long queries ends it."""
    importing = HeavyRequests(
        "project",
        8001,
        "/api/projects/import",
        at_once=1,
        until=Locked(DATABASE),
        headers={"Content-Type": "application/json"},
        body=IMPORT,
    )
    with run.load(USUAL):
        with run.fault(importing) as locked:
            run.wait_for(LOCKED.firing, at_most=minutes(8))
            unseen = run.observe("until it counts as long", minutes(28))
            response = run.mitigate("kill-long-queries")
        run.wait_for(LOCKED.quiet, at_most=minutes(8))
        after = run.observe("back to normal", minutes(5.5))
    run.verify(
        LOCKED.fires(within=minutes(6), of=locked.start),
        SPIKE.stays_quiet(during=unseen),
        RECOVERED.within(minutes(5), of=response.end),
        RECOVERED.during(after),
        LOCKED.resolves(within=minutes(5), of=locked.end),
    )


def test_a_backup_locks_the_database(run: Run) -> None:
    """When another process, as a backup is one, holds the database, the runbook can't end it, but a read replica
    brings those back who only look."""
    with run.load(USUAL):
        calm = run.observe("calm", minutes(5.5))
        with run.fault(DatabaseLock("project", DATABASE, mode="exclusive")) as locked:
            run.wait_for(LOCKED.firing, at_most=minutes(8))
            response = run.mitigate("read-replica")
            better = run.observe("on the replica", minutes(5.5))
        run.wait_for(LOCKED.quiet, at_most=minutes(8))
        after = run.observe("back to normal", minutes(5.5))
    run.verify(
        LOCKED.fires(within=minutes(6), of=locked.start),
        RECOVERED.during(better),
        RECOVERED.within(minutes(5), of=response.end, by=locked.end),
        RECOVERED.during(calm, after),
        LOCKED.resolves(within=minutes(5), of=locked.end),
    )
