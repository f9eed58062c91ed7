"""How the effect of a step is read on the sandbox."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from harness.errors import EvidenceMissing
from harness.runbook.effect import CommandAnswer, Effect, JsonAnswer, Metric, PromQuery, RedisAnswer, Source, Start
from harness.runbook.probe import SandboxProbe, last_object, sample_of, value_at
from harness.sandbox.base import Address
from harness.testing import FakeService, FakeServices
from tests.runbook.terminal import LocalSandbox

PAGE = """\
# HELP forced Whether.
# TYPE forced gauge
forced{upstream="a",note="x\\"y}, z"} 1.0
forced{upstream="b"} 0.0 1700000000000
total{model="m"} 2
total{model="n"} 3.5
plain 7
odd NaN
forced_more{upstream="a"} 9
"""


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("forced", {"upstream": "a"}, "1.0"),
        ("forced", {"upstream": "a", "note": 'x"y}, z'}, "1.0"),
        ("forced", {"upstream": "b"}, "0.0"),
        ("forced", {"upstream": "c"}, "absent"),
        ("forced", {"nolabel": "a"}, "absent"),
        ("total", {}, "5.5"),
        ("plain", {}, "7"),
        ("odd", {}, "NaN"),
        ("missing", {}, "absent"),
    ],
)
def test_samples_are_read_by_name_and_labels(name: str, labels: Mapping[str, str], value: str) -> None:
    """A metric is the sum of the series that fit; none that fits is told apart from a zero."""
    assert sample_of(PAGE, Metric("s", 1, name, tuple(labels.items()))) == value


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/a", "open"),
        ("/b/1/c", "true"),
        ("/x~1y/~0z", "1.5"),
        ("/n", "null"),
        ("/b/7", "absent"),
        ("/a/b", "absent"),
        ("/b/0", "{}"),
    ],
)
def test_pointers_lead_into_json(pointer: str, value: str) -> None:
    """A JSON pointer is followed as RFC 6901 says; a place that is not there is absent."""
    assert value_at('{"a": "open", "b": [{}, {"c": true}], "x/y": {"~z": 1.5}, "n": null}', pointer) == value


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        ('  % Total\r100 {"ok": true}\r100 9', '{"ok": true}'),
        ('{"ok": false} {"ok": {"a": 1}}', '{"ok": {"a": 1}}'),
        ("{ not json", None),
        ("", None),
    ],
)
def test_the_last_object_is_found_among_what_was_printed(printed: str, found: str | None) -> None:
    """A JSON answer is found between curl's own words."""
    assert last_object(printed) == found


@pytest.mark.parametrize(
    ("becomes", "before", "now", "holds"),
    [
        ("== 1", "0", "1.0", True),
        ("== 1", "0", "0", False),
        ("!= 1", "1", "2", True),
        (">= 2", None, "2", True),
        ("> 2", None, "2", False),
        ("< 2", None, "1e0", True),
        ("<= 2", None, "2.1", False),
        ("== open", None, "open", True),
        ("== 'open'", None, "open", True),
        ("!= open", None, "closed", True),
        ("!= open", None, "absent", False),
        ("== true", None, "true", True),
        ("== 1", None, "NaN", False),
        ("!= 1", None, "NaN", False),
        ("> 1", None, "many", False),
        ("increased", "1", "2", True),
        ("increased", "2", "2", False),
        ("increased", "absent", "1", True),
        ("increased", None, "1", False),
        ("increased", "1", "absent", False),
    ],
)
def test_comparisons(becomes: str, before: str | None, now: str, holds: bool) -> None:
    """Numbers are compared as numbers, words as words; what is not there never meets a claim."""
    effect = Effect(source=PromQuery("x"), becomes=becomes, within=timedelta(0))
    assert (effect.problem(), effect.holds(before, now)) == ("", holds)


@contextmanager
def serving(pages: Mapping[str, tuple[int, str]]) -> Iterator[Address]:
    """A server that answers each path with its status and body."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = pages[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server has
            pass

    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Address("127.0.0.1", server.server_port, "http")
        finally:
            server.shutdown()
            thread.join()


def result(*values: object) -> tuple[int, str]:
    vector = [{"metric": {}, "value": [1, value]} for value in values]
    return 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": vector}})


def test_each_kind_of_source_is_read() -> None:
    """A metric from the service's own page, a value or the status of an answer, a value from Prometheus."""
    pages = {
        "/metrics": (200, PAGE),
        "/x": (503, '{"state": "open"}'),
        "/api/v1/query?query=up%7Ba%3D%22b%22%7D": result("1"),
        "/api/v1/query?query=none": result(),
        "/api/v1/query?query=1": (200, '{"status": "success", "data": {"resultType": "scalar", "result": [1, "5"]}}'),
    }
    with serving(pages) as address:
        probe = SandboxProbe(LocalSandbox({("app", 80): address}), prometheus=address)
        sources: list[Source] = [
            Metric("app", 80, "plain"), JsonAnswer("app", 80, "/x", "/state"), JsonAnswer("app", 80, "/x"),
            PromQuery('up{a="b"}'), PromQuery("none"), PromQuery("1"),
        ]  # fmt: skip
        assert [probe.read(source) for source in sources] == ["7", "open", "503", "1", "absent", "5"]


def test_what_can_not_be_read_is_missing_evidence() -> None:
    """A server that is gone, an answer that is no JSON, two values, an unknown service: none of it is a reading."""
    pages = {
        "/x": (200, "<html>"),
        "/metrics": (503, "plain 7"),
        "/api/v1/query?query=two": result("1", "2"),
        "/api/v1/query?query=odd": (200, "[]"),
        "/api/v1/query?query=bad": (400, '{"status": "error", "error": "parse error"}'),
    }
    with serving(pages) as address:
        sandbox = LocalSandbox({("app", 80): address, ("gone", 80): Address("127.0.0.1", 1, "http")})
        probe = SandboxProbe(sandbox, prometheus=address)
        sources: list[Source] = [
            JsonAnswer("app", 80, "/x", "/a"), Metric("app", 80, "plain"), Metric("gone", 80, "m"),
            Metric("unknown", 80, "m"), PromQuery("two"), PromQuery("bad"), PromQuery("odd"), CommandAnswer("/ok"),
        ]  # fmt: skip
        for source in sources:
            with pytest.raises(EvidenceMissing):
                probe.read(source)
    with pytest.raises(EvidenceMissing, match="no Prometheus"):
        SandboxProbe(LocalSandbox()).read(PromQuery("up"))


@pytest.mark.parametrize(
    ("replies", "value"),
    [
        (["OK", "17"], "17"),
        (["OK", "maxmemory\n536870912"], "536870912"),
        (["OK", ""], None),
        (["OK", "ERR unknown command 'DBSIZ'"], None),
        (["ERR DB index is out of range", "0"], None),  # that is another database's number
        (OSError("refused"), None),
        (ValueError("no RESP"), None),
    ],
)
def test_a_redis_is_asked_in_its_own_database(
    replies: list[str] | Exception, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line of the answer counts; an error, of the choice of the database too, is no reading."""
    asked = []

    def talk(address: Address, commands: Sequence[Sequence[str]]) -> list[str]:
        asked.append((address.port, commands))
        if isinstance(replies, Exception):
            raise replies
        return replies

    monkeypatch.setattr("harness.runbook.probe.talk", talk)
    probe = SandboxProbe(LocalSandbox({("r", 6379): Address("127.0.0.1", 7, "redis")}))
    source = RedisAnswer("r", 6379, 1, "CONFIG GET maxmemory")
    if value is None:
        with pytest.raises(EvidenceMissing, match="CONFIG GET maxmemory of r, database 1"):
            probe.read(source)
    else:
        assert probe.read(source) == value
    assert asked == [(7, [["SELECT", "1"], ["CONFIG", "GET", "maxmemory"]])]


def test_a_start_is_counted_while_the_service_is_up() -> None:
    """The sandbox's own count says which start is up; a service that is down has none, so that its restart shows."""
    sandbox = FakeServices({"app": FakeService()})
    probe = SandboxProbe(sandbox)
    first = probe.read(Start("app"))
    assert int(first) > 0
    sandbox.kill("app", signal.SIGKILL, stay_down=True)
    assert probe.read(Start("app")) == "0"
    sandbox.restart("app")
    assert int(probe.read(Start("app"))) > int(first)
    with pytest.raises(EvidenceMissing, match="no service other"):
        probe.read(Start("other"))
