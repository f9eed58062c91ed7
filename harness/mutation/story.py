"""Story: what an alert did in a run, compared with another story of it, and put in its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.alerts import promql
from harness.alerts.history import History
from harness.alerts.labels import carries
from harness.alerts.selectors import selector_of
from harness.model.record import AlertSample, Notification, Record, Rule, Series

# Two stories that differ by less than this many evaluations can't be told apart: the scrapes that fed them were not
# taken at the same instants either.
SLACK = 1.5
_STATES = ("firing", "pending", "quiet")


@dataclass(frozen=True, slots=True, eq=False)  # each is one of its own, however alike two of them are
class Wait:
    """A stretch in which the run waited for an alert with `labels` to be in `state`, and went on then."""

    began: float
    ended: float
    labels: Mapping[str, str]
    state: str

    def met(self, story: Iterable[AlertSample], until: float, step: float) -> float | None:
        """When the wait is over by `story`; None where it still waits at `until`. Once at rest after its end, an alert
        is quiet as soon as an evaluation does not find it."""
        found = sorted(one.at for one in story if carries(one.labels, self.labels) and self._counts(one))
        if self.state != "quiet":
            first = next((at for at in found if at > self.began - step), None)
            return None if first is None or first > until else max(first, self.began)
        at = self.began
        for active in found:
            if at - step < active <= at + step:
                at = active + step
        return at if at <= until else None

    def _counts(self, one: AlertSample) -> bool:
        return one.state == "firing" or self.state != "firing"


def waits(record: Record, alert: str) -> tuple[Wait, ...]:
    """The waits of `record` for `alert`, in order. Raises ValueError for one whose name can't be read."""
    found = []
    for span in record.windows:
        if span.kind != "wait" or span.ended is None:
            continue
        said, _, state = span.name.removeprefix("wait for ").rpartition(" is ")
        if state in _STATES and said.partition("{")[0] == alert:
            selector = selector_of(promql.parse(said))
            labels = {one.label: one.value for one in selector.matchers if one.label != "__name__"}
            found.append(Wait(span.began, span.ended, labels, state))
    return tuple(sorted(found, key=lambda wait: wait.began))


def alike(one: Iterable[AlertSample], other: Iterable[AlertSample], step: float) -> bool:
    """Whether two stories tell the same: the same alerts, pending and firing from and until the same instants, give or
    take what can't be told. A spell so short that its two ends may meet is none."""
    mine, theirs = _stretches(one, step), _stretches(other, step)
    for key in mine.keys() | theirs.keys():
        left, right = list(mine.get(key, ())), list(theirs.get(key, ()))
        for spell in mine.get(key, ()):
            match = next((other for other in right if _near(spell, other, step)), None)
            if match is not None:
                left.remove(spell)
                right.remove(match)
        if any(ended - began > 2 * SLACK * step for began, ended in (*left, *right)):
            return False
    return True


def _near(one: tuple[float, float], other: tuple[float, float], step: float) -> bool:
    return all(abs(a - b) <= SLACK * step for a, b in zip(one, other, strict=True))


def _stretches(
    story: Iterable[AlertSample], step: float
) -> dict[tuple[frozenset[tuple[str, str]], str], list[tuple[float, float]]]:
    found: dict[tuple[frozenset[tuple[str, str]], str], list[tuple[float, float]]] = {}
    for one in sorted(story, key=lambda sample: sample.at):
        spells = found.setdefault((frozenset(one.labels.items()), one.state), [])
        if spells and one.at - spells[-1][1] < SLACK * step:
            spells[-1] = (spells[-1][0], one.at)
        else:
            spells.append((one.at, one.at))
    return found


def retold(
    record: Record, alert: str, rule: Rule | None, story: Sequence[AlertSample], *, ended: float, up: Sequence[Series]
) -> Record:
    """`record` until `ended`, as it would be had `rule` been loaded as `alert` (None: no such rule) and done what
    `story` tells. `up` are the scrapes. Alertmanager is taken to deliver as quickly as it did."""
    evidence = record.alerts
    states = [one for one in evidence.states if one.name != alert]
    states += [replace(one, name=alert) for one in story if one.at <= ended]
    told = replace(
        evidence,
        states=tuple(sorted(states, key=lambda one: one.at)),
        rules=_replaced(evidence.rules, alert, rule),
        rules_at_end=_replaced(evidence.rules_at_end, alert, rule),
        up=tuple(up),
        notifications=tuple(one for one in evidence.notifications if one.name != alert),
    )
    whole = replace(
        record,
        ended=ended,
        alerts=told,
        windows=tuple(
            replace(span, ended=None if span.ended is None or span.ended > ended else span.ended)
            for span in record.windows
            if span.began <= ended
        ),
    )
    added = _delivered(record, whole, alert)
    return replace(whole, alerts=replace(told, notifications=(*told.notifications, *added)))


def _replaced(rules: Sequence[Rule] | None, alert: str, new: Rule | None) -> tuple[Rule, ...] | None:
    if rules is None:
        return None
    kept = [one for one in rules if one.name != alert]
    return tuple(kept if new is None else [*kept, new])


def _delivered(before: Record, after: Record, alert: str) -> list[Notification]:
    """A message for each firing of the new story, where any firing of the old one was delivered, after the same
    delay."""
    old = History(before.alerts, alert, {})
    delays = [
        note.at - firing.began
        for firing in old.firings()[:1]
        for note in old.notifications("firing")[:1]
        if note.at >= firing.began
    ]
    if not delays:
        return []
    firings = History(after.alerts, alert, {}).firings()
    return [
        Notification(
            at=firing.began + delays[0],
            status="firing",
            name=alert,
            labels=dict(one.labels),
            starts_at=firing.began,
            ends_at=None,
            fingerprint="",
        )
        for firing in firings
        for one in {frozenset(s.labels.items()): s for s in _firing_at(after, alert, firing.began)}.values()
    ]


def _firing_at(record: Record, alert: str, at: float) -> Iterable[AlertSample]:
    return (one for one in record.alerts.states if one.name == alert and one.state == "firing" and one.at == at)
