"""Alert: what is expected to page people, and the claims that can be made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from harness.alerts.checks import Delivered, Fires, Resolves, StaysQuiet
from harness.alerts.labels import say_alert
from harness.errors import UsageError
from harness.model.timeline import Moment, Window


@dataclass(frozen=True, slots=True)
class AlertCondition:
    """A state of an alert that can be waited for; the alerts meant are those with all of `labels`.

    `firing`: at least one of them fires. `pending`: at least one is pending or fires. `quiet`: none is pending or
    fires, and Prometheus has the rule loaded and says so itself.
    """

    name: str
    labels: Mapping[str, str]
    state: Literal["firing", "pending", "quiet"]

    def __str__(self) -> str:
        return f"{say_alert(self.name, self.labels)} is {self.state}"


@dataclass(frozen=True, slots=True, init=False)
class Alert:
    """An alerting rule by its name; `labels` narrow it down to the alerts that carry them all."""

    name: str
    labels: Mapping[str, str]

    def __init__(self, name: str, /, **labels: str) -> None:
        if not name:
            raise UsageError("an alert needs a name", hint='Alert("HTTP503ErrorSpike", severity="critical")')
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "labels", labels)

    def __str__(self) -> str:
        return say_alert(self.name, self.labels)

    @property
    def firing(self) -> AlertCondition:
        return AlertCondition(self.name, self.labels, "firing")

    @property
    def pending(self) -> AlertCondition:
        return AlertCondition(self.name, self.labels, "pending")

    @property
    def quiet(self) -> AlertCondition:
        return AlertCondition(self.name, self.labels, "quiet")

    def fires(self, *, within: timedelta, of: Moment) -> Fires:
        """The claim that it was quiet until `of` and fired at most `within` (runbook time) after it."""
        return Fires(name=self.name, labels=self.labels, within=_limit(within), of=of)

    def delivered(self, *, within: timedelta | None = None) -> Delivered:
        """The claim that Alertmanager delivered it once it fired: at most `within` (runbook time) after it began to
        fire, or, without it, before the run ended."""
        return Delivered(name=self.name, labels=self.labels, within=None if within is None else _limit(within))

    def resolves(self, *, within: timedelta, of: Moment) -> Resolves:
        """The claim that it had fired, and ended at most `within` (runbook time) after `of`, for good."""
        return Resolves(name=self.name, labels=self.labels, within=_limit(within), of=of)

    def stays_quiet(self, during: Window, *more: Window) -> StaysQuiet:
        """The claim that it was neither pending nor firing in any of these windows, in each of which users came."""
        windows = tuple(window.name for window in (during, *more))
        return StaysQuiet(name=self.name, labels=self.labels, windows=windows)

    def does_not_fire(self, during: Window, *more: Window) -> StaysQuiet:
        """The same for a cause that is over before the rule's `for`: it may have been pending, and did not fire."""
        return replace(self.stays_quiet(during, *more), may_be_pending=True)

    def is_only_pending(self, during: Window, *more: Window) -> StaysQuiet:
        """The claim that it was pending in each of these windows and fired in none: what crosses the rule's threshold
        for less than its `for`."""
        return replace(self.does_not_fire(during, *more), must_be_pending=True)


def _limit(within: timedelta) -> timedelta:
    if within <= timedelta(0):
        raise UsageError(f"nothing happens within {within}", hint="give a duration above zero")
    return within
