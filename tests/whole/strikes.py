"""Strikes: what can be done to a sandbox behind the back of the run that uses it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import httpx
import yaml

from harness.sandbox.processes import ProcessSandbox

Strike = Callable[[ProcessSandbox], None]


def kill(service: str, number: int = signal.SIGKILL) -> Strike:
    return lambda sandbox: sandbox.kill(service, number)


def delete_the_rules(sandbox: ProcessSandbox) -> None:
    for name in ("rules.yml", "sandbox-rules.yml"):
        sandbox.path("prometheus", f"/etc/prometheus/{name}").write_text("groups: []\n")
    reload(sandbox)


def stop_scraping(sandbox: ProcessSandbox) -> None:
    """Prometheus scrapes nothing any more but itself."""
    config = sandbox.path("prometheus", "/etc/prometheus/prometheus.yml")
    settings = yaml.safe_load(config.read_text())
    jobs = settings["scrape_configs"]
    settings["scrape_configs"] = [job for job in jobs if job["job_name"] == "prometheus"]
    assert len(settings["scrape_configs"]) == 1 < len(jobs)
    config.write_text(yaml.safe_dump(settings))
    reload(sandbox)


def lead_astray(sandbox: ProcessSandbox) -> None:
    """Prometheus scrapes another service in the place of the one that the alert is about."""
    config = sandbox.path("prometheus", "/etc/prometheus/prometheus.yml")
    text = config.read_text()
    generation = str(sandbox.address("generation", 9102))
    assert generation in text
    config.write_text(text.replace(generation, str(sandbox.address("frontend", 3000))))
    reload(sandbox)


def reload(sandbox: ProcessSandbox) -> None:
    httpx.post(f"{sandbox.address('prometheus', 9090).url}/-/reload", timeout=5).raise_for_status()


def kill_the_load(sandbox: ProcessSandbox) -> None:
    os.kill(sandbox.spawned("load-load").pid, signal.SIGKILL)
