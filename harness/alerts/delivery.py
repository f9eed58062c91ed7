"""Delivery: what Alertmanager delivered to our receiver, and whether Alertmanager itself is up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from harness.errors import EvidenceMissing
from harness.model.record import Notification

TIMEOUT = 2.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What the receiver answered. `started` tells one life of it from another, `next` is what to ask for next time;
    `rejected` and `lost` count messages that it could not take, or had to forget."""

    started: float
    next: int
    rejected: int
    lost: int
    notifications: tuple[Notification, ...]


class Delivery:
    """The receiver at `receiver` and the Alertmanager at `alertmanager` (empty: there is none to be asked)."""

    def __init__(self, receiver: str, alertmanager: str = "", *, timeout: float = TIMEOUT) -> None:
        self.receiver = receiver.rstrip("/")
        self.alertmanager = alertmanager.rstrip("/")
        secure = any(url.startswith("https:") for url in (self.receiver, self.alertmanager))
        self._http = httpx.Client(timeout=timeout, trust_env=False, verify=secure)

    def close(self) -> None:
        self._http.close()

    def since(self, number: int) -> Post:
        """The notifications numbered `number` and above. Raises EvidenceMissing."""
        try:
            answer = self._http.get(f"{self.receiver}/notifications", params={"since": number}).raise_for_status()
            return _post(answer.json())
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError, AttributeError) as cause:
            raise EvidenceMissing(
                f"the receiver at {self.receiver}: {cause or type(cause).__name__}",
                hint="is it up? `gameday status` shows it",
            ) from cause

    def alertmanager_started(self) -> float:
        """When Alertmanager's process started; another value than before means that it was restarted. Raises
        EvidenceMissing where it does not answer."""
        try:
            answer = self._http.get(f"{self.alertmanager}/api/v2/status").raise_for_status()
            return datetime.fromisoformat(answer.json()["uptime"]).timestamp()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError, AttributeError) as cause:
            raise EvidenceMissing(
                f"Alertmanager at {self.alertmanager}: {cause or type(cause).__name__}",
                hint="is it up? `gameday status` shows it",
            ) from cause


def _post(plain: Mapping[str, Any]) -> Post:
    return Post(
        started=float(plain["started"]),
        next=int(plain["next"]),
        rejected=int(plain["rejected"]),
        lost=int(plain["lost"]),
        notifications=tuple(
            _notification(alert, float(kept["at"]))
            for kept in plain["notifications"]
            for alert in kept["message"]["alerts"]
        ),
    )


def _notification(alert: Mapping[str, Any], at: float) -> Notification:
    labels = dict(alert["labels"])
    return Notification(
        at=at,
        status=alert["status"],
        name=labels.pop("alertname", ""),
        labels=labels,
        starts_at=_instant(alert["startsAt"]) or at,
        ends_at=_instant(alert.get("endsAt", "")),
        fingerprint=alert.get("fingerprint", ""),
    )


def _instant(text: str) -> float | None:
    """Seconds since the epoch of a time in RFC 3339; None for Go's zero time and for no time at all."""
    instant = datetime.fromisoformat(text).timestamp() if text else 0.0
    return instant if instant > 0 else None
