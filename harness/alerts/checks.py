"""Checks: the claims about an alert, judged from a record alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from harness.alerts.labels import say_alert
from harness.model.record import Record
from harness.model.timeline import Moment
from harness.model.units import say_duration
from harness.model.verdict import Control, Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Fires:
    """The alert was quiet until `of`, and fired at most `within` (runbook time) after it."""

    kind: Literal["alert.fires"] = "alert.fires"
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    within: timedelta
    of: Moment

    @property
    def claim(self) -> str:
        return f"{say_alert(self.name, self.labels)} fires within {say_duration(self.within)} of {self.of}"

    def judge(self, record: Record) -> Verdict:
        return Verdict(claim=self.claim, outcome=Outcome.UNKNOWN, observed="not judged yet")

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset({Control.NO_FAULT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Alertmanager delivered the alert, at most `within` (runbook time) after it began to fire."""

    kind: Literal["alert.delivered"] = "alert.delivered"
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    within: timedelta | None = None

    @property
    def claim(self) -> str:
        when = "before the run ends" if self.within is None else f"within {say_duration(self.within)} of firing"
        return f"{say_alert(self.name, self.labels)} is delivered {when}"

    def judge(self, record: Record) -> Verdict:
        return Verdict(claim=self.claim, outcome=Outcome.UNKNOWN, observed="not judged yet")

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset({Control.NO_FAULT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolves:
    """The alert had fired, and ended at most `within` (runbook time) after `of`, for good."""

    kind: Literal["alert.resolves"] = "alert.resolves"
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    within: timedelta
    of: Moment

    @property
    def claim(self) -> str:
        return f"{say_alert(self.name, self.labels)} resolves within {say_duration(self.within)} of {self.of}"

    def judge(self, record: Record) -> Verdict:
        return Verdict(claim=self.claim, outcome=Outcome.UNKNOWN, observed="not judged yet")

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset({Control.NO_FAULT})


@dataclass(frozen=True, slots=True, kw_only=True)
class StaysQuiet:
    """The alert was neither pending nor firing in any of `windows`."""

    kind: Literal["alert.stays_quiet"] = "alert.stays_quiet"
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    windows: tuple[str, ...]

    @property
    def claim(self) -> str:
        return f"{say_alert(self.name, self.labels)} is neither pending nor firing during {', '.join(self.windows)}"

    def judge(self, record: Record) -> Verdict:
        return Verdict(claim=self.claim, outcome=Outcome.UNKNOWN, observed="not judged yet")

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset()
