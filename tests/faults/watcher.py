"""Watcher: a sandbox whose Prometheus reads its configuration when it is told to, for faults on what it scrapes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import httpx
import pytest
import yaml

from harness.errors import SandboxError
from harness.probes import scrapes
from harness.testing import FakeSandbox

CONFIG = """\
# a comment
global: {scrape_interval: 250ms}
scrape_configs:
  - job_name: shop
    static_configs: [{targets: ["127.0.0.1:81", "127.0.0.1:82"]}]
  - job_name: till
    static_configs: [{targets: ["127.0.0.1:83"]}]
"""


class Watcher(FakeSandbox):
    """Its one service is Prometheus. A target whose proxy is not there is down; `late` looks find none asked yet."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.file = Path(self._folder.name) / "prometheus.yml"
        self.file.write_text(CONFIG)
        self.dead = False
        self.late = 0
        self._loaded = CONFIG

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._folder.cleanup()

    def path(self, service: str, inside: str) -> Path:
        return self.file

    def asked(self, url: str, method: str, path: str) -> httpx.Response:
        if self.dead:
            raise SandboxError(f"{url}: {path}: connection refused")
        if (method, path) == ("POST", "/-/reload"):
            self._loaded = self.file.read_text()
        active = [target for job in yaml.safe_load(self._loaded)["scrape_configs"] for target in self._targets(job)]
        self.late = max(0, self.late - 1)
        return httpx.Response(200, json={"data": {"activeTargets": active}})

    def _targets(self, job: dict[str, object]) -> list[dict[str, object]]:
        proxy = str(job.get("proxy_url", "")).removeprefix("http://")
        health = "unknown" if self.late else "down" if proxy else "up"
        last = {"health": health, "lastError": f"dial tcp {proxy}: refused" if health == "down" else ""}
        return [
            {"scrapeUrl": f"http://127.0.0.1:{port}/metrics", "labels": {"job": job["job_name"]}, **last}
            for port in (81, 82)
        ]


def asked_in(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> Watcher:
    """`watcher`, which the faults ask from now on."""
    monkeypatch.setattr(scrapes, "_asked", watcher.asked)
    return watcher
