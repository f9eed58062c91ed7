"""Receiver: the place where Alertmanager delivers; it keeps each notification with the instant of its arrival.

    python -m harness.alerts.receiver --host 127.0.0.1 --port 9099

Standard library only, nothing of ours: it runs alone in a small container.

* `POST` on any path takes a notification in Alertmanager's webhook format, version 4
  (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config). Anything else is answered 400 and counted.
* `GET /notifications?since=N` answers `{"started", "next", "rejected", "lost", "notifications": [{"seq", "at", "path",
  "message"}]}`: the notifications numbered N and above. `at` and `started` are seconds since the epoch, `next` is the
  number that the next one will get. Memory is bounded: `lost` counts the notifications, oldest first, that had to go
  (plus those that Alertmanager itself cut off, its `truncatedAlerts`).
  Another `started` means that the receiver was restarted, and that what it knew before is gone.
* `GET /health` answers 200.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from collections import deque
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

LARGEST_MESSAGE = 1 << 20  # bytes; Alertmanager's own messages are a few kilobytes
MEMORY = 16 << 20  # bytes of messages kept
IDLE_SECONDS = 60.0  # an idle connection is closed after this


class MessageError(ValueError):
    """A request that is no notification; the message says why."""


def read_message(body: bytes) -> dict[str, Any]:
    """The notification in `body`. Raises MessageError for anything that is not Alertmanager's version 4."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise MessageError(f"not JSON: {problem}") from problem
    if not isinstance(message, dict) or message.get("version") != "4":
        raise MessageError('not a webhook message of version "4"')
    alerts = message.get("alerts")
    if not isinstance(alerts, list) or not all(_is_alert(alert) for alert in alerts):
        raise MessageError("`alerts` is not a list of alerts")
    return message


def _is_alert(alert: object) -> bool:
    if not isinstance(alert, dict) or alert.get("status") not in ("firing", "resolved"):
        return False
    labels = alert.get("labels")
    texts = [alert.get("startsAt"), alert.get("endsAt", ""), alert.get("fingerprint", "")]
    return (
        isinstance(labels, dict)
        and all(isinstance(value, str) for value in labels.values())
        and all(isinstance(text, str) for text in texts)
    )


class Inbox:
    """The notifications that arrived, oldest first, numbered from 0. Safe to use from several threads."""

    def __init__(self, memory: int = MEMORY) -> None:
        self.started = time.time()
        self._memory = memory
        self._lock = threading.Lock()
        self._kept: deque[tuple[int, dict[str, Any]]] = deque()
        self._bytes = 0
        self._next = 0
        self._rejected = 0
        self._lost = 0

    def take(self, path: str, body: bytes) -> None:
        """Keep the notification in `body`. Raises MessageError (and counts it) where it is none."""
        at = time.time()
        try:
            message = read_message(body)
        except MessageError:
            self.reject()
            raise
        with self._lock:
            self._kept.append((len(body), {"seq": self._next, "at": at, "path": path, "message": message}))
            self._bytes += len(body)
            self._next += 1
            truncated = message.get("truncatedAlerts", 0)
            self._lost += truncated if isinstance(truncated, int) else 0
            while self._bytes > self._memory:
                self._bytes -= self._kept.popleft()[0]
                self._lost += 1

    def reject(self) -> None:
        """Count a request that could not be taken."""
        with self._lock:
            self._rejected += 1

    def since(self, number: int) -> dict[str, Any]:
        """The notifications numbered `number` and above, as `GET /notifications` answers them."""
        with self._lock:
            return {
                "started": self.started,
                "next": self._next,
                "rejected": self._rejected,
                "lost": self._lost,
                "notifications": [kept for _, kept in self._kept if kept["seq"] >= number],
            }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ReceiverServer
    timeout = IDLE_SECONDS
    wbufsize = -1  # head and body in one packet: apart, the second waits 40 ms for the first one's acknowledgement

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/health":
            self._answer(200, {"status": "ok"})
        elif url.path == "/notifications":
            try:
                since = int(parse_qs(url.query).get("since", ["0"])[0])
            except ValueError:
                self._answer(400, {"error": "`since` is not a number"})
                return
            self._answer(200, self.server.inbox.since(since))
        else:
            self._answer(404, {"error": "there are /notifications and /health"})

    def do_POST(self) -> None:
        try:
            self.server.inbox.take(self.path, self._body())
        except MessageError as problem:
            self._answer(400, {"error": str(problem)})
        else:
            self._answer(200, {"status": "ok"})

    def _body(self) -> bytes:
        """The request's body. Without a usable length the rest of the connection can't be told apart: it is closed."""
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= LARGEST_MESSAGE:
            self.close_connection = True
            self.server.inbox.reject()
            raise MessageError(f"Content-Length must be between 0 and {LARGEST_MESSAGE}")
        return self.rfile.read(length)

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's signature
        """Say nothing: the reader polls several times a second."""


class ReceiverServer(ThreadingHTTPServer):
    """Serves one inbox. A connection that is still open does not keep the server from ending."""

    daemon_threads = True
    block_on_close = False
    inbox: Inbox

    def __init__(self, address: tuple[str, int], inbox: Inbox | None = None) -> None:
        super().__init__(address, _Handler)
        self.inbox = inbox or Inbox()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away in the middle is no news."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m harness.alerts.receiver", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9099)
    settings = parser.parse_args(arguments)
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    with ReceiverServer((settings.host, settings.port)) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="receiver")
        serving.start()
        ending.wait()
        server.shutdown()
        serving.join()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
