"""Upstream outage on real proxies: each way takes hold as intended, is seen by its receipt, and is gone once healed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from harness.faults import UpstreamOutage
from harness.model.units import seconds
from harness.sandbox.base import Address
from harness.sandbox.toxiproxy import FarEnd, ProxiedLink, Toxiproxy
from tests.sandbox.test_toxiproxy_contract import Server, server

__all__ = ["server"]  # the fixture: the real server, then the built-in one

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
WAYS = ("down", "timeout", "reset", "slow")


class Answer(BaseHTTPRequestHandler):
    """Answers everything at once."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


class Sandbox:
    """Two links to one upstream, on one fault proxy."""

    def __init__(self, links: Sequence[ProxiedLink]) -> None:
        self._links = links

    def links(self) -> Sequence[ProxiedLink]:
        return self._links

    def links_to(self, upstream: str) -> Sequence[ProxiedLink]:
        return [link for link in self._links if link.upstream_service == upstream]


@pytest.fixture
def sandbox(server: Server) -> Iterator[Sandbox]:
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=upstream.serve_forever)
    thread.start()
    names = ("app-model", "batch-model")
    far = FarEnd("model", upstream.server_port, "http")
    proxy = Toxiproxy(server.api, ends=dict.fromkeys(names, far))
    there = f"127.0.0.1:{upstream.server_port}"
    proxy.populate([{"name": name, "listen": "127.0.0.1:0", "upstream": there, "enabled": True} for name in names])
    yield Sandbox(proxy.links())
    Toxiproxy(server.api).reset()
    upstream.shutdown()
    upstream.server_close()
    thread.join()


@pytest.mark.parametrize("how", WAYS)
def test_each_way_takes_hold_and_goes(sandbox: Sandbox, how: Any) -> None:
    """Whole before, in force in its intended size once injected, whole again once healed, twice."""
    fault = UpstreamOutage("model", how=how, delay=seconds(1))
    assert fault.receipt(sandbox, 0.0).in_force is False
    fault.inject(sandbox)
    during = fault.receipt(sandbox, 0.0)
    assert during.in_force is True, during
    fault.heal(sandbox)
    fault.heal(sandbox)
    after = fault.receipt(sandbox, 0.0)
    assert after.in_force is False, after


@pytest.mark.parametrize("how", WAYS)
def test_a_fault_taken_out_by_somebody_is_seen(sandbox: Sandbox, how: Any) -> None:
    """Where one link is made whole behind our back, the receipt no longer says that the fault is in force."""
    fault = UpstreamOutage("model", how=how, delay=seconds(1))
    fault.inject(sandbox)
    first = sandbox.links()[0]
    for toxic in first.status().toxics:
        first.remove_toxic(str(toxic["name"]))
    first.enable()
    assert fault.receipt(sandbox, 0.0).in_force is False
    fault.heal(sandbox)


def test_traffic_is_counted_once_it_is_cut(sandbox: Sandbox) -> None:
    """What passed on a connection that is still open is in the count after `flush`, on either proxy."""
    fault = UpstreamOutage("model")
    before = fault.traffic(sandbox)
    address: Address = sandbox.links()[0].address
    with socket.create_connection((address.host, address.port), timeout=5) as kept:
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(100)
        fault.flush(sandbox)
        after = fault.traffic(sandbox)
    assert before is not None
    assert after is not None
    assert after > before
