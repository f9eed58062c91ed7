"""Lock probe: what a SQLite file refuses right now to a connection of our own, which leaves it as it was."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

from harness.errors import SandboxError

# In the order of the harm: who is refused reading can't write either.
Refused = Literal["nothing", "finishing", "writing", "reading"]
HARM: tuple[Refused, ...] = ("nothing", "finishing", "writing", "reading")

# A healthy database refuses for an instant too, while another connection commits: only what is refused each time
# counts. Between two tries we hold no lock, so that nobody ever waits for the probe.
_TRIES, _PAUSE = 8, 0.05
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_MAGIC = b"SQLite format 3\0"


def is_wal(file: Path) -> bool:
    """Whether the file is in WAL mode, read from its header (sqlite.org/fileformat2.html, 1.3.3): that works on a
    locked one too. Raises SandboxError where it is no SQLite file."""
    try:
        with file.open("rb") as opened:
            header = opened.read(20)
    except OSError as cause:
        raise SandboxError(f"the database {file} can't be read: {cause.strerror}") from cause
    if len(header) < 20 or not header.startswith(_MAGIC):
        raise SandboxError(f"{file} is no SQLite database (or an empty one)")
    return header[18] == 2


def refused(file: Path, *, gaps: int = 0) -> Refused:
    """The most that the file refuses: reading, else beginning to write, else to finish: the commit of a write
    (rollback journal), or a checkpoint of the whole log (WAL; an empty one refuses nothing). Takes half a second where
    something is refused. Of the eight tries `gaps` may be granted all the same: who locks again and again lets others
    in between. Raises SandboxError for a file that refuses for another reason than a lock."""
    wal = is_wal(file)
    for what in ("reading", "writing", "finishing"):
        granted = 0
        for _ in _tries():
            granted += _granted(file, what, wal)
            if granted > gaps:
                break
        else:
            return what
    return "nothing"


def _tries() -> Iterator[int]:
    yield 0
    for number in range(1, _TRIES):
        time.sleep(_PAUSE)
        yield number


def _granted(file: Path, what: Literal["reading", "writing", "finishing"], wal: bool) -> bool:
    try:
        # No busy timeout: one that waits for EXCLUSIVE holds PENDING meanwhile, which keeps every reader out.
        opened = sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
        with closing(opened) as database:
            if what == "reading":
                database.execute("SELECT count(*) FROM sqlite_master").fetchall()
            elif what == "finishing" and wal:
                # TRUNCATE must have the whole log to itself, as the reset that keeps it from growing must.
                row = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return bool(row[0] == 0)
            else:
                # In rollback mode a commit needs what BEGIN EXCLUSIVE takes: no reader left.
                database.execute("BEGIN IMMEDIATE" if what == "writing" else "BEGIN EXCLUSIVE")
                database.execute("ROLLBACK")
    except sqlite3.Error as cause:
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _BUSY:  # the low byte is the primary code
            return False
        raise SandboxError(f"the database {file} can't be asked: {cause}") from cause
    return True
