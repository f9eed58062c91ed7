"""Probe: ask an address one harmless question and say how it answered, independently of any proxy's own word."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from harness.model.units import say_duration
from harness.sandbox.base import Address

Reply = Literal["answered", "turned away", "refused", "reset", "closed", "silent", "unreachable"]

QUESTIONS = {
    "http": b"GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n",
    "redis": b"PING\r\n",
}
# What a server says that takes a connection only to say that it has too many (Redis at `maxclients`).
TURNED_AWAY = b"-ERR max number of clients"


@dataclass(frozen=True, slots=True)
class Answer:
    """How an address answered, after how many seconds, and the system's own words where it did not."""

    reply: Reply
    seconds: float
    words: str = ""

    def __str__(self) -> str:
        if self.reply == "silent":
            return f"no answer within {say_duration(self.seconds)}"
        return f"{self.reply} after {say_duration(self.seconds)}"


def ask(address: Address, *, patience: timedelta) -> Answer:
    """Connect to `address`, ask in its own protocol, and wait for the first byte of an answer.

    With TLS the handshake is the question: it takes one round trip (RFC 8446, section 2) and no credentials. A
    protocol that we can't speak (`tcp`) counts as answered once it has accepted and kept the connection open.
    """
    began = time.monotonic()
    try:
        with socket.create_connection((address.host, address.port), timeout=patience.total_seconds()) as connection:
            reply = _converse(connection, address.scheme)
        words = ""
    except (TimeoutError, OSError) as problem:
        reply, words = _classify(problem), str(problem)
    return Answer(reply, time.monotonic() - began, words)


def _converse(connection: socket.socket, scheme: str) -> Reply:
    if scheme == "https":
        with unverified().wrap_socket(connection):
            return "answered"
    question = QUESTIONS.get(scheme)
    if question is None:
        return _still_open(connection)
    connection.sendall(question)
    first = connection.recv(len(TURNED_AWAY))
    return "turned away" if first == TURNED_AWAY else "answered" if first else "closed"


def unverified() -> ssl.SSLContext:
    """TLS for one who asks whether and when somebody answers, and not who: a sandbox signs its own certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one reads all of the system's certificates
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _still_open(connection: socket.socket) -> Reply:
    connection.settimeout(0.2)
    try:
        return "answered" if connection.recv(1) else "closed"
    except TimeoutError:
        return "answered"


def _classify(problem: OSError) -> Reply:
    if isinstance(problem, TimeoutError):
        return "silent"
    if isinstance(problem, ConnectionRefusedError):
        return "refused"
    if isinstance(problem, ConnectionResetError | BrokenPipeError):
        return "reset"
    if isinstance(problem, ssl.SSLError):  # also SSLEOFError: the peer went away in the handshake
        return "closed"
    return "unreachable"
