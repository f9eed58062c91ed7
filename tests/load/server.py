"""A web server of the tests' own: standard library, keep-alive, and paths that behave badly."""

from __future__ import annotations

import asyncio
import json
import sys

STATUS = {200: "OK", 302: "Found", 404: "Not Found", 503: "Service Unavailable"}


async def answer(path: str, writer: asyncio.StreamWriter) -> None:
    """Answer one request; the path says how."""
    status, body, headers = 200, {"path": path}, {}
    if path == "/503":
        status = 503
    elif path == "/wrong":
        body = {"path": "something else"}
    elif path == "/slow":
        await asyncio.sleep(1.0)
    elif path == "/hang":
        await asyncio.sleep(60)
    elif path == "/elsewhere":
        status, headers = 302, {"Location": "http://192.0.2.1:9/away"}  # an address reserved for documentation
    elif path == "/close":
        writer.close()
        return
    if path == "/trickle":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await asyncio.sleep(0.1)
        return
    data = json.dumps(body).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(
        f"HTTP/1.1 {status} {STATUS[status]}\r\nContent-Type: application/json\r\n{head}"
        f"Content-Length: {len(data)}\r\n\r\n".encode()
        + data
    )


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, as many requests as it likes."""
    try:
        while not writer.is_closing():
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next(
                (
                    int(line.partition(":")[2])
                    for line in head.split("\r\n")
                    if line.lower().startswith("content-length:")
                ),
                0,
            )
            await reader.readexactly(length)
            await answer(head.split(" ")[1], writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(port: int) -> None:
    async with await asyncio.start_server(serve, "127.0.0.1", port, backlog=1000):
        await asyncio.sleep(120)  # nothing of a test's own lives longer


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
