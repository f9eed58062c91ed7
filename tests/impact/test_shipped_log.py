"""The shipped runbook's queries on the shipped services' own request log."""

from __future__ import annotations

import os
from pathlib import Path

from fixtures.services.database import Database
from fixtures.services.requestlog import LoggedRequest, RequestLog
from harness.impact.ask import ask
from harness.model.impact import Incident
from harness.sandbox.topology import read_topology
from harness.session import read_question
from harness.testing import FakeClock
from tests.fixtures.databases import settings
from tests.impact.request_logs import BEGAN

ROOT = Path(__file__).parent.parent.parent
SCRIPTS, HEALTH = "/api/generation/scripts", "/api/generation/health"


class Volumes:
    """A sandbox whose services have a folder each; one of them could not keep all of its log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, service: str, inside: str) -> Path:
        assert inside == f"/data/{service}.db"
        return self._folder / f"{service}.db"

    def log(self, service: str) -> str:
        if service != "project":
            return ""
        return "2026-01-02T03:04:05.006Z project[7] ERROR: 18 rows of the request log are lost: /data took no more\n"


def _log(path: Path, *requests: tuple[float, str, int, str | None]) -> None:
    with RequestLog(Database(settings(path.parent, file=path))) as log:
        for at, way, status, user in requests:
            log.add(LoggedRequest(began=BEGAN + at, method="POST", path=way, status=status, user_id=user, seconds=0.1))


def test_the_runbooks_queries_fit_the_services_table(tmp_path: Path) -> None:
    """As written they count what the services logged, each user once over both services; a request that names no user
    is not among the users, and a health check is among the 503s; rows that were lost are told."""
    _log(
        tmp_path / "generation.db",
        (9.0, SCRIPTS, 503, "user-001"),  # before
        (10.0, SCRIPTS, 503, "user-001"),
        (11.0, SCRIPTS, 503, "user-002"),
        (12.0, SCRIPTS, 500, "user-003"),
        (13.0, SCRIPTS, 503, None),
        (14.0, HEALTH, 503, None),
        (15.0, SCRIPTS, 200, "user-004"),
        (20.001, SCRIPTS, 503, "user-005"),  # after
    )
    _log(tmp_path / "project.db", (12.0, "/api/projects/1", 503, "user-001"))
    question = read_question(read_topology(ROOT / "docker-compose.yml", os.environ))
    assert question is not None
    incident = Incident(began=BEGAN + 10, began_by="", ended=BEGAN + 20, ended_by="")
    evidence = ask(Volumes(tmp_path), FakeClock(start=BEGAN + 60), question, incident, (BEGAN, BEGAN + 60))
    counts = [[(a.form, a.database.partition(":")[0], a.count) for a in query.answers] for query in evidence.queries]
    assert counts[0][:3] == [("as-stored", "generation", 4), ("as-stored", "project", 1), ("as-stored", "all", 5)]
    assert counts[1][:3] == [("as-stored", "generation", 3), ("as-stored", "project", 1), ("as-stored", "all", 3)]
    assert ("iso-8601", "all", 0) in counts[0]
    assert {name.partition(":")[0]: rows for name, rows in evidence.lost.items()} == {"generation": 0, "project": 18}
    assert evidence.problems == ()
