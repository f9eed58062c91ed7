"""Keep asking: keep requests of one kind open at a server until SIGTERM, or for `at_most` seconds.

The order, JSON in the environment: {"host", "port", "tls", "method", "path", "headers", "body", "at_once", "at_most"}.
`{number}` in the body is another one in each request. What came of them is said on standard output every few seconds.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import ssl
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

PATIENCE = 300.0  # seconds for one answer
# Seconds between two first requests: of connections that come all at once, one worker of several may take them all.
APART = 0.05
PAUSE = 0.5  # seconds after a request that was turned away: only work that is taken is worth sending again at once
LONGEST_PAUSE = 60.0  # however long a Retry-After asks for
SAID_EVERY, NUMBERS = 2.0, itertools.count(1)  # seconds between two lines; what tells one body from another


def main() -> int:
    """Ask until it is time; returns the exit status."""
    order = json.loads(os.environ["GAMEDAY_ORDER"])
    # Nothing is left to be done at the end: the threads end with the process, in whatever they wait for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    deadline = time.monotonic() + order["at_most"]
    threading.stack_size(256 * 1024)
    came: Counter[str] = Counter()
    for _ in range(order["at_once"]):
        threading.Thread(target=keep_asking, args=(order, came), daemon=True).start()
        time.sleep(APART)
    said = ""
    while time.monotonic() < deadline:
        time.sleep(SAID_EVERY)
        now = ", ".join(f"{count} x {what}" for what, count in sorted(came.items()))
        if now != said:
            sys.stdout.write(f"{now}\n")
            sys.stdout.flush()
            said = now
    return 0


def keep_asking(order: dict[str, Any], came: Counter[str]) -> None:
    """Ask again and again, over a connection that is kept while the answers are good; never returns."""
    while True:
        pause: float | None = None
        with closing(connection_to(order)) as connection:
            try:
                while pause is None:
                    pause = ask(connection, order, came)
            except (OSError, HTTPException) as problem:
                came[type(problem).__name__] += 1
        time.sleep(pause or PAUSE)


def ask(connection: HTTPConnection, order: dict[str, Any], came: Counter[str]) -> float | None:
    """Ask once; None where the work was taken, else how long (seconds) to wait, as the answer asks for: refusals that
    come back at once would be a flood of their own. Raises OSError, HTTPException."""
    body = order["body"].replace("{number}", str(next(NUMBERS)))
    connection.request(order["method"], order["path"], body.encode() or None, order["headers"])
    answer = connection.getresponse()
    while answer.read(65536):
        pass
    came[f"status {answer.status}"] += 1
    if 200 <= answer.status < 300:
        return None
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked), LONGEST_PAUSE) if asked.isascii() and asked.isdigit() else PAUSE


def connection_to(order: dict[str, Any]) -> HTTPConnection:
    if not order["tls"]:
        return HTTPConnection(order["host"], order["port"], timeout=PATIENCE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the sandbox's own certificates
    return HTTPSConnection(order["host"], order["port"], timeout=PATIENCE, context=context)


if __name__ == "__main__":
    sys.exit(main())
