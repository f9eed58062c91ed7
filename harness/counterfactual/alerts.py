"""Alerts: the run as Prometheus and Alertmanager would have told it, had alerts behaved otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from harness.counterfactual.base import Counterfactual
from harness.model.record import AlertSample, Record, Rule

Labels = Mapping[str, str]
_TEMPLATE = re.compile(r"\{\{\s*\$labels\.(\w+)\s*\}\}")


def _silent(record: Record) -> Record | None:
    if not record.alerts.states:
        return None
    return replace(record, alerts=replace(record.alerts, states=(), notifications=()))


def _undelivered(record: Record) -> Record | None:
    if not record.alerts.notifications:
        return None
    return replace(record, alerts=replace(record.alerts, notifications=()))


def _lasting(record: Record) -> Record | None:
    """What fired last goes on to fire until the record ends."""
    evidence = record.alerts
    last: dict[tuple[str, tuple[tuple[str, str], ...]], AlertSample] = {}
    for one in evidence.states:
        key = (one.name, tuple(sorted(one.labels.items())))
        if one.state == "firing" and (key not in last or one.at > last[key].at):
            last[key] = one
    if not last or evidence.evaluation_interval <= 0:
        return None
    more = [
        replace(one, at=one.at + number * evidence.evaluation_interval)
        for one in last.values()
        for number in range(1, int((record.ended - one.at) / evidence.evaluation_interval) + 1)
    ]
    return replace(record, alerts=replace(evidence, states=(*evidence.states, *more)))


def _made_up(record: Record) -> Record | None:
    """Every alert that is loaded fires once in every window, with the labels that its rule and what it reads have."""
    labelled = {
        rule.name: [_labels(rule, series.labels) for series in record.alerts.inputs.get(rule.name, ())]
        or [_labels(rule, {})]
        for rule in record.alerts.rules or ()
    }
    return _firing(record, labelled)


def _labels(rule: Rule, series: Labels) -> Labels:
    read = {name: value for name, value in series.items() if name != "__name__"}
    set_here = {name: _TEMPLATE.sub(lambda found: read.get(found[1], ""), value) for name, value in rule.labels.items()}
    return {**read, **set_here}


def _heard(record: Record, heard: Mapping[str, Sequence[Labels]]) -> Record | None:
    loaded = {rule.name for rule in record.alerts.rules or ()}
    return _firing(record, {name: labels for name, labels in heard.items() if name in loaded})


def _firing(record: Record, labelled: Mapping[str, Sequence[Labels]]) -> Record | None:
    instants = [
        (span.began + (record.ended if span.ended is None else span.ended)) / 2
        for span in record.windows
        if span.kind != "load"
    ]
    more = [
        AlertSample(at=at, name=name, state="firing", labels=labels)
        for name, several in labelled.items()
        for labels in several
        for at in instants
    ]
    if not more:
        return None
    return replace(record, alerts=replace(record.alerts, states=(*record.alerts.states, *more)))


def of_alerts(heard: Mapping[str, Sequence[Labels]]) -> Iterator[Counterfactual]:
    """What alerts might have done; `heard` has the labels with which each fired in some recorded run."""
    yield Counterfactual(name="alerts as once heard", grade="moved", of=partial(_heard, heard=heard))
    yield Counterfactual(name="no alert stirs", grade="made up", of=_silent)
    yield Counterfactual(name="nothing is delivered", grade="made up", of=_undelivered)
    yield Counterfactual(name="alerts go on firing", grade="made up", of=_lasting)
    yield Counterfactual(name="every alert fires", grade="made up", of=_made_up)
