"""Fake servers: Prometheus, Alertmanager and the receiver, scripted, as far as the watch asks them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CONFIG = "global: {scrape_interval: 250ms, evaluation_interval: 250ms}\nscrape_configs: [{job_name: a}]\n"


def instant(seconds: float) -> str:
    """An instant as Go writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def alerting(
    name: str, *, state: str = "", evaluated: float = 1.0, health: str = "ok", **labels: str
) -> dict[str, Any]:
    """An alerting rule as /api/v1/rules tells it, with one alert if `state` is not empty."""
    alert = {"labels": {"alertname": name, **labels}, "state": state, "activeAt": instant(1.0)}
    return {
        "type": "alerting",
        "name": name,
        "query": f"{name.lower()}_metric > 1",
        "duration": 2,
        "labels": labels,
        "health": health,
        "lastError": "no" if health == "err" else "",
        "lastEvaluation": instant(evaluated),
        "alerts": [alert] if state else [],
    }


def target(health: str = "up", *, job: str = "a", instance: str = "i") -> dict[str, Any]:
    """A target as /api/v1/targets tells it."""
    return {"labels": {"job": job, "instance": instance}, "health": health}


@dataclass
class Script:
    """What the servers answer; a test changes it as its story goes. `down` names those that do not answer."""

    url: str = ""
    rules: list[dict[str, Any]] = field(default_factory=list)
    prometheus_started: float = 100.0
    alertmanager_started: float = 100.0
    receiver: dict[str, Any] = field(
        default_factory=lambda: {"started": 1.0, "next": 0, "rejected": 0, "lost": 0, "notifications": []}
    )
    queries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    targets: list[dict[str, Any]] = field(default_factory=lambda: [target()])

    def answer(self, path: str, query: Mapping[str, list[str]]) -> Any:
        """The JSON for one request, or None for a 503."""
        server = {"/api/v2/status": "alertmanager", "/notifications": "receiver"}.get(path, "prometheus")
        if server in self.down:
            return None
        if path == "/api/v1/query":
            asked = query["query"][0]
            self.asked.append(asked)
            found = next((series for start, series in self.queries.items() if asked.startswith(start)), [])
            return {"status": "success", "data": {"result": found}}
        if path == "/notifications":
            since = int(query["since"][0])
            kept = [one for one in self.receiver["notifications"] if one["seq"] >= since]
            return {**self.receiver, "notifications": kept}
        groups = [{"name": "g", "interval": 0.25, "rules": self.rules}]
        answers: dict[str, Any] = {
            "/api/v1/rules": {"status": "success", "data": {"groups": groups}},
            "/api/v1/targets": {"status": "success", "data": {"activeTargets": self.targets}},
            "/api/v1/status/config": {"status": "success", "data": {"yaml": CONFIG}},
            "/api/v1/status/runtimeinfo": {
                "status": "success",
                "data": {"startTime": instant(self.prometheus_started)},
            },
            "/api/v2/status": {"uptime": instant(self.alertmanager_started)},
        }
        return answers[path]


@contextmanager
def serving() -> Iterator[Script]:
    """Serve a script until the block ends."""
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            answer = script.answer(url.path, parse_qs(url.query))
            body = json.dumps(answer).encode()
            self.send_response(503 if answer is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's signature
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
