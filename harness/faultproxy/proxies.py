"""Proxies: all proxies of this server, by name."""

from __future__ import annotations

from typing import Any

from harness.faultproxy import decode
from harness.faultproxy.errors import ApiError, missing_field
from harness.faultproxy.metrics import Metrics
from harness.faultproxy.proxy import Proxy


class Proxies:
    """All proxies. A change waits for the one before it, because a listener takes a moment to come up."""

    def __init__(self, metrics: Metrics, seed: int) -> None:
        self.metrics = metrics
        self._seed = seed
        self._proxies: dict[str, Proxy] = {}

    def described(self) -> dict[str, Any]:
        return {name: proxy.described() for name, proxy in sorted(self._proxies.items())}

    def open_connections(self) -> dict[str, int]:
        return {name: proxy.open_connections for name, proxy in self._proxies.items()}

    def get(self, name: str) -> Proxy:
        """The proxy called `name`. Raises ApiError 404."""
        if name not in self._proxies:
            raise ApiError("proxy not found", 404)
        return self._proxies[name]

    async def create(self, body: Any) -> Proxy:
        """Make one from `name`, `upstream`, `listen` and `enabled`. Raises ApiError 400, 409, 500."""
        said = _said(body)
        for field in ("name", "upstream"):
            if not said[field]:
                raise missing_field(field)
        proxy = self._new(said)
        if proxy.name in self._proxies:
            raise ApiError("proxy already exists", 409)
        if said["enabled"]:
            await proxy.start()
        self._proxies[proxy.name] = proxy
        return proxy

    async def populate(self, body: Any) -> tuple[list[Proxy], ApiError | None]:
        """Make all of a list: new ones are made, equal ones stay as they are, others are replaced.

        Returns those that are there now, and what stopped it on the way. Raises ApiError 400 before any is made.
        """
        wanted = [_said(item) for item in decode.objects(body)]
        for place, said in enumerate(wanted, start=1):
            for field in ("name", "upstream"):
                if not said[field]:
                    raise missing_field(f"{field} at proxy {place}")
        made: list[Proxy] = []
        for said in wanted:
            try:
                made.append(await self._add_or_replace(said))
            except ApiError as error:
                return made, error
        return made, None

    async def update(self, name: str, body: Any) -> Proxy:
        """Change listen, upstream or enabled. Raises ApiError 400, 404, 500."""
        proxy = self.get(name)
        now = {"listen": proxy.listen, "upstream": proxy.upstream, "enabled": proxy.enabled}
        said = decode.fields(body, now)
        await proxy.update(said["listen"], said["upstream"], said["enabled"])
        return proxy

    def remove(self, name: str) -> None:
        """Stop it and forget it. Raises ApiError 404."""
        self.get(name).stop()
        del self._proxies[name]

    async def reset(self) -> None:
        """Enable all, and take every toxic out. Raises ApiError 500 where one can't listen."""
        for proxy in self._proxies.values():
            await proxy.start()
            proxy.remove_toxics()

    def stop(self) -> None:
        for proxy in self._proxies.values():
            proxy.stop()

    def _new(self, said: dict[str, Any]) -> Proxy:
        return Proxy(said["name"], said["listen"], said["upstream"], metrics=self.metrics, seed=self._seed)

    async def _add_or_replace(self, said: dict[str, Any]) -> Proxy:
        existing = self._proxies.get(said["name"])
        if existing is not None:
            if not await existing.differs(said["listen"], said["upstream"]):
                return existing
            existing.stop()
        proxy = self._new(said)
        if said["enabled"]:
            await proxy.start()
        self._proxies[proxy.name] = proxy
        return proxy


def _said(body: Any) -> dict[str, Any]:
    return decode.fields(body, {"name": "", "listen": "", "upstream": "", "enabled": True})
