"""History: when an alert was pending and firing, as Prometheus stored it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.alerts.labels import carries, say_labels
from harness.model.record import AlertEvidence, AlertSample, Notification

# Alertmanager and Prometheus write their instants with a resolution of a millisecond.
_ROUNDING = 0.002


@dataclass(frozen=True, slots=True)
class Firing:
    """One uninterrupted stretch of firing: the first and the last evaluation that found it so."""

    began: float
    last: float


@dataclass(frozen=True, slots=True)
class History:
    """What `evidence` tells of the alerts `name` that carry `labels`; where several are active, it is their union."""

    evidence: AlertEvidence
    name: str
    labels: Mapping[str, str]

    def active(self, began: float, ended: float) -> list[AlertSample]:
        """Every sample, pending or firing, from `began` to `ended`, by time."""
        return [one for one in self._all() if began <= one.at <= ended]

    def firings(self) -> list[Firing]:
        """The stretches of firing, by time. An evaluation that is missing in between ends one."""
        instants = sorted({one.at for one in self._all() if one.state == "firing"})
        found: list[Firing] = []
        for at in instants:
            if found and at - found[-1].last < 1.5 * self.evidence.evaluation_interval:
                found[-1] = Firing(found[-1].began, at)
            else:
                found.append(Firing(at, at))
        return found

    def notifications(self, status: str) -> list[Notification]:
        """What was delivered about these alerts and belongs to one of these firings, by arrival. A message about an
        older firing (a repetition, a leftover of another run) is none of ours."""
        step = self.evidence.evaluation_interval + _ROUNDING
        found = [
            note
            for note in self.evidence.notifications
            if note.status == status
            and note.name == self.name
            and carries(note.labels, self.labels)
            and any(
                firing.began - step <= note.starts_at <= firing.last + step and note.at >= firing.began - _ROUNDING
                for firing in self.firings()
            )
        ]
        return sorted(found, key=lambda note: note.at)

    def strangers(self) -> str:
        """What was active under this name with other labels, in words: a label that does not match is easily missed."""
        others = [one for one in self.evidence.states if one.name == self.name and not carries(one.labels, self.labels)]
        return f"; it was active with other labels: {say_labels(others[0].labels)}" if others else ""

    def _all(self) -> list[AlertSample]:
        samples = (one for one in self.evidence.states if one.name == self.name and carries(one.labels, self.labels))
        return sorted(samples, key=lambda one: one.at)
