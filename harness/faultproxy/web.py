"""Web: as much of an HTTP/1.1 server as an API for a few clients needs."""

from __future__ import annotations

import asyncio
import http
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import unquote, urlsplit

_IDLE = 60.0  # seconds that a client may keep its connection without asking
_READ = 15.0  # seconds that a request may take to arrive
_LARGEST_BODY = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Request:
    """`path` has no query, and its parts are decoded: `("proxies", "a b")`. Header names are lower case."""

    method: str
    path: tuple[str, ...]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with its body as bytes."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


class MalformedRequestError(Exception):
    """What came is no HTTP request that we read."""


async def serve(handler: Handler, host: str, port: int) -> asyncio.Server:
    """Answer requests at `host`:`port` with `handler`, until the server is closed. Raises OSError."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _converse(handler, reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client went, or sleeps
        except (MalformedRequestError, asyncio.LimitOverrunError, ValueError):
            writer.write(_encoded(Response(400, b"400 Bad Request", "text/plain; charset=utf-8"), keep=False))
        except asyncio.CancelledError:
            pass  # the server ends; asyncio 3.11 would report a cancelled client as an error of ours
        finally:
            writer.close()

    return await asyncio.start_server(client, host, port)


async def _converse(handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    keep = True
    while keep:
        async with asyncio.timeout(_IDLE):
            head = await reader.readuntil(b"\r\n\r\n")
        method, target, headers = _parsed(head)
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async with asyncio.timeout(_READ):
            body = await _body(reader, headers)
        path = tuple(unquote(part) for part in urlsplit(target).path.split("/")[1:])
        response = await handler(Request(method, path, headers, body))
        keep = headers.get("connection", "").lower() != "close"
        writer.write(_encoded(response, keep=keep))
        await writer.drain()


def _parsed(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    words = first.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise MalformedRequestError(first)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if words[2] == "HTTP/1.0":
        headers["connection"] = "close"
    return words[0], words[1], headers


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunked_body(reader)
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _LARGEST_BODY:
        raise MalformedRequestError(f"a body of {length} bytes")
    return await reader.readexactly(length)


async def _chunked_body(reader: asyncio.StreamReader) -> bytes:
    """https://www.rfc-editor.org/rfc/rfc9112#section-7.1"""
    body = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        if len(body) + size > _LARGEST_BODY:
            raise MalformedRequestError("the body is too large")
        body += await reader.readexactly(size)
        await reader.readline()
    while (await reader.readline()).strip():
        pass  # trailers
    return bytes(body)


def _encoded(response: Response, *, keep: bool) -> bytes:
    status = http.HTTPStatus(response.status)
    headers = {"Date": formatdate(usegmt=True), **response.headers}
    if response.content_type:
        headers["Content-Type"] = response.content_type
    if response.status != http.HTTPStatus.NO_CONTENT:
        headers["Content-Length"] = str(len(response.body))
    if not keep:
        headers["Connection"] = "close"
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + response.body
