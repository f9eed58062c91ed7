"""Collect: read from Prometheus, once and at the end, what the judges will need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from harness.alerts.prometheus import LoadedRule, Prometheus
from harness.alerts.selectors import Selector, reads
from harness.alerts.whole import whole_metrics
from harness.errors import EvidenceMissing
from harness.model.record import AlertEvidence, AlertSample, Gap, Notification, Rule, Series, WholeMetrics

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the watch knows by itself at the end of a run from `began` to `ended`; the rest is Prometheus' to tell."""

    began: float
    ended: float
    alerts: Collection[str] | None
    rules_at_start: tuple[LoadedRule, ...] | None
    notifications: tuple[Notification, ...]
    notifications_read: bool
    gaps: tuple[Gap, ...]


@dataclass(slots=True)
class _Reader:
    """Asks Prometheus and keeps what could not be read. Once it did not answer it is not asked again."""

    problems: list[str] = field(default_factory=list)
    gone: bool = False

    def ask(self, question: Callable[[], T]) -> T | None:
        if self.gone:
            return None
        try:
            return question()
        except EvidenceMissing as problem:
            self.gone = True
            self.problems.append(problem.args[0])
            return None


def collect(prometheus: Prometheus, reading: Reading) -> AlertEvidence:
    """The evidence of a run. Never raises: what can't be read is in its `problems`, and `read` is false. An alert
    whose own inputs can't be read is missing in `inputs`."""
    reader = _Reader()
    began, ended = reading.began, reading.ended
    active = reader.ask(lambda: prometheus.samples("ALERTS", began, ended))
    since = reader.ask(lambda: prometheus.samples("ALERTS_FOR_STATE", began, ended))
    up = reader.ask(lambda: prometheus.samples("up", began, ended))
    rules = reader.ask(prometheus.rules)
    intervals = reader.ask(prometheus.intervals)
    targets = reader.ask(prometheus.targets)
    if reading.rules_at_start is None:
        reader.problems.append("Prometheus could not be asked for its rules when the run began")
    read = not reader.problems
    inputs: Mapping[str, tuple[Series, ...]] = {}
    whole: WholeMetrics | None = None
    if rules is not None and up is not None and targets is not None:
        never_up = _never_up(up, [one.labels for one in targets])
        scraped = [_target(one.labels) for one in up]
        inputs = _Inputs(prometheus, reading, reader, rules, never_up, scraped).read()
        known = [*up, *(one for series in inputs.values() for one in series)]
        if not reader.gone:
            whole = whole_metrics(
                prometheus,
                rules,
                known,
                began=began,
                ended=ended,
                shorten=lambda one: _turns(one) if _target(one.labels) in scraped else one,
            )
    return AlertEvidence(
        read=read,
        states=_states(active or (), since or ()),
        rules=_rules(reading.rules_at_start),
        rules_at_end=_rules(rules),
        up=up or (),
        inputs=inputs,
        whole=whole,
        notifications=reading.notifications,
        notifications_read=reading.notifications_read,
        gaps=reading.gaps,
        problems=tuple(reader.problems),
        scrape_interval=intervals.scrape if intervals else 0.0,
        evaluation_interval=_evaluation(rules or (), intervals.evaluation if intervals else 0.0),
    )


def _evaluation(rules: Iterable[LoadedRule], usual: float) -> float:
    """The longest interval at which an alert is evaluated: the coarsest that any of our instants can be."""
    return max((rule.interval for rule in rules if rule.kind == "alerting"), default=usual)


def _rules(loaded: Sequence[LoadedRule] | None) -> tuple[Rule, ...] | None:
    if loaded is None:
        return None
    return tuple(
        Rule(name=rule.name, expr=rule.expr, hold=rule.hold, labels=rule.labels, health=rule.health)
        for rule in loaded
        if rule.kind == "alerting"
    )


def _states(active: Sequence[Series], since: Sequence[Series]) -> tuple[AlertSample, ...]:
    """Prometheus' series ALERTS (1 at each evaluation that found an alert active) and ALERTS_FOR_STATE (the instant
    at which it became active, in whole seconds) as one list, by time."""
    started = {(_identity(one.labels), at): value for one in since for at, value in one.points}
    samples = [
        AlertSample(
            at=at,
            name=one.labels.get("alertname", ""),
            state="firing" if one.labels.get("alertstate") == "firing" else "pending",
            labels={name: value for name, value in one.labels.items() if name not in _OURS},
            active_since=started.get((_identity(one.labels), at)),
        )
        for one in active
        for at, _ in one.points
    ]
    return tuple(sorted(samples, key=lambda sample: (sample.at, sample.name, sample.state)))


_OURS = ("__name__", "alertname", "alertstate")


def _identity(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in labels.items() if name not in ("__name__", "alertstate"))


# -- what fed the alerts -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Reads, for each alert, the raw samples of the series that its expression selects and, as series without points,
    the targets that must be scraped for it: those that expose its metrics, and those of which nobody can tell.

    Of a series that stands still only the first and the last sample are kept, for most do, and the rules are many.
    When its target was scraped, `up` tells; a series of a target that has none keeps all.
    """

    prometheus: Prometheus
    reading: Reading
    reader: _Reader
    rules: Sequence[LoadedRule]
    never_up: Sequence[Mapping[str, str]]
    scraped: Sequence[Mapping[str, str]]

    def read(self) -> Mapping[str, tuple[Series, ...]]:
        expressions: dict[str, dict[str, None]] = {}
        for rule in (*(self.reading.rules_at_start or ()), *self.rules):
            if rule.kind == "alerting" and (self.reading.alerts is None or rule.name in self.reading.alerts):
                expressions.setdefault(rule.name, {})[rule.expr] = None
        found: dict[str, tuple[Series, ...]] = {}
        for name, exprs in expressions.items():
            try:
                series = self._fed_by(dict.fromkeys(one for expr in exprs for one in reads(expr, self._recorded())))
            except ValueError as problem:
                self.reader.problems.append(f"the expression of {name} can't be taken apart: {problem}")
                continue
            if not self.reader.gone:
                found[name] = series
        return found

    def _recorded(self) -> Mapping[str, str]:
        recorded: dict[str, str] = {}
        for rule in self.rules:
            if rule.kind == "recording":
                before = recorded.get(rule.name)
                recorded[rule.name] = f"({rule.expr}) or ({before})" if before else rule.expr
        return recorded

    def _fed_by(self, selectors: Iterable[Selector]) -> tuple[Series, ...]:
        series: dict[tuple[frozenset[tuple[str, str]], bool], Series] = {}
        for selector in selectors:
            for one in (*self._selected(selector), *self._targets(selector)):
                series.setdefault((frozenset(one.labels.items()), bool(one.points)), one)
        return tuple(series.values())

    def _selected(self, selector: Selector) -> tuple[Series, ...]:
        began, ended = self.reading.began, self.reading.ended
        found = self.reader.ask(lambda: self.prometheus.samples(str(selector), began, ended)) or ()
        return tuple(_turns(one) if _target(one.labels) in self.scraped else one for one in found)

    def _targets(self, selector: Selector) -> Iterator[Series]:
        length = max(1, round((self.reading.ended - self.reading.began) * 1000))
        exposing = f"group by (job, instance) (last_over_time({selector.by_name()}[{length}ms]))"
        exposed = self.reader.ask(lambda: self.prometheus.vector(exposing, self.reading.ended)) or ()
        for labels in (*(one.labels for one in exposed), *self.never_up):
            if _target(labels) and selector.may_read(labels):
                yield Series(labels=_target(labels), points=())


def _turns(series: Series) -> Series:
    """`series` without the samples that are like the one before and the one after."""
    values = [value for _, value in series.points]
    dull = [before == value == after for before, value, after in zip(values, values[1:], values[2:], strict=False)]
    kept = [point for point, skip in zip(series.points, [False, *dull, False], strict=False) if not skip]
    return Series(labels=series.labels, points=tuple(kept))


def _never_up(up: Sequence[Series], configured: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The targets that were never scraped with success: what they expose, nobody can tell."""
    seen = {tuple(_target(one.labels).items()) for one in up if any(value == 1 for _, value in one.points)}
    known = [*(one.labels for one in up), *configured]
    return [labels for labels in known if tuple(_target(labels).items()) not in seen]


def _target(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: labels[name] for name in ("job", "instance") if name in labels}
