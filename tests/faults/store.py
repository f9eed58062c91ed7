"""Store: a pretended Redis with a memory limit, for tests of the fault that fills it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pytest

from harness.errors import SandboxError
from harness.sandbox.base import Address
from harness.testing import FakeSandbox

BASE = 2**20  # bytes that it holds before anybody has written to it


class Store(FakeSandbox):
    """Knows what a client that fills it says: SELECT, SET, UNLINK, CONFIG GET and SET."""

    def __init__(self) -> None:
        super().__init__()
        self.settings = {"maxmemory": "0", "maxmemory-policy": "noeviction"}
        self.keys: dict[tuple[str, str], str] = {}
        self.dead = False

    def __enter__(self) -> Store:
        super().__enter__()
        return self

    def address(self, service: str, port: int) -> Address:
        return Address("127.0.0.1", port, "redis")

    def converse(self, address: Address, commands: Iterable[Sequence[str]]) -> list[tuple[bool, str]]:
        if self.dead:
            raise SandboxError("nobody is there")
        return list(self._replies(commands))

    def _replies(self, commands: Iterable[Sequence[str]]) -> Iterator[tuple[bool, str]]:
        database = "0"
        for name, *rest in commands:
            limit = int(self.settings["maxmemory"])
            if name == "SELECT":
                database = rest[0]
            elif name == "SET" and limit and self.held > limit:
                yield False, "OOM command not allowed when used memory > 'maxmemory'."
                continue
            elif name == "SET":
                self.keys[database, rest[0]] = rest[1]
            elif name == "UNLINK":
                for key in rest:
                    self.keys.pop((database, key), None)
            elif rest[0] == "GET":
                yield True, f"{rest[1]}\n{self.settings[rest[1]]}"
                continue
            else:
                self.settings[rest[1]] = rest[2]
            yield True, "OK"

    @property
    def held(self) -> int:
        return BASE + sum(map(len, self.keys.values()))


def asked_in(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """`store`, with whom the fault speaks when it speaks to a Redis."""
    monkeypatch.setattr("harness.faults.redis_full.converse", store.converse)
    return store
