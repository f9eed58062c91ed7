"""RESP: asks a Redis something, in its own protocol."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from datetime import timedelta
from io import BufferedReader

from harness.errors import SandboxError
from harness.model.units import seconds
from harness.sandbox.base import Address

PATIENCE = seconds(2)  # for all of a conversation's steps, one by one


def converse(
    address: Address, commands: Iterable[Sequence[str]], *, patience: timedelta = PATIENCE
) -> list[tuple[bool, str]]:
    """Send `commands` one after the other; of each reply whether it is no error, and its text (of an array the items,
    one a line). RESP 2: https://redis.io/docs/latest/develop/reference/protocol-spec/. Raises SandboxError where the
    server can't be reached, or speaks another protocol."""
    limit = patience.total_seconds()
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=limit) as server,
            server.makefile("rb") as answers,
        ):
            replies = []
            for command in commands:
                words = [word.encode() for word in command]
                server.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
                replies.append(_reply(answers))
            return replies
    except (OSError, ValueError) as cause:
        raise SandboxError(f"{address.host}:{address.port} does not answer as a Redis: {cause}") from cause


def _reply(answers: BufferedReader) -> tuple[bool, str]:
    line = answers.readline()
    kind, rest = line[:1], line[1:].rstrip(b"\r\n").decode("utf-8", "replace")
    if kind in (b"+", b":", b"-"):
        return kind != b"-", rest
    if kind == b"$":
        return True, "" if int(rest) < 0 else answers.read(int(rest) + 2)[:-2].decode("utf-8", "replace")
    if kind == b"*":
        return True, "\n".join(_reply(answers)[1] for _ in range(max(0, int(rest))))
    raise ValueError(f"it said {line[:40]!r}")
