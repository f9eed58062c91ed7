"""Proxy: one named listener, its upstream, its toxics and its open connections."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from harness.faultproxy import address, decode
from harness.faultproxy.connection import DIRECTIONS, Connection
from harness.faultproxy.errors import ApiError
from harness.faultproxy.metrics import Labels, Metrics
from harness.faultproxy.stage import Entry, Toxic
from harness.faultproxy.toxics import KINDS

_TOXIC_NOT_FOUND = "toxic not found"


class Proxy:
    """One proxy. `listen` is `host:port`, where port 0 takes a free one; `seed` decides its chances."""

    def __init__(self, name: str, listen: str, upstream: str, *, metrics: Metrics, seed: int) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.enabled = False
        self._metrics = metrics
        self._seed = seed
        self._accepted = 0
        self._entries: dict[str, list[Entry]] = {direction: [] for direction in DIRECTIONS}
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    def described(self) -> dict[str, Any]:
        """As the API shows it. `Logger` is an accident of Toxiproxy's that clients may have come to expect."""
        return {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.enabled,
            "Logger": {},
            "toxics": self.toxics(),
        }

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    # -- on and off ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. Raises ApiError 500 where that is impossible, in the words of Go's net package."""
        if self.enabled:
            return
        try:
            sock = await address.listener(self.listen)
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
            raise ApiError(f"listen tcp {self.listen}: bind: {reason}", 500) from error
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=sock, backlog=address.BACKLOG)
        self.listen = address.joined(sock.getsockname())
        self.enabled = True

    def stop(self) -> None:
        """Refuse new connections and cut the open ones. Safe to call twice."""
        self.enabled = False
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self._connections):
            connection.cut()

    async def update(self, listen: str, upstream: str, enabled: bool) -> None:
        """Change it; another address means a stop and a start, and the toxics stay. Raises ApiError 500."""
        if await self.differs(listen, upstream):
            self.stop()
            self.listen, self.upstream = listen, upstream
        if enabled and not self.enabled:
            await self.start()
        elif not enabled:
            self.stop()

    async def differs(self, listen: str, upstream: str) -> bool:
        """Whether these are other addresses than its own. Raises ApiError 500 for an address that is none."""
        try:
            host, port = address.split(listen)
            resolved = address.joined(await address.resolved(host, port)) if host else listen
        except OSError as error:
            raise ApiError(f"address {listen}: {error}", 500) from error
        return resolved != self.listen or upstream != self.upstream

    def _accept(self) -> asyncio.Protocol:
        self._accepted += 1
        connection = Connection(
            self.upstream,
            self._entries,
            {
                direction: self._metrics.series(Labels(direction, self.name, self.listen, self.upstream))
                for direction in DIRECTIONS
            },
            seed=f"{self._seed}/{self.name}/{self._accepted}",
            on_done=self._connections.discard,
        )
        self._connections.add(connection)
        return connection.client

    # -- toxics --------------------------------------------------------------------------------------------------

    def toxics(self) -> list[dict[str, Any]]:
        return [described(entry) for direction in DIRECTIONS for entry in self._entries[direction]]

    def toxic(self, name: str) -> Entry:
        """The toxic called `name`. Raises ApiError 404."""
        for entries in self._entries.values():
            for entry in entries:
                if entry.name == name:
                    return entry
        raise ApiError(_TOXIC_NOT_FOUND, 404)

    def add_toxic(self, body: Any) -> Entry:
        """Put a toxic at the end of its direction's chain, on open connections too. Raises ApiError 400, 409."""
        entry = _entry(body)
        if any(entry.name == other["name"] for other in self.toxics()):
            raise ApiError("toxic already exists", 409)
        entry.toxic = _settings(entry.toxic, body)
        self._entries[entry.direction].append(entry)
        for connection in self._connections:
            connection.add(entry)
        return entry

    def update_toxic(self, name: str, body: Any) -> Entry:
        """Change attributes and toxicity; what `body` does not say stays. Raises ApiError 400, 404."""
        entry = self.toxic(name)
        settings = _settings(entry.toxic, body)
        entry.toxicity = decode.fields(body, {"toxicity": float(entry.toxicity)})["toxicity"]
        entry.toxic = settings
        for connection in self._connections:
            connection.change(entry)
        return entry

    def remove_toxic(self, name: str) -> None:
        """Take a toxic out, of open connections too. Raises ApiError 404."""
        entry = self.toxic(name)
        self._entries[entry.direction].remove(entry)
        for connection in self._connections:
            connection.remove(entry)

    def remove_toxics(self) -> None:
        for toxic in self.toxics():
            self.remove_toxic(toxic["name"])


def described(entry: Entry) -> dict[str, Any]:
    """A toxic as the API shows it."""
    return {
        "attributes": _attributes(entry.toxic),
        "name": entry.name,
        "type": entry.kind,
        "stream": entry.stream,
        "toxicity": int(entry.toxicity) if entry.toxicity == int(entry.toxicity) else entry.toxicity,
    }


def _entry(body: Any) -> Entry:
    said = decode.fields(body, {"name": "", "type": "", "stream": "downstream", "toxicity": 1.0})
    if said["stream"].lower() not in DIRECTIONS:
        raise ApiError("stream was invalid, can be either upstream or downstream", 400)
    if said["type"] not in KINDS:
        raise ApiError("invalid toxic type", 400)
    name = said["name"] or f"{said['type']}_{said['stream']}"
    return Entry(name, said["type"], said["stream"], said["toxicity"], KINDS[said["type"]]())


def _attributes(toxic: Toxic) -> dict[str, int]:
    return {field.name: getattr(toxic, field.name) for field in dataclasses.fields(toxic)}  # type: ignore[arg-type] # each toxic is a dataclass


def _settings(toxic: Toxic, body: Any) -> Toxic:
    """`toxic` with what `body` says under `attributes`."""
    attributes: Mapping[str, Any] = next(
        (value for key, value in (body or {}).items() if key.lower() == "attributes"), {}
    )
    return dataclasses.replace(toxic, **decode.fields(attributes, _attributes(toxic)))  # type: ignore[type-var] # each toxic is a dataclass
