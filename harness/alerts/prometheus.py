"""Prometheus: what one Prometheus server can be asked for; whatever it can't tell is EvidenceMissing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

import httpx
import requests
import yaml
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from harness.alerts.durations import milliseconds
from harness.errors import EvidenceMissing
from harness.model.record import Series

TIMEOUT = 2.0  # seconds; a server on this machine that needs longer is in trouble, and that is evidence as well


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveAlert:
    """An alert that is pending or firing now; `since` is when it became pending, in seconds since the epoch."""

    state: Literal["pending", "firing"]
    labels: Mapping[str, str]
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRule:
    """A rule as Prometheus has it loaded now. `hold` (its `for`) and `interval` in wall seconds, `evaluated` the
    instant of its last evaluation (None: there was none yet). A recording rule's `name` is the series it records."""

    name: str
    kind: Literal["alerting", "recording"]
    expr: str
    hold: float
    labels: Mapping[str, str]
    health: str
    error: str
    interval: float
    evaluated: float | None
    active: tuple[ActiveAlert, ...]


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """A target that is configured to be scraped now. `health` is up, down, or unknown before its first scrape."""

    labels: Mapping[str, str]
    health: str


@dataclass(frozen=True, slots=True)
class Intervals:
    """What Prometheus' loaded configuration says, in wall seconds; `scrape` is the longest of all jobs."""

    scrape: float
    evaluation: float


class Prometheus:
    """One Prometheus server at `url`. Every method asks it; each raises EvidenceMissing where it can't tell."""

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        self.url = url.rstrip("/")
        # Proxies of the environment are for the world outside: what we ask is on this machine.
        # Loading this machine's certificates takes longer than all our questions, so only where they are needed.
        secure = self.url.startswith("https:")
        self._http = httpx.Client(base_url=self.url, timeout=timeout, trust_env=False, verify=secure)
        session = requests.Session()
        session.trust_env = False
        self._queries = PrometheusConnect(self.url, retry=Retry(0), timeout=timeout, session=session)

    def close(self) -> None:
        self._http.close()
        self._queries.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def samples(self, selector: str, began: float, ended: float) -> tuple[Series, ...]:
        """The raw samples of every series that the instant vector `selector` selects, from `began` to `ended`."""
        length = max(1, math.ceil((ended - began) * 1000))
        with self._asked(f"for {selector}"):
            found = self._queries.custom_query(f"{selector}[{length}ms]", params={"time": f"{ended:.3f}"})
            return tuple(_series(one["metric"], one.get("values", ())) for one in found)

    def vector(self, query: str, at: float) -> tuple[Series, ...]:
        """What the instant vector `query` gave at the instant `at`, each series with its one point."""
        with self._asked(f"for {query}"):
            found = self._queries.custom_query(query, params={"time": f"{at:.3f}"})
            return tuple(_series(one["metric"], [one["value"]]) for one in found)

    def values(self, query: str, began: float, ended: float, step: float) -> tuple[Series, ...]:
        """What the instant vector `query` gave at every `step` seconds from `began` to `ended`."""
        length, every = max(1, math.ceil((ended - began) * 1000)), max(1, round(step * 1000))
        with self._asked(f"for {query}"):
            # A subquery: of a range query the client would round both ends to whole seconds.
            found = self._queries.custom_query(f"({query})[{length}ms:{every}ms]", params={"time": f"{ended:.3f}"})
            return tuple(_series(one["metric"], one.get("values", ())) for one in found)

    def rules(self) -> tuple[LoadedRule, ...]:
        """Every rule that is loaded, alerting and recording, in the order of its files."""
        with self._asked("for its rules"):
            groups = self._get("/api/v1/rules")["groups"]
            return tuple(_rule(rule, float(group["interval"])) for group in groups for rule in group["rules"])

    def targets(self) -> tuple[ScrapeTarget, ...]:
        """Every target that it is configured to scrape now."""
        with self._asked("for its targets"):
            found = self._get("/api/v1/targets?state=active")["activeTargets"]
            return tuple(ScrapeTarget(dict(one["labels"]), str(one["health"])) for one in found)

    def intervals(self) -> Intervals:
        """How often it scrapes and evaluates, by the configuration that it has loaded."""
        with self._asked("for its configuration"):
            config = yaml.safe_load(self._get("/api/v1/status/config")["yaml"])
            overall = config["global"]
            usual = overall["scrape_interval"]
            scrapes = [job.get("scrape_interval", usual) for job in config.get("scrape_configs") or ()]
            longest = max(milliseconds(text) for text in scrapes or [usual])
            return Intervals(longest / 1000, milliseconds(overall["evaluation_interval"]) / 1000)

    def started(self) -> float:
        """When its process started; another value than before means that it was restarted."""
        with self._asked("when it started"):
            return _instant(self._get("/api/v1/status/runtimeinfo")["startTime"])

    def _get(self, path: str) -> Any:
        answer = self._http.get(path).raise_for_status().json()
        if answer["status"] != "success":
            raise ValueError(f"it answered {answer}")
        return answer["data"]

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        try:
            yield
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            requests.RequestException,
            PrometheusApiClientException,
            # What a half-written or foreign answer makes of our reading of it.
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            yaml.YAMLError,
        ) as cause:
            said = str(cause) or type(cause).__name__
            raise EvidenceMissing(
                f"Prometheus at {self.url}, asked {what}: {said}",
                hint="is it up? `gameday status` shows it; its log stands in the run's folder",
            ) from cause


def _rule(plain: Mapping[str, Any], interval: float) -> LoadedRule:
    # `lastEvaluation` is year 1 until there was one.
    evaluated = _instant(plain.get("lastEvaluation", "0001-01-01T00:00:00Z"))
    return LoadedRule(
        name=plain["name"],
        kind=plain["type"],
        expr=plain["query"],
        hold=float(plain.get("duration", 0)),
        labels=dict(plain.get("labels") or {}),
        health=plain["health"],
        error=plain.get("lastError", ""),
        interval=interval,
        evaluated=evaluated if evaluated > 0 else None,
        active=tuple(
            ActiveAlert(state=alert["state"], labels=dict(alert["labels"]), since=_instant(alert["activeAt"]))
            for alert in plain.get("alerts") or ()
            if alert["state"] in ("pending", "firing")
        ),
    )


def _series(labels: Mapping[str, str], values: Any) -> Series:
    """A series in our form; values that are no finite number are left out, a record can't hold them."""
    points = ((float(at), float(value)) for at, value in values)
    return Series(labels=dict(labels), points=tuple((at, value) for at, value in points if math.isfinite(value)))


def _instant(text: str) -> float:
    """Seconds since the epoch of a time in RFC 3339, as Go writes it."""
    return datetime.fromisoformat(text).timestamp()
