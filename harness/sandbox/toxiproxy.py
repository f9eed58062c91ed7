"""Toxiproxy: the links between services, and one door to the fault proxy that they run through.

It stands on toxiproxy-python 0.1.1, which has had no release since 2019, and mends what that lacks:

* one server per process (host and port are class attributes of its `APIConsumer`): every `Toxiproxy` here makes a
  consumer class of its own, so any number of servers can be used at once, from any number of threads;
* no timeouts: every call carries one, and a proxy configured in the environment is never asked for a loopback address;
* no update of a toxic, and PATCH is missing altogether: `_Consumer.patch`;
* only 400, 404 and 409 become errors (a 500 surfaces as a KeyError): every status of 400 or more is a SandboxError;
* the server accepts unknown attributes without a word, and a typing error is then no fault at all: `toxic_problems`;
* nothing is read back: every change here is, and a change that did not take is a SandboxError;
* removing a toxic can hang for ever in the server, with the proxy's lock held: the proxy is made anew.

Its `Proxy` and `Toxic` classes, its consumer's GET, POST and DELETE and its exceptions are used as they are.
Protocol: https://github.com/Shopify/toxiproxy#http-api (server 2.6 or later, for PATCH).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import quote

import requests
from toxiproxy.api import APIConsumer, validate_response
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists
from toxiproxy.proxy import Proxy
from toxiproxy.toxic import Toxic

from harness.errors import SandboxError, UsageError
from harness.model.units import say_duration, seconds
from harness.sandbox.base import Address, LinkStatus
from harness.sandbox.toxics import TOXICS, toxic_problems

Stream = Literal["upstream", "downstream"]
TIMEOUT = seconds(2)  # of one call


@dataclass(frozen=True, slots=True)
class FarEnd:
    """Where a link leads, in the topology's own words: a service, its container port, its application protocol."""

    service: str
    port: int
    scheme: str = "tcp"


def far_ends(proxies: str, scheme_of: Callable[[str, int], str]) -> dict[str, FarEnd]:
    """Link name → far end, from the text of a `proxies.json` *as written*, before addresses are rewritten.

    `scheme_of(service, port)` is the application protocol of a container port (`app_protocol` in the compose file).
    Raises UsageError with everything that is wrong with the file.
    """
    try:
        entries = json.loads(proxies)
    except ValueError as cause:
        raise UsageError(f"the list of proxies is not JSON: {cause}") from cause
    if not isinstance(entries, list):
        raise UsageError("the list of proxies must be a JSON array of objects")
    ends: dict[str, FarEnd] = {}
    problems: list[str] = []
    for place, entry in enumerate(entries, start=1):
        fields = entry if isinstance(entry, dict) else {}
        name, upstream = fields.get("name"), fields.get("upstream")
        service, _, port = upstream.rpartition(":") if isinstance(upstream, str) else ("", "", "")
        if not isinstance(name, str) or not name:
            problems.append(f"proxy {place} has no name")
        elif name in ends:
            problems.append(f"proxy {place}: the name {name!r} is taken twice")
        elif not service or not port.isdecimal():
            problems.append(f"proxy {place} ({name}): upstream {upstream!r} is not service:port")
        else:
            ends[name] = FarEnd(service, int(port), scheme_of(service, int(port)))
    if problems:
        raise UsageError("the list of proxies can't be used", problems=problems)
    return ends


class _RefusedError(SandboxError):
    """The server answered, and said no. `status` is HTTP's; `reason` is the server's own word."""

    def __init__(self, message: str, *, status: int, reason: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.reason = reason


class _NoAnswerError(SandboxError):
    """The server did not answer in time, or not at all."""


class _Consumer(APIConsumer):  # type: ignore[misc] # the library publishes no types
    """The library's HTTP door, made once per server, with the one method that it lacks."""

    @classmethod
    def patch(cls, url: str, json: Mapping[str, Any], *, timeout: float, **options: Any) -> Any:
        endpoint = f"http://{cls.host}:{cls.port}{url}"
        return validate_response(requests.patch(endpoint, json=json, timeout=timeout, **options))


class Toxiproxy:
    """One Toxiproxy server and its links.

    `api` is where its HTTP API is reached. `ends` says what each link leads to (`far_ends` reads it from
    `proxies.json` as written: what the server itself reports are rewritten addresses). `reach` turns a listen address
    as the server reports it (`127.0.0.1:40123`, `[::]:21009`) into the one at which the harness reaches it; its scheme
    is ignored, the far end's counts. Left out, the listen address is taken literally, a wildcard host as `api`'s.

    Nothing is cached; instances hold no connection and need no closing. Safe to use from many threads.
    """

    def __init__(
        self,
        api: Address,
        *,
        ends: Mapping[str, FarEnd] | None = None,
        reach: Callable[[str], Address] | None = None,
        timeout: timedelta = TIMEOUT,
    ) -> None:
        self.api = api
        self._ends = dict(ends or {})
        self._reach = reach or self._literally
        self._timeout = timeout
        host = f"[{api.host}]" if ":" in api.host else api.host
        self._consumer: Any = type("Consumer", (_Consumer,), {"host": host, "port": api.port})

    def __str__(self) -> str:
        return f"toxiproxy at {self.api}"

    # -- the server --------------------------------------------------------------------------------------------------

    def version(self) -> str:
        """The server's version as it says it. Raises SandboxError."""
        return str(self._object("get", "/version").get("version", ""))

    def healthy(self) -> bool:
        """Whether the server answers. Never raises."""
        try:
            return bool(self.version())
        except SandboxError:
            return False

    def links(self) -> tuple[ProxiedLink, ...]:
        """Every link that the server has. Raises SandboxError where one of the topology's is missing: a fault put
        into the remaining ones would be a smaller fault than the one intended."""
        present = self._proxies()
        missing = [name for name in self._ends if name not in present]
        if missing:
            raise SandboxError(
                f"{self} has no proxy for: {', '.join(missing)}",
                hint="somebody removed it, or the server was restarted without its configuration; restart the sandbox",
            )
        return tuple(
            ProxiedLink(self, name, self._ends.get(name) or _guessed_end(Proxy(**fields)))
            for name, fields in present.items()
        )

    def links_to(self, upstream: str) -> tuple[ProxiedLink, ...]:
        """All links whose far end is the service `upstream`; empty where none is."""
        return tuple(link for link in self.links() if link.upstream_service == upstream)

    def link(self, name: str) -> ProxiedLink:
        """The link called `name`. For a link of the topology the server is not asked, so this works while it is down.
        Raises UsageError for a name that neither the topology nor the server knows."""
        if name in self._ends:
            return ProxiedLink(self, name, self._ends[name])
        known = {link.name: link for link in self.links()}
        if name not in known:
            raise UsageError(f"there is no link {name!r}", hint=f"links are: {', '.join(known) or 'none'}")
        return known[name]

    def populate(self, proxies: Iterable[Mapping[str, Any]]) -> None:
        """Make these proxies (`name`, `listen`, `upstream`, `enabled`): new ones are made, equal ones kept as they
        are, ones with another listen or upstream address replaced. Raises SandboxError."""
        wanted = [dict(proxy) for proxy in proxies]
        self._object("post", "/populate", wanted)
        present = self._proxies()
        for proxy in wanted:
            found = present.get(proxy["name"])
            if found is None or found["upstream"] != proxy["upstream"]:
                raise SandboxError(f"{self} did not make the proxy {proxy['name']!r}; it has {found!r}")

    def reset(self) -> None:
        """Enable every proxy and take out every toxic, then look whether it is so. A reset that hangs makes the
        proxies anew, which cuts their connections. Raises SandboxError."""
        before = self._proxies()
        try:
            self._call("post", "/reset")
        except _NoAnswerError:
            for fields in before.values():
                self._recreate({**fields, "enabled": True, "toxics": []})
        after = self._proxies()
        dirty = [name for name, fields in after.items() if not fields["enabled"] or fields["toxics"]]
        if dirty:
            raise SandboxError(f"{self}: after a reset these links are not clean: {', '.join(dirty)}", hint=_RESTART)

    # -- for the links -----------------------------------------------------------------------------------------------

    def _proxy(self, name: str) -> dict[str, Any]:
        """The proxy as the server describes it."""
        return self._shaped(self._object("get", f"/proxies/{quote(name, safe='')}"))

    def _proxies(self) -> dict[str, dict[str, Any]]:
        return {name: self._shaped(fields) for name, fields in self._object("get", "/proxies").items()}

    def _shaped(self, fields: Any) -> dict[str, Any]:
        if not isinstance(fields, dict) or not fields.keys() >= _FIELDS:
            raise SandboxError(f"{self} describes a proxy as {fields!r}", hint=_NOT_IT)
        return fields

    def _recreate(self, wanted: Mapping[str, Any]) -> None:
        """Delete a proxy and make it anew as `wanted`, toxics included. It never waits for the proxy's own lock."""
        path = f"/proxies/{quote(wanted['name'], safe='')}"
        try:
            self._call("delete", path)
        except _RefusedError as refused:
            if refused.status != 404:
                raise
        self._object("post", "/proxies", {key: wanted[key] for key in ("name", "listen", "upstream", "enabled")})
        for toxic in wanted["toxics"]:
            self._object("post", f"{path}/toxics", toxic)

    def _bytes(self, name: str) -> int | None:
        """Bytes sent by the proxy `name`, both ways; None where the server has no figure for it."""
        try:
            text = str(self._call("get", "/metrics").text)
        except _RefusedError as refused:
            if refused.status != 404:
                raise
            raise SandboxError(
                f"{self} does not serve its metrics, so bytes can't be counted",
                hint="start it with -proxy-metrics",
            ) from refused
        counts = [float(value) for labels, value in _SENT.findall(text) if _label(labels, "proxy") == name]
        return int(sum(counts)) if counts else None

    def _literally(self, listen: str) -> Address:
        host, _, port = listen.rpartition(":")
        host = host.strip("[]")
        return Address(self.api.host if host in ("", "::", "0.0.0.0") else host, int(port))  # noqa: S104 - compared

    def _object(self, verb: str, path: str, body: Any = None) -> dict[str, Any]:
        """The JSON object in the answer to a call."""
        response = self._call(verb, path, body)
        try:
            answer = response.json()
        except ValueError as cause:
            raise SandboxError(f"{self}: {verb.upper()} {path} was not answered in JSON", hint=_NOT_IT) from cause
        if not isinstance(answer, dict):
            raise SandboxError(f"{self}: {verb.upper()} {path} was not answered with an object", hint=_NOT_IT)
        return answer

    def _call(self, verb: str, path: str, body: Any = None) -> Any:
        """One call. Raises _NoAnswerError, or _RefusedError for every status from 300 on."""
        options: dict[str, Any] = {"timeout": self._timeout.total_seconds(), "proxies": _NO_PROXY}
        options["headers"] = {"Connection": "close"}  # no idle connection outlives the call
        options["allow_redirects"] = False
        if body is not None:
            options["json"] = body
        what = f"{verb.upper()} {path}"
        try:
            response = getattr(self._consumer, verb)(path, **options)
        except (NotFound, ProxyExists, InvalidToxic) as cause:
            status = {NotFound: 404, ProxyExists: 409, InvalidToxic: 400}[type(cause)]
            raise self._refusal(what, status, cause.args[0]) from cause
        except requests.Timeout as cause:
            raise _NoAnswerError(
                f"{self} did not answer {what} in {say_duration(self._timeout)}", hint=_RESTART
            ) from cause
        except requests.RequestException as cause:
            raise _NoAnswerError(f"{self} can't be reached for {what}", hint=_GONE) from cause
        if response.status_code >= 300:
            raise self._refusal(what, response.status_code, response.content)
        return response

    def _refusal(self, what: str, status: int, content: bytes) -> _RefusedError:
        text = content.decode(errors="replace").strip()
        try:
            reason = str(json.loads(text)["error"])
        except (ValueError, KeyError, TypeError):
            reason = text
        hint = "Toxiproxy 2.6 or later is needed" if status == 405 else ""
        return _RefusedError(f"{self} refused {what}: {status} {reason}", status=status, reason=reason, hint=hint)


class ProxiedLink:
    """One link, led through a proxy of a Toxiproxy server: see `harness.sandbox.base.Link`."""

    def __init__(self, server: Toxiproxy, name: str, end: FarEnd) -> None:
        self._server = server
        self._end = end
        self._path = f"/proxies/{quote(name, safe='')}"
        self.name = name

    def __repr__(self) -> str:
        return f"<link {self.name} to {self._end.service} by {self._server}>"

    @property
    def upstream_service(self) -> str:
        return self._end.service

    @property
    def address(self) -> Address:
        reached = self._server._reach(self._server._proxy(self.name)["listen"])
        return replace(reached, scheme=self._end.scheme)

    def status(self) -> LinkStatus:
        """The link as the server has it now. Raises SandboxError, also where the server does not have it."""
        fields = self._server._proxy(self.name)
        listen = replace(self._server._reach(fields["listen"]), scheme=self._end.scheme)
        return LinkStatus(
            name=self.name,
            listen=listen,
            upstream=fields["upstream"],
            enabled=fields["enabled"],
            toxics=tuple(fields["toxics"]),
        )

    def disable(self) -> None:
        self._set_enabled(False)

    def enable(self) -> None:
        self._set_enabled(True)

    def cut(self) -> None:
        """Close every open connection by disabling the link for an instant. Raises SandboxError."""
        self.disable()
        self.enable()

    def add_toxic(
        self,
        kind: str,
        *,
        name: str,
        attributes: Mapping[str, int],
        stream: Stream = "downstream",
        toxicity: float = 1.0,
    ) -> None:
        """Put a toxic in, or change the one of that name to be exactly this; then look whether it is so.

        Attributes left out are 0. A change of `toxicity` or attributes acts on open connections too; where `kind` or
        `stream` differ, the old one is taken out first. Raises UsageError with all that is wrong, and SandboxError;
        where the server got stuck on it, the proxy is made anew as it was before.
        """
        problems = toxic_problems(kind, attributes, stream=stream, toxicity=toxicity, name=name)
        if problems:
            raise UsageError(f"toxic {name!r} can't be put on link {self.name!r}", problems=problems)
        exact = {**dict.fromkeys(TOXICS[kind], 0), **attributes}
        wanted = {"name": name, "type": kind, "stream": stream, "toxicity": toxicity, "attributes": exact}
        before = self._server._proxy(self.name)
        old = next((Toxic(**toxic) for toxic in before["toxics"] if toxic["name"] == name), None)
        if old is not None and (old.type, old.stream) != (kind, stream):
            self.remove_toxic(name)
            old = None
        try:
            if old is None:
                self._server._object("post", f"{self._path}/toxics", wanted)
            else:
                change = {"attributes": exact, "toxicity": toxicity}
                self._server._object("patch", self._toxic_path(name), change)
        except _NoAnswerError:
            self._server._recreate(before)  # or its lock would be held for ever, and nothing could be healed
            raise
        self._expect(wanted)

    def remove_toxic(self, name: str) -> None:
        """Take a toxic out, then look whether it is gone; one that is not there is no error.

        A removal that hangs holds the proxy's lock for ever, so the proxy is deleted and made anew with its other
        toxics; that cuts its connections. Raises SandboxError where the link is not clean afterwards.
        """
        before = self._server._proxy(self.name)
        if all(toxic["name"] != name for toxic in before["toxics"]):
            return
        others = [toxic for toxic in before["toxics"] if toxic["name"] != name]
        try:
            self._server._call("delete", self._toxic_path(name))
        except _RefusedError as refused:
            if refused.status != 404:
                raise
        except _NoAnswerError:
            self._server._recreate({**before, "toxics": others})
        left = self._toxic(name)
        if left is not None:
            raise SandboxError(f"link {self.name!r} still has the toxic {name!r} ({left.type})", hint=_RESTART)

    def bytes_passed(self) -> int:
        """Bytes that the proxy has sent on, both ways, since it started. Raises SandboxError.

        The Go server adds a connection's bytes when that connection *ends*; the built-in one counts as they pass.
        So a figure that stands still proves nothing while callers keep their connections open.
        """
        count = self._server._bytes(self.name)
        if count is None:
            self._server._proxy(self.name)  # no figure yet is 0 for a link that is there, and an error for one gone
        return count or 0

    def _set_enabled(self, enabled: bool) -> None:
        self._server._object("patch", self._path, {"enabled": enabled})
        if self._server._proxy(self.name)["enabled"] is not enabled:
            state = "enabled" if enabled else "disabled"
            raise SandboxError(f"link {self.name!r} was to be {state} and is not", hint=_RESTART)

    def _toxic(self, name: str) -> Toxic | None:
        toxics: Sequence[Mapping[str, Any]] = self._server._proxy(self.name)["toxics"]
        return next((Toxic(**toxic) for toxic in toxics if toxic["name"] == name), None)

    def _toxic_path(self, name: str) -> str:
        return f"{self._path}/toxics/{quote(name, safe='')}"

    def _expect(self, wanted: Mapping[str, Any]) -> None:
        """Raise SandboxError unless the server has the toxic exactly as `wanted` (toxicity is a float32 there)."""
        found = self._toxic(wanted["name"])
        same = found is not None and (
            (found.type, found.stream, found.attributes) == (wanted["type"], wanted["stream"], wanted["attributes"])
            and abs(found.toxicity - wanted["toxicity"]) < 1e-6
        )
        if not same:
            has = "nothing" if found is None else f"{found.type} {found.attributes} at {found.toxicity}"
            raise SandboxError(f"link {self.name!r} was to have the toxic {wanted}, and has {has}", hint=_RESTART)


_FIELDS = frozenset({"name", "listen", "upstream", "enabled", "toxics"})
_RESTART = "the fault proxy is stuck; restart the sandbox (`gameday down`, `gameday up`)"
_GONE = "is it running? `gameday status` shows it, and its log says why it ended"
_NOT_IT = "something else than Toxiproxy listens at this address"
# Loopback is never reached through a proxy, whatever the environment says; None takes a key out of requests' list.
_NO_PROXY: Mapping[str, None] = {"http": None, "all": None}
# One sample of a counter in Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/
_SENT = re.compile(r"^toxiproxy_proxy_sent_bytes_total\{(.*)\} (\S+)", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def _label(labels: str, name: str) -> str:
    found = next((value for key, value in _LABEL.findall(labels) if key == name), "")
    return str(found).replace(r"\n", "\n").replace(r"\"", '"').replace(r"\\", "\\")


def _guessed_end(proxy: Proxy) -> FarEnd:
    """The far end of a link that the topology does not name: the host of its upstream address."""
    host, _, port = str(proxy.upstream).rpartition(":")
    return FarEnd(host.strip("[]"), int(port) if port.isdecimal() else 0)
