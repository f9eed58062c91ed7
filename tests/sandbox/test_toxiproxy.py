"""The adapter to Toxiproxy, against a scripted server that answers where the network would."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from harness.errors import SandboxError, UsageError
from harness.model.units import seconds
from harness.sandbox.base import Address
from harness.sandbox.toxics import TOXICS, toxic_problems
from harness.sandbox.toxiproxy import FarEnd, Toxiproxy, far_ends

Answer = Callable[..., "Reply"]


class Reply(requests.Response):
    """An HTTP answer made by hand."""

    def __init__(self, status: int, body: Any = None) -> None:
        super().__init__()
        self.status_code = status
        self._content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()


def proxy(name: str = "a-b", *, toxics: list[dict[str, Any]] | None = None, **changed: Any) -> dict[str, Any]:
    fields = {"name": name, "listen": "127.0.0.1:21001", "upstream": "127.0.0.1:5", "enabled": True, "Logger": {}}
    return {**fields, "toxics": toxics or [], **changed}


def toxic(name: str = "it", **changed: Any) -> dict[str, Any]:
    attributes = {"latency": 5, "jitter": 0}
    plain = {"name": name, "type": "latency", "stream": "downstream", "toxicity": 1, "attributes": attributes}
    return {**plain, **changed}


@dataclass
class Wire:
    """Stands where `requests` meets the network: answers by rule, and keeps what it was asked."""

    rules: dict[str, list[Any]] = field(default_factory=dict)  # "GET /path" → answers; the last one stays
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    options: list[Mapping[str, Any]] = field(default_factory=list)

    def on(self, call: str, *answers: Any) -> None:
        """Answer `call` with these in turn: a Reply, an exception to raise, or a body for status 200."""
        self.rules[call] = list(answers)

    def request(self, method: str, url: str, **options: Any) -> Reply:
        path = "/" + url.split("/", 3)[3]
        self.asked.append((method.upper(), path, options.get("json")))
        self.options.append(options)
        answers = self.rules.get(f"{method.upper()} {path}")
        if answers is None:
            return Reply(404, {"error": "proxy not found", "status": 404})
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Reply) else Reply(200, answer)

    @property
    def calls(self) -> list[str]:
        return [f"{method} {path}" for method, path, _ in self.asked]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    monkeypatch.setattr("requests.api.request", wire.request)
    return wire


ENDS = {"a-b": FarEnd("b", 80, "http")}
API = Address("127.0.0.1", 8474)


# -- every call ------------------------------------------------------------------------------------------------------


def test_every_call_has_a_timeout_and_no_proxy(wire: Wire) -> None:
    """No call can hang, and none is led through a proxy that the environment names."""
    wire.on("GET /version", {"version": "2.12.0"})
    wire.on("GET /proxies/a-b", proxy(), proxy(enabled=False))
    wire.on("PATCH /proxies/a-b", proxy())
    server = Toxiproxy(API, ends=ENDS, timeout=seconds(0.75))
    assert server.version() == "2.12.0"
    server.link("a-b").status()
    server.link("a-b").disable()
    assert len(wire.options) == 4
    for options in wire.options:
        assert options["timeout"] == 0.75
        assert options["proxies"] == {"http": None, "all": None}
        assert options["allow_redirects"] is False


def test_two_servers_are_told_apart_in_threads(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapters for two servers, used at the same time, each ask their own."""
    urls: dict[int, set[str]] = {1: set(), 2: set()}
    together = threading.Barrier(2, timeout=5)

    def request(method: str, url: str, **options: Any) -> Reply:
        together.wait()
        urls[int(threading.current_thread().name)].add(url)
        return Reply(200, {"version": "1"})

    monkeypatch.setattr("requests.api.request", request)
    servers = {1: Toxiproxy(Address("127.0.0.1", 1)), 2: Toxiproxy(Address("::1", 2))}
    threads = [threading.Thread(target=server.version, name=str(key)) for key, server in servers.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert urls == {1: {"http://127.0.0.1:1/version"}, 2: {"http://[::1]:2/version"}}


@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        (requests.ConnectTimeout(), "did not answer GET /proxies/a-b in 2 s", "stuck"),
        (requests.ReadTimeout(), "did not answer GET /proxies/a-b in 2 s", "stuck"),
        (requests.ConnectionError(), "can't be reached", "gameday status"),
        (Reply(500, {"error": "listen tcp: taken", "status": 500}), "500 listen tcp: taken", ""),
        (Reply(400, {"error": "bad", "status": 400}), "400 bad", ""),
        (Reply(409, {"error": "there", "status": 409}), "409 there", ""),
        (Reply(403, b"User agent not allowed"), "403 User agent not allowed", ""),
        (Reply(405), "405", "2.6"),
        (Reply(302), "302", ""),
        (Reply(200, b"<html>"), "not answered in JSON", "something else"),
        (Reply(200, [1]), "not answered with an object", "something else"),
        (Reply(200, {"name": "a-b"}), "describes a proxy as", "something else"),
    ],
)
def test_every_failure_is_a_sandbox_error(wire: Wire, answer: Any, message: str, hint: str) -> None:
    """Whatever goes wrong is told in words, with what to do next and with its cause."""
    wire.on("GET /proxies/a-b", answer)
    with pytest.raises(SandboxError, match=message) as raised:
        Toxiproxy(API, ends=ENDS).link("a-b").status()
    assert hint in raised.value.hint
    if isinstance(answer, Exception):
        assert raised.value.__cause__ is answer


def test_healthy_never_raises(wire: Wire) -> None:
    """A server that answers is healthy, one that does not is not."""
    wire.on("GET /version", {"version": "2.12.0"})
    assert Toxiproxy(API).healthy()
    wire.on("GET /version", requests.ConnectionError())
    assert not Toxiproxy(API).healthy()


# -- which links -----------------------------------------------------------------------------------------------------


def test_links_come_with_the_topologys_names(wire: Wire) -> None:
    """A link knows its service and scheme from `ends`; one that the topology does not name goes by its address."""
    wire.on("GET /proxies", {"a-b": proxy(), "x": proxy("x", upstream="cache:6379")})
    wire.on("GET /proxies/a-b", proxy())
    links = {link.name: link for link in Toxiproxy(API, ends=ENDS).links()}
    assert {name: link.upstream_service for name, link in links.items()} == {"a-b": "b", "x": "cache"}
    assert links["a-b"].address == Address("127.0.0.1", 21001, "http")


def test_a_missing_link_is_an_error_and_not_fewer_links(wire: Wire) -> None:
    """A topology's link that the server does not have is never passed over."""
    wire.on("GET /proxies", {"x": proxy("x")})
    server = Toxiproxy(API, ends=ENDS)
    for call in (server.links, lambda: server.links_to("b")):
        with pytest.raises(SandboxError, match="no proxy for: a-b"):
            call()


def test_a_link_that_nobody_knows_is_a_usage_error(wire: Wire) -> None:
    """The hint names the links that there are."""
    wire.on("GET /proxies", {"a-b": proxy()})
    with pytest.raises(UsageError, match="there is no link 'nope'") as raised:
        Toxiproxy(API).link("nope")
    assert raised.value.hint == "links are: a-b"


@pytest.mark.parametrize(
    ("listen", "reached"),
    [
        ("127.0.0.1:21001", Address("127.0.0.1", 21001, "http")),
        ("[::]:21001", Address("10.0.0.9", 21001, "http")),  # every interface: where the API is
        ("0.0.0.0:21001", Address("10.0.0.9", 21001, "http")),
        ("[::1]:21001", Address("::1", 21001, "http")),
    ],
)
def test_where_a_link_is_reached(wire: Wire, listen: str, reached: Address) -> None:
    """Left to itself, the adapter takes listen addresses literally, except those that name no host."""
    wire.on("GET /proxies/a-b", proxy(listen=listen))
    assert Toxiproxy(Address("10.0.0.9", 8474), ends=ENDS).link("a-b").address == reached


def test_reach_says_where_a_link_is_reached(wire: Wire) -> None:
    """A runtime that publishes ports elsewhere is asked, and the far end's scheme counts."""
    wire.on("GET /proxies/a-b", proxy(listen="[::]:21009"))
    server = Toxiproxy(API, ends=ENDS, reach=lambda listen: Address("127.0.0.1", 4000 + len(listen), "ftp"))
    assert server.link("a-b").address == Address("127.0.0.1", 4010, "http")
    assert server.link("a-b").status().listen == Address("127.0.0.1", 4010, "http")


def test_far_ends_are_read_from_the_file_as_written() -> None:
    """Each link's service and port come from its upstream, its scheme from the topology."""
    text = '[{"name": "a-b", "upstream": "b:80"}, {"name": "a-c", "upstream": "c:6379"}]'
    schemes = {("b", 80): "http", ("c", 6379): "redis"}
    ends = far_ends(text, lambda service, port: schemes[service, port])
    assert ends == {"a-b": FarEnd("b", 80, "http"), "a-c": FarEnd("c", 6379, "redis")}


def test_all_that_is_wrong_with_the_file_is_told_at_once() -> None:
    """One error has every problem."""
    text = '[{}, {"name": "a", "upstream": "b"}, {"name": "c", "upstream": "d:1"}, {"name": "c", "upstream": "d:1"}, 5]'
    with pytest.raises(UsageError) as raised:
        far_ends(text, lambda service, port: "tcp")
    assert [problem.split(": ")[1] for problem in raised.value.problems] == [
        "proxy 1 has no name",
        "proxy 2 (a)",
        "proxy 4",
        "proxy 5 has no name",
    ]


@pytest.mark.parametrize("text", ["", "{", "{}", "null"])
def test_a_file_that_is_no_list_is_a_usage_error(text: str) -> None:
    """It is told in words."""
    with pytest.raises(UsageError, match="list of proxies"):
        far_ends(text, lambda service, port: "tcp")


# -- toxics ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        *((kind, {}) for kind in TOXICS if kind != "slicer"),
        ("latency", {"latency": 5, "jitter": 9}),
        ("slicer", {"average_size": 1}),
        ("slicer", {"average_size": 10, "size_variation": 9, "delay": 5}),
        ("bandwidth", {"rate": 0}),
    ],
)
def test_toxics_without_problems(kind: str, attributes: dict[str, int]) -> None:
    """Every kind, with what it has."""
    assert toxic_problems(kind, attributes, stream="upstream", toxicity=0.5, name="it") == []


@pytest.mark.parametrize(
    ("changed", "problems"),
    [
        ({"kind": "lag"}, ["kind 'lag'"]),
        ({"attributes": {"latncy": 5}}, ["attribute 'latncy'"]),
        ({"attributes": {"latency": -1, "jitter": 2**31}}, ["attribute 'latency'", "attribute 'jitter'"]),
        ({"attributes": {"latency": 1.0, "jitter": True}}, ["attribute 'latency'", "attribute 'jitter'"]),
        ({"kind": "noop", "attributes": {"x": 1}}, ["attribute 'x'"]),
        ({"kind": "slicer"}, ["attribute 'average_size'"]),  # the server dies of it
        ({"kind": "slicer", "attributes": {"average_size": 0}}, ["attribute 'average_size'"]),
        ({"kind": "slicer", "attributes": {"average_size": 5, "size_variation": 5}}, ["attribute 'size_variation'"]),
        ({"stream": "Upstream"}, ["stream 'Upstream'"]),
        ({"toxicity": 1.01}, ["toxicity 1.01"]),
        ({"toxicity": float("nan")}, ["toxicity nan"]),
        ({"toxicity": True}, ["toxicity True"]),
        ({"name": ""}, ["name ''"]),
        ({"name": "a/b"}, ["name 'a/b'"]),
        ({"name": "", "stream": "x", "toxicity": 2, "kind": "y"}, ["name ''", "stream 'x'", "toxicity 2", "kind 'y'"]),
    ],
)
def test_toxics_with_problems(wire: Wire, changed: dict[str, Any], problems: list[str]) -> None:
    """Everything that is wrong is told at once, and the server is not asked."""
    settings = {"kind": "latency", "attributes": {}, "name": "it", **changed}
    kind = settings.pop("kind")
    with pytest.raises(UsageError) as raised:
        Toxiproxy(API, ends=ENDS).link("a-b").add_toxic(kind, **settings)
    assert [problem.split(": ")[1] for problem in raised.value.problems] == problems
    assert wire.asked == []


def test_a_toxic_is_added_with_all_its_attributes(wire: Wire) -> None:
    """Attributes left out are sent as 0, and the outcome is read back."""
    wire.on("GET /proxies/a-b", proxy(), proxy(toxics=[toxic()]))
    wire.on("POST /proxies/a-b/toxics", toxic())
    Toxiproxy(API, ends=ENDS).link("a-b").add_toxic("latency", name="it", attributes={"latency": 5})
    assert wire.calls == ["GET /proxies/a-b", "POST /proxies/a-b/toxics", "GET /proxies/a-b"]
    assert wire.asked[1][2] == {**toxic(), "toxicity": 1.0}


def test_a_toxic_that_is_there_is_changed_by_patch(wire: Wire) -> None:
    """Same name, kind and stream: attributes and toxicity are patched, so that open connections keep their place."""
    wire.on("GET /proxies/a-b", proxy(toxics=[toxic(toxicity=0.3)]), proxy(toxics=[toxic(toxicity=0.10000000149)]))
    wire.on("PATCH /proxies/a-b/toxics/it", toxic())
    Toxiproxy(API, ends=ENDS).link("a-b").add_toxic("latency", name="it", attributes={"latency": 5}, toxicity=0.1)
    assert wire.asked[1] == (
        "PATCH",
        "/proxies/a-b/toxics/it",
        {"attributes": {"latency": 5, "jitter": 0}, "toxicity": 0.1},
    )


@pytest.mark.parametrize(
    "found",
    [
        [],  # gone at once
        [toxic(attributes={"latency": 4, "jitter": 0})],
        [toxic(attributes={"latency": 5})],
        [toxic(toxicity=0.9)],
        [toxic(stream="upstream")],
        [toxic(type="bandwidth")],
    ],
)
def test_a_toxic_that_did_not_take_is_an_error(wire: Wire, found: list[dict[str, Any]]) -> None:
    """What the server has afterwards must be what was asked, in every field."""
    wire.on("GET /proxies/a-b", proxy(), proxy(toxics=found))
    wire.on("POST /proxies/a-b/toxics", toxic())
    with pytest.raises(SandboxError, match="was to have the toxic"):
        Toxiproxy(API, ends=ENDS).link("a-b").add_toxic("latency", name="it", attributes={"latency": 5})


def test_an_addition_that_hangs_leaves_the_proxy_as_it_was(wire: Wire) -> None:
    """The stuck proxy is made anew with the toxics that it had, and the error says what happened."""
    wire.on("GET /proxies/a-b", proxy(toxics=[toxic("old")]))
    wire.on("POST /proxies/a-b/toxics", requests.ReadTimeout(), toxic("old"))
    wire.on("DELETE /proxies/a-b", Reply(204))
    wire.on("POST /proxies", Reply(201, proxy()))
    with pytest.raises(SandboxError, match="did not answer POST"):
        Toxiproxy(API, ends=ENDS).link("a-b").add_toxic("latency", name="it", attributes={"latency": 5})
    assert wire.calls[2:] == ["DELETE /proxies/a-b", "POST /proxies", "POST /proxies/a-b/toxics"]
    assert wire.asked[-1][2] == toxic("old")


def test_a_removal_is_looked_at_afterwards(wire: Wire) -> None:
    """A toxic that is still there after a removal is an error."""
    wire.on("GET /proxies/a-b", proxy(toxics=[toxic()]))
    wire.on("DELETE /proxies/a-b/toxics/it", Reply(204))
    with pytest.raises(SandboxError, match="still has the toxic 'it'"):
        Toxiproxy(API, ends=ENDS).link("a-b").remove_toxic("it")


def test_a_toxic_that_goes_meanwhile_is_gone(wire: Wire) -> None:
    """A removal that finds it taken out by somebody else is no error."""
    wire.on("GET /proxies/a-b", proxy(toxics=[toxic()]), proxy())
    wire.on("DELETE /proxies/a-b/toxics/it", Reply(404, {"error": "toxic not found", "status": 404}))
    Toxiproxy(API, ends=ENDS).link("a-b").remove_toxic("it")
    assert "DELETE /proxies/a-b/toxics/it" in wire.calls


def test_a_removal_that_hangs_makes_the_proxy_anew(wire: Wire) -> None:
    """With its listen and upstream address, its state and its other toxics; then it is looked at."""
    wire.on("GET /proxies/a-b", proxy(toxics=[toxic(), toxic("other")]), proxy(toxics=[toxic("other")]))
    wire.on("DELETE /proxies/a-b/toxics/it", requests.ReadTimeout())
    wire.on("DELETE /proxies/a-b", Reply(204))
    wire.on("POST /proxies", Reply(201, proxy()))
    wire.on("POST /proxies/a-b/toxics", toxic("other"))
    Toxiproxy(API, ends=ENDS).link("a-b").remove_toxic("it")
    assert wire.asked[3][2] == {
        "name": "a-b",
        "listen": "127.0.0.1:21001",
        "upstream": "127.0.0.1:5",
        "enabled": True,
    }
    assert [body["name"] for _, path, body in wire.asked if path.endswith("/toxics")] == ["other"]
    assert wire.calls[-1] == "GET /proxies/a-b"


# -- on, off, all ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "state"), [("enable", True), ("disable", False)])
def test_a_switch_that_did_not_take_is_an_error(wire: Wire, call: str, state: bool) -> None:
    """Enable and disable are read back."""
    wire.on("PATCH /proxies/a-b", proxy(enabled=state))
    wire.on("GET /proxies/a-b", proxy(enabled=not state))
    with pytest.raises(SandboxError, match="was to be"):
        getattr(Toxiproxy(API, ends=ENDS).link("a-b"), call)()
    assert wire.asked[0][2] == {"enabled": state}


@pytest.mark.parametrize("after", [proxy(enabled=False), proxy(toxics=[toxic()])])
def test_a_reset_that_left_something_is_an_error(wire: Wire, after: dict[str, Any]) -> None:
    """After a reset every link must be enabled and without toxics."""
    wire.on("POST /reset", Reply(204))
    wire.on("GET /proxies", {"a-b": after})
    with pytest.raises(SandboxError, match="not clean: a-b"):
        Toxiproxy(API).reset()


def test_a_reset_that_hangs_makes_all_proxies_anew(wire: Wire) -> None:
    """Each one enabled and without toxics."""
    wire.on("POST /reset", requests.ReadTimeout())
    wire.on("GET /proxies", {"a-b": proxy(enabled=False, toxics=[toxic()])}, {"a-b": proxy()})
    wire.on("DELETE /proxies/a-b", Reply(204))
    wire.on("POST /proxies", Reply(201, proxy()))
    Toxiproxy(API).reset()
    assert wire.asked[3][2]["enabled"] is True
    assert "POST /proxies/a-b/toxics" not in wire.calls


def test_a_populate_that_did_not_take_is_an_error(wire: Wire) -> None:
    """Each proxy must be there afterwards, with its upstream."""
    wire.on("POST /populate", Reply(201, {"proxies": None}))
    wire.on("GET /proxies", {"a-b": proxy(upstream="elsewhere:1")})
    with pytest.raises(SandboxError, match="did not make the proxy 'a-b'"):
        Toxiproxy(API).populate([proxy()])


# -- bytes -----------------------------------------------------------------------------------------------------------

PAGE = """# TYPE toxiproxy_proxy_received_bytes_total counter
toxiproxy_proxy_received_bytes_total{direction="upstream",listener="l",proxy="a-b",upstream="u"} 999
# TYPE toxiproxy_proxy_sent_bytes_total counter
toxiproxy_proxy_sent_bytes_total{direction="downstream",listener="l",proxy="a-b",upstream="u"} 1.5e+06
toxiproxy_proxy_sent_bytes_total{direction="upstream",listener="l",proxy="a-b",upstream="u"} 20
toxiproxy_proxy_sent_bytes_total{direction="upstream",listener="before",proxy="a-b",upstream="u"} 3
toxiproxy_proxy_sent_bytes_total{direction="upstream",listener="l",proxy="a-bc",upstream="proxy=\\"a-b\\""} 7777
"""


def test_bytes_of_both_directions_are_summed(wire: Wire) -> None:
    """Bytes sent on, both ways, at every address that the link has had; other links do not count."""
    wire.on("GET /metrics", Reply(200, PAGE.encode()))
    assert Toxiproxy(API, ends=ENDS).link("a-b").bytes_passed() == 1_500_023


def test_a_link_without_traffic_has_passed_nothing(wire: Wire) -> None:
    """No figure is 0 for a link that is there, and an error for one that is not."""
    wire.on("GET /metrics", Reply(200, b""))
    wire.on("GET /proxies/a-b", proxy())
    link = Toxiproxy(API, ends=ENDS).link("a-b")
    assert link.bytes_passed() == 0
    del wire.rules["GET /proxies/a-b"]
    with pytest.raises(SandboxError, match="proxy not found"):
        link.bytes_passed()


def test_without_metrics_bytes_are_an_error(wire: Wire) -> None:
    """A server without -proxy-metrics is not one that has passed nothing."""
    with pytest.raises(SandboxError, match="metrics") as raised:
        Toxiproxy(API, ends=ENDS).link("a-b").bytes_passed()
    assert "-proxy-metrics" in raised.value.hint
