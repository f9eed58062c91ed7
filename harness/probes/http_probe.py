"""HTTP probe: a real request of a scenario's own, and what a healthy answer to it is."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from harness.probes.probe import unverified
from harness.probes.reply import Ending, Reply
from harness.sandbox.base import Address

_LARGEST = 4 << 20  # bytes of one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """One request as the system under test sends it. `says` is a regular expression that is found in the body of a
    healthy answer, which has `expect_status`."""

    path: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    expect_status: int = 200
    says: str = ""

    def ask(self, address: Address, *, patience: timedelta) -> Reply:
        """Send it and read all of the answer; a silence of `patience` ends the wait. Never raises."""
        began, head, body = time.monotonic(), None, b""
        ending: Ending = "none"
        with ExitStack() as opened:
            connection = opened.enter_context(closing(connect(address, patience)))
            try:
                connection.request(self.method, self.path, self.body.encode() or None, dict(self.headers))
                head = opened.enter_context(connection.getresponse())
                while len(body) < _LARGEST and (piece := head.read1(65536)):
                    body += piece
                # Of a body that ends before its announced length `read1` says nothing.
                ending = "cut" if head.length else "whole"
            except TimeoutError:
                ending = "silent" if head else "none"
            except (OSError, HTTPException):
                ending = "cut" if head else "none"
        return Reply(
            ending=ending,
            seconds=time.monotonic() - began,
            status=head.status if head else None,
            retry_after=head.getheader("Retry-After", "") if head else "",
            media_type=head.headers.get_content_type() if head else "",
            body=body,
        )

    def finds_well(self, reply: Reply) -> bool:
        """Whether `reply` is a healthy answer, however long it took."""
        whole = reply.ending == "whole" and reply.status == self.expect_status and reply.well_formed
        return whole and re.search(self.says, reply.body.decode("utf-8", "replace")) is not None


def connect(address: Address, patience: timedelta) -> HTTPConnection:
    """A connection to `address`; who answers over TLS is not asked: its certificate is the sandbox's own."""
    if address.scheme != "https":
        return HTTPConnection(address.host, address.port, timeout=patience.total_seconds())
    return HTTPSConnection(address.host, address.port, timeout=patience.total_seconds(), context=unverified())
