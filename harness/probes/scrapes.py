"""Scrapes: send Prometheus' scrapes of one job nowhere, and see what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from harness.errors import SandboxError, UsageError

KEPT = ".before-scrape-gap"  # how the name of a kept configuration ends
NOWHERE = "127.0.0.1:1"  # an address that nobody listens on
TIMEOUT = 2.0  # seconds for one question to Prometheus


@dataclass(frozen=True, slots=True)
class Target:
    """A target of Prometheus: how its last scrape went (up, down or unknown), and why it failed."""

    url: str
    health: str
    error: str

    def __str__(self) -> str:
        return f"{self.url} is {self.health} {self.error}".rstrip()


def jobs_of(config: str) -> list[str]:
    """The names of the jobs in a configuration. Raises UsageError for what is none."""
    return [str(job.get("job_name")) for job in _jobs(_parsed(config))]


def redirected(config: str, job: str) -> str:
    """Prometheus' configuration with the scrapes of `job` going nowhere. Raises UsageError for what is none."""
    parsed = _parsed(config)
    for one in _jobs(parsed):
        if one.get("job_name") == job:
            # A proxy, and not another address: Prometheus takes it over at once (new targets within 5 s), and the
            # targets keep their labels, so that their series go on (`up` with 0).
            for other in ("proxy_from_environment", "no_proxy"):
                one.pop(other, None)
            one["proxy_url"] = f"http://{NOWHERE}"
    return yaml.safe_dump(parsed, sort_keys=False)


def divert(file: Path, job: str) -> None:
    """Write the configuration in `file` with the scrapes of `job` going nowhere, and keep the old one beside it. Raises
    OSError, UsageError."""
    kept = _kept(file)
    if not kept.exists():  # else it is ours from an inject that failed half-way
        part = kept.with_name(f"{kept.name}-part")
        part.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
        part.replace(kept)
    # In place: a file that is mounted into a container can't be replaced.
    file.write_text(redirected(kept.read_text(encoding="utf-8"), job), encoding="utf-8")


def give_back(file: Path) -> None:
    """Write back what `divert` kept; nothing where it kept nothing. Raises OSError."""
    kept = _kept(file)
    if kept.exists():
        file.write_text(kept.read_text(encoding="utf-8"), encoding="utf-8")
        kept.unlink()


def reload(url: str) -> None:
    """Have Prometheus at `url` load its configuration anew. Raises SandboxError."""
    _asked(url, "POST", "/-/reload")


def targets(url: str, job: str) -> Sequence[Target]:
    """The targets of `job` as Prometheus at `url` has them now. Raises SandboxError."""
    try:
        found = _asked(url, "GET", "/api/v1/targets?state=active").json()["data"]["activeTargets"]
        return [
            Target(one["scrapeUrl"], one["health"], one["lastError"]) for one in found if one["labels"]["job"] == job
        ]
    except (ValueError, LookupError, TypeError) as cause:
        raise SandboxError(f"Prometheus at {url} answered nonsense: {cause!r}") from cause


def _asked(url: str, method: str, path: str) -> httpx.Response:
    try:
        return httpx.request(method, url + path, timeout=TIMEOUT, trust_env=False).raise_for_status()
    except httpx.HTTPError as cause:
        raise SandboxError(
            f"Prometheus at {url}: {method} {path}: {cause or type(cause).__name__}",
            hint="it must be started with --web.enable-lifecycle",
        ) from cause


def _kept(file: Path) -> Path:
    return file.with_name(file.name + KEPT)


def _parsed(config: str) -> Any:
    try:
        return yaml.safe_load(config)
    except yaml.YAMLError as cause:
        raise UsageError(f"Prometheus' configuration is not YAML: {' '.join(str(cause).split())}") from cause


def _jobs(parsed: Any) -> list[dict[str, Any]]:
    jobs = parsed.get("scrape_configs") if isinstance(parsed, dict) else None
    return [job for job in jobs or () if isinstance(job, dict)]
