"""Request logs: SQLite files as a service would have left them, and a sandbox that holds them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import UsageError
from harness.impact.ask import Question
from harness.impact.log import Columns
from harness.runbook.queries import parse_queries

BEGAN = 1_767_225_600.0  # 2026-01-01T00:00:00Z
COLUMNS = Columns(table="visits", at="stamp", method="verb", path="way", status="code", user="who")
RUNBOOK = """# Outage

Ask how bad it was:

```sql
-- how many
SELECT COUNT(*) FROM visits
 WHERE code = 503 AND stamp BETWEEN '${FROM}' AND '${TO}';
SELECT COUNT(DISTINCT who) FROM visits WHERE code >= 500 AND stamp BETWEEN '${FROM}' AND '${TO}'
```
"""

Visit = tuple[float, str, str, int, str | None]  # seconds since BEGAN, method, path, status, user


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def write(path: Path, visits: Sequence[Visit]) -> None:
    """Add `visits` to the log at `path`, which is made where it is missing."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS visits (stamp TEXT, verb TEXT, way TEXT, code INTEGER, who TEXT)"
        )
        rows = [(stamp(BEGAN + at), verb, way, code, who) for at, verb, way, code, who in visits]
        connection.executemany("INSERT INTO visits VALUES (?, ?, ?, ?, ?)", rows)


class Files:
    """A sandbox of files only: `/NAME` of any service is NAME in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, service: str, inside: str) -> Path:
        if not service:
            raise UsageError("there is no service ''")
        return self._folder / inside.removeprefix("/")


def question(*names: str, runbook: str = RUNBOOK) -> Question:
    return Question(
        databases={f"web:/{name}": ("web", f"/{name}") for name in names},
        columns=COLUMNS,
        queries=parse_queries(runbook, source="outage.md"),
        began="FROM",
        ended="TO",
    )
