"""Log: request logs that a system keeps in SQLite, opened so that nothing asked of them can change them."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from harness.model.impact import LoggedRequests
from harness.model.timeline import Scalar

T = TypeVar("T")

ALL = "all"  # every database of a system taken together
BUSY = 2.0  # wall seconds that a locked database is waited for
LONGEST_QUERY = 5.0  # wall seconds
MOST_ROWS = 20  # of an answer, which is a count or two
MOST_KINDS = 2000  # of requests that a record keeps
# What a query may do; all else (writing, attaching another file, a pragma) is refused before it begins.
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What a request log is called, and its columns: when the request began, its method, path, status and user."""

    table: str
    at: str
    method: str
    path: str
    status: str
    user: str


@contextmanager
def opened(databases: Mapping[str, Path], columns: Columns) -> Iterator[sqlite3.Connection]:
    """A connection that reads. Of several databases it shows the rows of all as one table of the same name. Raises
    sqlite3.Error."""
    files = [f"file:{quote(str(path))}?mode=ro" for path in databases.values()]
    alone = files[0] if len(files) == 1 else ":memory:"
    with contextlib.closing(sqlite3.connect(alone, uri=True, timeout=BUSY, isolation_level=None)) as connection:
        if len(files) > 1:
            for number, file in enumerate(files):
                connection.execute(f"ATTACH ? AS d{number}", (file,))
            table = _quoted(columns.table)
            every = " UNION ALL ".join(f"SELECT * FROM d{number}.{table}" for number in range(len(files)))  # noqa: S608 - the name is quoted, and our own topology gives it
            connection.execute(f"CREATE TEMP VIEW {table} AS {every}")
        connection.set_authorizer(lambda what, *_: sqlite3.SQLITE_OK if what in _READING else sqlite3.SQLITE_DENY)
        yield connection


def answer(connection: sqlite3.Connection, query: str) -> tuple[tuple[Scalar, ...], ...]:
    """What comes back, the first rows of it. Raises sqlite3.Error in the database's own words, also after
    LONGEST_QUERY (`interrupted`)."""
    deadline = time.monotonic() + LONGEST_QUERY
    connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    try:
        rows = connection.execute(query).fetchmany(MOST_ROWS)
    finally:
        connection.set_progress_handler(None, 0)
    return tuple(tuple(map(_scalar, row)) for row in rows)


def newest(connection: sqlite3.Connection, columns: Columns) -> object:
    """The instant of the row that was written last, as the table has it; None where it is empty. Raises
    sqlite3.Error."""
    at, table = _quoted(columns.at), _quoted(columns.table)
    row = connection.execute(f"SELECT {at} FROM {table} ORDER BY rowid DESC LIMIT 1").fetchone()  # noqa: S608 - names are quoted
    return row[0] if row else None


def kinds(
    connection: sqlite3.Connection, columns: Columns, database: str, run: tuple[str, str], incident: tuple[str, str]
) -> tuple[tuple[LoggedRequests, ...], int]:
    """The rows from one stamp of `run` to the other, by method, path and status, the most frequent first; and how many
    rows are in none of them. Raises sqlite3.Error."""
    at, user = _quoted(columns.at), _quoted(columns.user)
    kind = ", ".join(f"CAST({_quoted(name)} AS TEXT)" for name in (columns.method, columns.path, columns.status))
    inside = f"{at} BETWEEN :began AND :ended"
    rows = connection.execute(
        f"SELECT {kind}, COUNT(*), COALESCE(SUM({inside}), 0), COALESCE(SUM({inside} AND {user} IS NULL), 0)"  # noqa: S608 - names are quoted
        f" FROM {_quoted(columns.table)} WHERE {at} BETWEEN :first AND :last"
        " GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3",
        {"began": incident[0], "ended": incident[1], "first": run[0], "last": run[1]},
    ).fetchall()
    kept = tuple(
        LoggedRequests(
            database=database, method=str(row[0]), path=str(row[1]), status=_status(row[2]),
            in_run=row[3], in_incident=row[4], nobody=row[5],
        )
        for row in rows[:MOST_KINDS]
    )  # fmt: skip
    return kept, sum(row[3] for row in rows[MOST_KINDS:])


def steady(look: Callable[[], T], wait: Callable[[float], None], *, apart: float, at_most: float) -> tuple[bool, T]:
    """Look again, `apart` seconds from each other, until two looks in a row show the same, at most `at_most` seconds
    long: whether they did, and the last look."""
    before, waited = look(), 0.0
    while waited < at_most:
        wait(apart)
        waited += apart
        now = look()
        if now == before:
            return True, now
        before = now
    return False, before


def _status(said: object) -> int:
    return int(said) if isinstance(said, str) and said.isascii() and said.isdigit() else 0


def _scalar(value: object) -> Scalar:
    return value if value is None or isinstance(value, str | int | float) else repr(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
