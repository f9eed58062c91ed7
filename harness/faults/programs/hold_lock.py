"""Hold lock: keep a lock of a SQLite file until SIGTERM, or for `at_most` seconds.

Its order, JSON in the environment: {"file", "mode": exclusive, write or read, "within": seconds to get it, "at_most"}.
Exit status 1 where it did not get the lock.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

BEGIN = {"exclusive": "BEGIN EXCLUSIVE", "write": "BEGIN IMMEDIATE", "read": "BEGIN DEFERRED"}


def main() -> int:
    """Take the lock and hold it; returns the exit status."""
    order = json.loads(os.environ["GAMEDAY_ORDER"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    file = f"{Path(order['file']).absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(file, uri=True, timeout=order["within"], isolation_level=None)) as database:
            database.execute(BEGIN[order["mode"]])
            if order["mode"] == "read":
                database.execute("SELECT count(*) FROM sqlite_master").fetchall()  # only a read takes the lock
            sys.stdout.write("the lock is held\n")
            time.sleep(order["at_most"])
    except sqlite3.Error as problem:
        sys.stderr.write(f"{order['file']} could not be locked: {problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
