"""Upstream misbehaves: what the stub says of itself counts only where a caller meets it too."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, get_args

import pytest

from harness.errors import HealFailed, InjectFailed, SandboxError
from harness.faults import HttpProbe, UpstreamMisbehaves
from harness.model.units import seconds
from harness.probes.misbehaviour import Way
from harness.probes.reply import Reply
from harness.probes.stub import Stub
from harness.sandbox.base import Address
from tests.faults.busy_host import APP, HEALTHY, PROBE, BusyHost, busy

__all__ = ["busy"]

LIMITED = Reply(ending="whole", seconds=0.05, status=429, retry_after="5", body=b"{}", media_type="application/json")


def fault(how: Any, **settings: Any) -> UpstreamMisbehaves:
    return UpstreamMisbehaves(APP, how, PROBE, **settings)


@pytest.mark.parametrize(
    ("how", "reply", "met"),
    [
        ("rate-limited", LIMITED, True),
        ("rate-limited", replace(LIMITED, retry_after="7"), False),  # another size than intended
        ("rate-limited", replace(LIMITED, retry_after=""), False),
        ("server-error", replace(LIMITED, status=500), True),
        ("server-error", replace(LIMITED, status=503), False),
        ("overloaded", replace(LIMITED, status=503), True),
        ("overloaded", replace(LIMITED, status=529), True),
        ("overloaded", replace(LIMITED, status=500), False),
        ("slow-first-token", replace(HEALTHY, seconds=3.1), True),
        ("slow-first-token", replace(HEALTHY, seconds=2.0), False),
        ("slow-first-token", replace(HEALTHY, seconds=9.0), False),
        ("slow-first-token", replace(LIMITED, seconds=3.1), False),
        ("stall", replace(HEALTHY, ending="silent"), True),
        ("stall", Reply(ending="none", seconds=1.0), False),  # a black hole is another fault
        ("cut", replace(HEALTHY, ending="cut"), True),
        ("cut", Reply(ending="none", seconds=0.1), False),
        ("malformed", replace(HEALTHY, body=b'{"content": "onc'), True),
        ("malformed", replace(HEALTHY, body=b'{"choices": "[]"}'), True),  # JSON of another shape
        ("malformed", replace(HEALTHY, media_type="text/html", body=b"<html>"), True),
        ("malformed", replace(HEALTHY, ending="cut"), False),
        *[(how, HEALTHY, False) for how in get_args(Way)],
    ],
)
def test_each_way_is_told_from_the_others(busy: BusyHost, how: Any, reply: Reply, met: bool) -> None:
    """With the stub told, a caller must meet this way, in its size; where it meets something else nobody can tell."""
    misbehaving = fault(how)
    misbehaving.inject(busy)
    busy.reply = reply
    receipt = misbehaving.receipt(busy, 0.0)
    assert receipt.in_force is (True if met else None), receipt
    assert str(reply) in receipt.measured


def test_a_stub_that_says_otherwise_is_not_believed(busy: BusyHost) -> None:
    """A caller that meets a 429 while the stub calls itself normal has met something else."""
    busy.reply = LIMITED
    assert fault("rate-limited").receipt(busy, 0.0).in_force is None


@pytest.mark.parametrize("change", [{"share": 0.5}, {"retry_after": 9}, {"delay_ms": 1}, {"how": "cut"}])
def test_a_stub_that_was_told_something_else_is_seen(busy: BusyHost, change: dict[str, Any]) -> None:
    """Another order than ours, given behind our back, is not our fault in force."""
    stalling = fault("stall")
    stalling.inject(busy)
    assert stalling.receipt(busy, 0.0).in_force is True
    busy.told |= change
    assert stalling.receipt(busy, 0.0).in_force is None


def test_a_share_is_looked_for_until_it_is_met(busy: BusyHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one in four answers bad, a good one says nothing; only a long row of them does."""
    some = fault("rate-limited", share=0.25)
    some.inject(busy)
    asked: list[int] = []

    def answer(probe: HttpProbe, address: Address, patience: Any) -> Reply:
        asked.append(1)
        return LIMITED if len(asked) == bad else HEALTHY

    monkeypatch.setattr(HttpProbe, "ask", answer)
    bad = 4
    assert some.receipt(busy, 0.0).in_force is True
    assert len(asked) == 4
    asked.clear()
    bad = 0
    assert some.receipt(busy, 0.0).in_force is None
    assert len(asked) == 41  # (3/4)^41 is one in 100 000


def test_a_stub_that_is_gone_needs_no_healing(busy: BusyHost) -> None:
    """It misbehaves in memory: one that was started again does not. Whether it is well, the receipt can't tell."""
    stalling = fault("stall")
    stalling.inject(busy)
    busy.gone = True
    stalling.heal(busy)
    assert stalling.receipt(busy, 0.0).in_force is None


def test_a_stub_that_is_silent_is_not_healed(busy: BusyHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen one would misbehave again as soon as it thaws."""

    def silent(*_: Any) -> Any:
        raise SandboxError("the stub does not answer: timed out")

    monkeypatch.setattr(Stub, "_call", silent)
    with pytest.raises(HealFailed, match="could not be told"):
        fault("stall").heal(busy)


def test_a_stub_that_does_something_else_fails_the_injection(busy: BusyHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it answers to the order is compared with it."""
    monkeypatch.setattr(Stub, "_call", lambda *_: {"how": "normal", "served": 0})
    with pytest.raises(InjectFailed, match="something else"):
        fault("cut").inject(busy)


def test_its_traffic_is_all_that_the_stub_has_answered(busy: BusyHost) -> None:
    """Before the fault too: a stub that nobody calls shows as unused. One that does not count has none."""
    first = fault("cut").traffic(busy)
    again = fault("cut").traffic(busy)
    assert first is not None
    assert again is not None
    assert again > first
    busy.told["answered"] = "many"
    busy.call = lambda *_: {"how": "normal"}  # type: ignore[method-assign]  # a stub of another make
    assert fault("cut").traffic(busy) is None


def test_what_can_not_work_is_all_said(busy: BusyHost) -> None:
    """Every setting that is wrong, at once."""
    wrong = UpstreamMisbehaves(
        APP,
        "explode",  # type: ignore[arg-type]  # that is the test
        HttpProbe(path="/"),
        share=0,
        retry_after=seconds(0),
        delay=seconds(0),
    )
    assert len(wrong.problems(busy)) == 4
    assert "says" in UpstreamMisbehaves(APP, "malformed", HttpProbe(path="/")).problems(busy)[0]
    assert "no service 'modle'" in UpstreamMisbehaves("modle", "cut", PROBE).problems(busy)[0]
    busy.app.addresses = {}
    assert "no service with one port" in fault("cut").problems(busy)[0]


# -- the probe itself, on a socket -----------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def answering(*pieces: bytes, stay: bool = False) -> Iterator[Address]:
    """A server that answers its one caller with `pieces`, then closes, or stays silent."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                for piece in pieces:
                    connection.sendall(piece)
                if stay:
                    over.wait(5)
                # A close over bytes that were not read resets the connection, and what was sent may be lost with it:
                # the body of the request comes in a packet of its own.
                connection.settimeout(5)
                connection.shutdown(socket.SHUT_WR)
                with suppress(OSError):
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield Address("127.0.0.1", listener.getsockname()[1], "http")
        over.set()
        thread.join(5)


WHOLE = HEAD + b"Content-Length: 15\r\n\r\n" + b'{"content": 17}'


@pytest.mark.parametrize(
    ("serve", "ending", "well"),
    [
        (lambda: answering(WHOLE), "whole", True),
        (lambda: answering(HEAD + b'Content-Length: 9\r\n\r\n{"co": 1}'), "whole", False),  # not what it says
        (lambda: answering(WHOLE[:-5]), "cut", False),
        (lambda: answering(WHOLE[:-5], stay=True), "silent", False),
        (lambda: answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"), "cut", False),
        (lambda: answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", stay=True), "silent", False),
        (lambda: answering(HEAD + b"Connection: close\r\n\r\n" + b'{"content": 17}'), "whole", True),
        (lambda: answering(), "none", False),
        (lambda: answering(stay=True), "none", False),
        (lambda: answering(b"HTTP/1.1 200 OK\r\nContent-Le", stay=True), "none", False),
        (lambda: answering(b"what?\r\n\r\n"), "none", False),
    ],
)
def test_the_probe_sees_how_an_answer_ends(serve: Callable[[], Any], ending: str, well: bool) -> None:
    """Whole, cut short, silent in the middle, or none at all, with and without an announced length."""
    with serve() as address:
        reply = PROBE.ask(address, patience=seconds(0.3 if ending in ("silent", "none") else 5))
    assert reply.ending == ending, reply
    assert PROBE.finds_well(reply) is well


def test_a_closed_port_is_no_answer() -> None:
    """The probe does not raise where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert PROBE.ask(Address("127.0.0.1", port, "https"), patience=seconds(0.2)).ending == "none"


@pytest.mark.parametrize(
    ("media_type", "body", "well"),
    [
        ("application/json", b"{}", True),
        ("application/json", b"[]", False),
        ("application/json", b'{"cut', False),
        ("text/event-stream", b'event: x\ndata: {"a": 1}\n\ndata: [DONE]\n\n', True),
        ("text/event-stream", b'data: {"a": 1}\n\ndata: {"cu\n\n', False),
        ("text/event-stream", b"", False),
        ("text/html", b"<html>", False),
    ],
)
def test_a_body_is_what_its_type_says(media_type: str, body: bytes, well: bool) -> None:
    """JSON, or events of JSON, and nothing that breaks off."""
    assert Reply(ending="whole", seconds=0, status=200, media_type=media_type, body=body).well_formed is well
