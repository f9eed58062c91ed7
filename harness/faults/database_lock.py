"""Database lock: another process, as a backup is one, holds a lock of a service's SQLite file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from harness.errors import HarnessError
from harness.faults.look import unseen
from harness.faults.program import Program
from harness.model.record import Receipt
from harness.model.units import seconds
from harness.probes.lock_probe import HARM, Refused, is_wal, refused
from harness.sandbox.base import CanSpawn, HasFiles

Mode = Literal["exclusive", "write", "read"]
TAKES_AT_MOST = seconds(10)  # to get the lock, on a database in use


@dataclass(frozen=True, slots=True)
class DatabaseLock:
    """Hold a lock of the SQLite database `file` of `service` (its path inside the service). What others are refused, by
    `mode` and the file's journal mode (measured, SQLite 3.40):

    | mode | rollback journal | WAL |
    |---|---|---|
    | exclusive (BEGIN EXCLUSIVE) | reading and writing | writing |
    | write (BEGIN IMMEDIATE) | writing | writing |
    | read (an open read transaction) | commits; new readers too while one tries | a checkpoint: the log grows |

    Not curable: no restart of the service ends it and no query that it could kill, as the holder is another process.
    """

    service: str
    file: str
    mode: Mode = "exclusive"
    kind: Literal["database-lock"] = "database-lock"
    needs: ClassVar[tuple[type, ...]] = (HasFiles, CanSpawn)
    curable: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"{self.mode} lock on {self.service}:{self.file}"

    @property
    def _program(self) -> Program:
        return Program("hold_lock", f"{self.service}-{self.file}")

    def problems(self, sandbox: HasFiles) -> Sequence[str]:
        found = [] if self.mode in ("exclusive", "write", "read") else [f"mode={self.mode!r} is no lock of SQLite"]
        try:
            is_wal(self._path(sandbox))
        except HarnessError as cause:
            found.append(str(cause))
        return found

    def inject(self, sandbox: Any) -> None:
        order = {"file": str(self._path(sandbox)), "mode": self.mode, "within": TAKES_AT_MOST.total_seconds()}
        self._program.start(sandbox, order)
        self._program.until_in_force(self, sandbox, within=TAKES_AT_MOST)

    def heal(self, sandbox: CanSpawn) -> None:
        self._program.end(sandbox)

    def receipt(self, sandbox: Any, at: float) -> Receipt:
        """Another connection tries to read, to write and to finish, and is refused as much as intended, or not."""
        try:
            found, holder = refused(self._path(sandbox)), self._program.pid(sandbox)
            least = self._least(wal=is_wal(self._path(sandbox)))
        except HarnessError as cause:
            return unseen(self, at, cause)
        # At least: a writer that waits for our reader to go keeps new readers out itself.
        enough = HARM.index(found) >= HARM.index(least)
        in_force = False if found == "nothing" else True if enough and holder else None
        by = f"our program is pid {holder}" if holder else "not by us"
        measured = f"{found} is refused, {least} should be; {by}"
        return Receipt(at=at, in_force=in_force, intended=str(self), measured=measured, details={"refused": found})

    def traffic(self, sandbox: Any) -> int | None:
        return None  # a read leaves no trace in the file or beside it

    def flush(self, sandbox: Any) -> None:
        pass

    def _least(self, *, wal: bool) -> Refused:
        return {"exclusive": "writing" if wal else "reading", "write": "writing", "read": "finishing"}[self.mode]

    def _path(self, sandbox: HasFiles) -> Path:
        return sandbox.path(self.service, self.file)
