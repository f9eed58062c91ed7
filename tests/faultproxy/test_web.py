"""The small HTTP server, fed by hand."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from harness.faultproxy.api import Api
from harness.faultproxy.metrics import Metrics
from harness.faultproxy.proxies import Proxies
from harness.faultproxy.web import Handler, MalformedRequestError, Request, Response, _converse


class Paper:
    """A writer that keeps what is written."""

    def __init__(self) -> None:
        self.text = b""

    def write(self, data: bytes) -> None:
        self.text += data

    async def drain(self) -> None:
        pass


def conversation(sent: bytes, handler: Handler | None = None) -> tuple[list[Request], bytes]:
    """What the handler was asked, and what the client got, for the bytes that a client sent before it closed."""
    asked: list[Request] = []

    async def note(request: Request) -> Response:
        asked.append(request)
        return Response(200, b"fine", "text/plain") if handler is None else await handler(request)

    async def play() -> bytes:
        reader, paper = asyncio.StreamReader(), Paper()
        reader.feed_data(sent)
        reader.feed_eof()
        writer: Any = paper
        with suppress(asyncio.IncompleteReadError):  # the client closed
            await _converse(note, reader, writer)
        return paper.text

    return asked, asyncio.run(play())


def test_two_requests_on_one_connection() -> None:
    """A connection is kept; paths come decoded and in parts, without their query; header names in lower case."""
    asked, answer = conversation(
        b"GET /proxies/a%2Fb?x=1 HTTP/1.1\r\nUser-Agent: me\r\n\r\nPOST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi"
    )
    assert [(request.method, request.path, request.body) for request in asked] == [
        ("GET", ("proxies", "a/b"), b""),
        ("POST", ("",), b"hi"),
    ]
    assert asked[0].headers == {"user-agent": "me"}
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert answer.endswith(b"Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nfine")


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"])
def test_a_client_that_wants_no_more_gets_no_more(head: bytes) -> None:
    """After `Connection: close`, and with HTTP/1.0, the second request is not read."""
    asked, answer = conversation(head * 2)
    assert len(asked) == 1
    assert b"Connection: close\r\n" in answer


def test_a_chunked_body_is_put_together() -> None:
    """Chunks, their extensions and trailers are read as RFC 9112 says."""
    asked, _ = conversation(
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"
    )
    assert asked[0].body == b"abc0123456789"


def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    """`Expect: 100-continue` is answered before the body is read."""
    _, answer = conversation(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_request(sent: bytes) -> None:
    """It is refused, and the handler never hears of it."""
    with pytest.raises((MalformedRequestError, ValueError)):
        conversation(sent)


def test_an_error_of_our_own_is_a_500_in_json(caplog: pytest.LogCaptureFixture) -> None:
    """A call that breaks is answered as Toxiproxy answers an error without a status, and logged."""

    async def play() -> Response:
        proxies = Proxies(Metrics(), seed=1)
        proxies.described = None  # type: ignore[method-assign, assignment] # breaks it
        return await Api(proxies).handle(Request("GET", ("proxies",), {}))

    response = asyncio.run(play())
    assert response.status == 500
    assert b'"status":500' in response.body
    assert "failed" in caplog.text
