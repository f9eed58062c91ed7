"""The projects' database is locked: by the service itself, and by somebody else."""

import json

from harness import Alert, Arrivals, Logs, Run, Slo, minutes, percent, seconds
from harness.faults import DatabaseLock, HeavyRequests, Locked

SPIKE = Alert("HTTP503ErrorSpike")
LOCKED = Alert("DatabaseLocked", severity="warning", source="sandbox")
POOL = Alert("DatabasePoolSaturated", severity="warning", source="sandbox")
RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
HARDLY_HIT = Slo.recovery(error_503=percent(3), mean=seconds(2))  # half of what a locked database takes away
REFUSED = "database is locked"
USUAL = Arrivals.constant(per_second=60)
DATABASE = "/data/project.db"
IMPORT = json.dumps({"projects": [{"name": "imported"}], "seconds": 60, "exclusive": True, "dry_run": True})


def test_a_long_import_locks_the_database(run: Run) -> None:
    """When an import of the service's own holds the database, projects can't be looked at. The runbook's alert does
    not see it, the sandbox's own does. Resetting the pool does not help, as somebody waits for the import; killing
    long queries ends it."""
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
            run.mitigate("reset-pool-project")
            unhelped = run.observe("until it counts as long", minutes(27))
            response = run.mitigate("kill-long-queries")
        run.wait_for(LOCKED.quiet, at_most=minutes(8))
        after = run.observe("back to normal", minutes(5.5))
    run.verify(
        LOCKED.fires(within=minutes(6), of=locked.start),
        POOL.fires(within=minutes(8), of=locked.start),
        Logs("project").shows("Database unavailable", during=unhelped),
        SPIKE.stays_quiet(during=unhelped),
        RECOVERED.within(minutes(5), of=response.end),
        RECOVERED.during(after),
        LOCKED.resolves(within=minutes(5), of=locked.end),
        POOL.resolves(within=minutes(5), of=locked.end),
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
        run.restore("read-replica")
    run.verify(
        LOCKED.fires(within=minutes(6), of=locked.start),
        RECOVERED.during(better),
        RECOVERED.within(minutes(5), of=response.end, by=locked.end),
        RECOVERED.during(calm, after),
        LOCKED.resolves(within=minutes(5), of=locked.end),
    )


def test_a_long_read_keeps_writers_out(run: Run) -> None:
    """While another process reads the database for long, nobody can finish a write to it: the request log waits, and
    the sandbox's alert tells. Those who only look hardly notice, and no line of the runbook is needed or would help."""
    with run.load(USUAL):
        with run.fault(DatabaseLock("project", DATABASE, mode="read")) as reading:
            run.wait_for(LOCKED.firing, at_most=minutes(8))
            meanwhile = run.observe("somebody reads", minutes(5.5))
        run.wait_for(LOCKED.quiet, at_most=minutes(8))
        after = run.observe("back to normal", minutes(5.5))
    run.verify(
        LOCKED.fires(within=minutes(6), of=reading.start),
        Logs("project").shows(REFUSED, during=meanwhile),
        HARDLY_HIT.during(meanwhile),
        SPIKE.stays_quiet(during=meanwhile),
        RECOVERED.during(after),
        LOCKED.resolves(within=minutes(5), of=reading.end),
    )


def test_with_a_write_ahead_log_nobody_is_kept_from_reading(run: Run) -> None:
    """With a write-ahead log those who only look at projects do not notice that another process holds the database,
    which locks everybody out without one. Whoever writes is refused all the same, and the sandbox's alert tells."""
    run.mitigate("write-ahead-log")
    with run.load(USUAL):
        with run.fault(DatabaseLock("project", DATABASE, mode="exclusive")) as held:
            run.wait_for(LOCKED.firing, at_most=minutes(8))
            meanwhile = run.observe("somebody holds it", minutes(5.5))
        run.wait_for(LOCKED.quiet, at_most=minutes(8))
        after = run.observe("free again", minutes(5.5))
    run.restore("write-ahead-log")
    run.verify(
        LOCKED.fires(within=minutes(6), of=held.start),
        Logs("project").shows(REFUSED, during=meanwhile),
        RECOVERED.during(meanwhile, after),
        SPIKE.stays_quiet(during=meanwhile),
        LOCKED.resolves(within=minutes(5), of=held.end),
    )
