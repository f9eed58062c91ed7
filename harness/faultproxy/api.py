"""Api: Toxiproxy's HTTP API on top of the proxies.

Reference: https://github.com/Shopify/toxiproxy#http-api; status codes and fields were compared with server 2.12.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from harness.faultproxy import VERSION, decode, metrics
from harness.faultproxy.errors import ApiError
from harness.faultproxy.proxies import Proxies
from harness.faultproxy.proxy import Proxy, described
from harness.faultproxy.web import Request, Response

log = logging.getLogger("faultproxy")

Action = Callable[[Request], Awaitable[Response]]
_TEXT = "text/plain; charset=utf-8"
_NO_SNIFF = {"X-Content-Type-Options": "nosniff"}


class Api:
    """Answers requests, one change at a time."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._lock = asyncio.Lock()

    async def handle(self, request: Request) -> Response:
        actions = self._actions(request)
        if not actions:
            return Response(404, b"404 page not found\n", _TEXT, _NO_SNIFF)
        if request.headers.get("user-agent", "").startswith("Mozilla/"):
            return Response(403, b"User agent not allowed\n", _TEXT, _NO_SNIFF)
        action = actions.get(request.method) or actions.get("*")
        if action is None:
            return Response(405)
        try:
            async with self._lock:
                return await action(request)
        except ApiError as error:
            return _refused(error)
        except Exception as error:
            log.exception("%s %s failed", request.method, "/".join(request.path))
            return _refused(ApiError(f"{type(error).__name__}: {error}", 500))

    def _actions(self, request: Request) -> dict[str, Action]:
        """What can be done at the request's path: method → action; `*` stands for any."""
        match request.path:
            case ("version",):
                return {"GET": self._version}
            case ("reset",):
                return {"POST": self._reset}
            case ("populate",):
                return {"POST": self._populate}
            case ("metrics",) if self._proxies.metrics.any:
                return {"*": self._metrics}
            case ("proxies",):
                return {"GET": self._list, "POST": self._create}
            case ("proxies", name) if name:
                return {"GET": self._show, "POST": self._update, "PATCH": self._update, "DELETE": self._delete}
            case ("proxies", name, "toxics") if name:
                return {"GET": self._toxics, "POST": self._add_toxic}
            case ("proxies", name, "toxics", toxic) if name and toxic:
                change = self._update_toxic
                return {"GET": self._toxic, "POST": change, "PATCH": change, "DELETE": self._remove_toxic}
        return {}

    async def _version(self, request: Request) -> Response:
        return Response(200, f'{{"version": "{VERSION}"}}\n'.encode(), "application/json;charset=utf-8")

    async def _metrics(self, request: Request) -> Response:
        page = self._proxies.metrics.text(self._proxies.open_connections())
        return Response(200, page.encode(), metrics.CONTENT_TYPE)

    async def _reset(self, request: Request) -> Response:
        await self._proxies.reset()
        return Response(204)

    async def _populate(self, request: Request) -> Response:
        made: list[Proxy] = []
        error: ApiError | None = None
        try:
            made, error = await self._proxies.populate(decode.first_value(request.body))
        except ApiError as refusal:
            error = refusal
        answer: dict[str, Any] = {} if error is None else {"error": str(error), "status": error.status}
        answer["proxies"] = [proxy.described() for proxy in made] or None
        return _json(answer, 201 if error is None else error.status)

    async def _list(self, request: Request) -> Response:
        return _json(self._proxies.described())

    async def _create(self, request: Request) -> Response:
        proxy = await self._proxies.create(decode.first_value(request.body))
        return _json(proxy.described(), 201)

    async def _show(self, request: Request) -> Response:
        return _json(self._proxies.get(request.path[1]).described())

    async def _update(self, request: Request) -> Response:
        name = request.path[1]
        self._proxies.get(name)  # a proxy that is not there comes before a body that can't be read
        return _json((await self._proxies.update(name, decode.first_value(request.body))).described())

    async def _delete(self, request: Request) -> Response:
        self._proxies.remove(request.path[1])
        return Response(204)

    async def _toxics(self, request: Request) -> Response:
        return _json(self._proxies.get(request.path[1]).toxics())

    async def _add_toxic(self, request: Request) -> Response:
        proxy = self._proxies.get(request.path[1])
        return _json(described(proxy.add_toxic(decode.first_value(request.body))))

    async def _toxic(self, request: Request) -> Response:
        return _json(described(self._proxies.get(request.path[1]).toxic(request.path[3])))

    async def _update_toxic(self, request: Request) -> Response:
        proxy = self._proxies.get(request.path[1])
        proxy.toxic(request.path[3])
        return _json(described(proxy.update_toxic(request.path[3], decode.first_value(request.body))))

    async def _remove_toxic(self, request: Request) -> Response:
        self._proxies.get(request.path[1]).remove_toxic(request.path[3])
        return Response(204)


def _json(value: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(value, separators=(",", ":")).encode(), "application/json")


def _refused(error: ApiError) -> Response:
    """Go's http.Error overrules the content type, so a refusal is JSON that calls itself text."""
    body = json.dumps({"error": str(error), "status": error.status}, separators=(",", ":"))
    return Response(error.status, f"{body}\n".encode(), _TEXT, _NO_SNIFF)
