"""Redis full: a Redis is at its memory limit, with keys that nobody removes, and refuses whatever is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.errors import HarnessError, HealFailed, InjectFailed
from harness.faults.look import unseen
from harness.model.record import Receipt
from harness.probes.resp import converse
from harness.sandbox.base import Sandbox

MEBIBYTE, LEAST = 2**20, 4  # MiB: below that a Redis is full before anybody has written to it
KEY, PROBE, EACH = "gameday:filler", "gameday:probe", 16  # keys that fill it, one that asks, how many make a MiB
LIMIT, USUAL = ("CONFIG", "GET", "maxmemory"), "0"  # no limit: what it must be before, so that healing knows it


@dataclass(frozen=True, slots=True)
class RedisFull:
    """Put `at_most` MiB of keys into `database` of the Redis `service`, and limit it to as much. It must have no limit
    before, and evict nothing. Emptying that database ends it, and so does a higher limit, which healing lets stand."""

    service: str
    database: int
    port: int = 6379
    at_most: int = 8
    kind: Literal["redis-full"] = "redis-full"
    needs: ClassVar[tuple[type, ...]] = (Sandbox,)
    curable: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"{self.service} full"

    def problems(self, sandbox: Sandbox) -> Sequence[str]:
        found = [] if self.at_most >= LEAST else [f"at_most={self.at_most} MiB is less than {LEAST}"]
        try:
            said = self._say(sandbox, LIMIT, ("CONFIG", "GET", "maxmemory-policy"))
        except HarnessError as cause:
            return [*found, str(cause)]
        wanted = (f"maxmemory\n{USUAL}", "maxmemory-policy\nnoeviction")
        return found + [f"{self.service} has {' '.join(text.split())}" for _, text in said if text not in wanted]

    def inject(self, sandbox: Sandbox) -> None:
        fill = [("SET", key, "x" * (MEBIBYTE // EACH)) for key in self._keys]
        limit = ("CONFIG", "SET", "maxmemory", self._limit)
        # The limit comes last: then it holds more than it may, and a client that goes makes no room.
        last = self._say(sandbox, *fill, limit, ("SET", PROBE, "x"))[-1]
        if not _refused(last):
            raise InjectFailed(f"{self}: it takes more than it may hold: {last[1]}")

    def heal(self, sandbox: Sandbox) -> None:
        try:
            if self._say(sandbox, ("UNLINK", *self._keys), LIMIT)[-1][1].endswith(f"\n{self._limit}"):
                self._say(sandbox, ("CONFIG", "SET", "maxmemory", USUAL))
        except HarnessError as cause:
            raise HealFailed(f"{self}: {cause}", hint="gameday rollback ends the sandbox") from cause

    def receipt(self, sandbox: Sandbox, at: float) -> Receipt:
        """A small key is written to the database, as any client would, and removed again."""
        try:
            written = self._say(sandbox, ("SET", PROBE, "x", "EX", "1"), ("UNLINK", PROBE))[0]
        except HarnessError as cause:
            return unseen(self, at, cause)
        in_force = _refused(written) or (False if written[0] else None)
        return Receipt(at=at, in_force=in_force, intended=str(self), measured=f"a write: {written[1]}")

    @property
    def _limit(self) -> str:
        return str(self.at_most * MEBIBYTE)

    @property
    def _keys(self) -> Sequence[str]:
        return [f"{KEY}:{number}" for number in range(self.at_most * EACH)]

    def traffic(self, sandbox: Sandbox) -> None:
        return None

    def flush(self, sandbox: Sandbox) -> None:
        pass

    def _say(self, sandbox: Sandbox, *commands: Sequence[str]) -> list[tuple[bool, str]]:
        """The replies, behind that to choosing the database."""
        address = sandbox.address(self.service, self.port)
        return converse(address, [("SELECT", str(self.database)), *commands])[1:]


def _refused(reply: tuple[bool, str]) -> bool:
    return not reply[0] and reply[1].startswith("OOM")
