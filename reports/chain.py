"""Chain: the links from the fault to normal, each with its instant, or the plain statement that it was not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.model.judgement import Judgement
from harness.model.record import AlertSample, FaultRecord, Notification, Record
from harness.model.units import say_duration

Tone = Literal["bad", "alert", "act", "good"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link. `at` is its instant in wall seconds since the epoch, None where it was not seen."""

    name: str
    at: float | None
    detail: str
    tone: Tone


def chain(record: Record, judgement: Judgement) -> tuple[Link, ...]:
    """The links of a run in the order in which they happened; those not seen keep their place in the expected order.
    Empty for a run without a fault: there is nothing to follow."""
    faults = [fault for fault in record.faults if fault.injected_at is not None]
    if not faults:
        return ()
    fault = min(faults, key=lambda fault: fault.injected_at or 0.0)
    links = [
        *_impact(record, fault),
        *_alert(record, fault),
        *_steps(record),
        *_recovery(judgement),
        *_end(record, fault),
    ]
    return tuple(_in_time(links))


def _in_time(links: list[Link]) -> list[Link]:
    """Sort by instant; a link without one stays right behind the link that it was listed after."""
    keyed: list[tuple[float, int, Link]] = []
    last = float("-inf")
    for place, link in enumerate(links):
        last = last if link.at is None else link.at
        keyed.append((last, place, link))
    return [link for _, _, link in sorted(keyed, key=lambda entry: entry[:2])]


def _impact(record: Record, fault: FaultRecord) -> Iterator[Link]:
    injected = fault.injected_at or 0.0
    yield Link(name="fault in", at=injected, detail=fault.description, tone="bad")
    hurt = min(
        (sample for sample in record.samples if sample.planned >= injected and not (sample.ok and sample.ended)),
        key=lambda sample: sample.planned,
        default=None,
    )
    said = "no request failed"
    if hurt is not None:
        what = f"status {hurt.status}" if hurt.status else hurt.error or "no answer"
        said = f"first request that failed: {hurt.name}, {what}"
    yield Link(name="users hit", at=hurt.planned if hurt else None, detail=said, tone="bad")


def _alert(record: Record, fault: FaultRecord) -> Iterator[Link]:
    injected = fault.injected_at or 0.0
    firing = _first([s for s in record.alerts.states if s.state == "firing" and s.at >= injected])
    own = [s for s in record.alerts.states if s.at >= injected and (firing is None or s.name == firing.name)]
    pending = _first([s for s in own if s.state == "pending"] or own)
    unseen = "not seen" if record.alerts.read else "Prometheus' record could not be read"
    since = None if pending is None else pending.active_since or pending.at
    yield Link(name="alert pending", at=since, detail=pending.name if pending else unseen, tone="alert")
    yield Link(name="alert firing", at=firing.at if firing else None, detail=_named(firing, unseen), tone="alert")
    paged = _notified(record, "firing", firing)
    unseen = "no notification" if record.alerts.notifications_read else "the receiver could not be read"
    yield Link(name="delivered", at=paged.at if paged else None, detail=paged.name if paged else unseen, tone="alert")


def _steps(record: Record) -> Iterator[Link]:
    mitigating = [step for step in record.steps if step.purpose == "mitigate"]
    if not mitigating:
        yield Link(name="mitigated", at=None, detail="no step was run", tone="act")
    for step in record.steps:
        name = "mitigated" if step.purpose == "mitigate" else "restored"
        if step.skipped:
            yield Link(name=name, at=None, detail=f"{step.name}: left out", tone="act")
            continue
        held = [effect.at for effect in step.effects if effect.held]
        span = record.window(step.window)
        began = span.began if span else min((c.began for c in step.commands), default=None)
        if held and len(held) >= len({effect.claim for effect in step.effects}):
            took = "" if began is None else f", effect seen after {say_duration(max(held) - began)} (real)"
            yield Link(name=name, at=max(held), detail=f"{step.name}{took}", tone="act")
        else:
            yield Link(name=name, at=began, detail=f"{step.name}: begun, its effect was not seen", tone="act")


def _recovery(judgement: Judgement) -> Iterator[Link]:
    time = judgement.times.get("recovery")
    at = time.at if time else None
    yield Link(name="users well", at=at, detail=time.said if time else "no recovery was measured", tone="good")


def _end(record: Record, fault: FaultRecord) -> Iterator[Link]:
    injected = fault.injected_at or 0.0
    firing = _first([s for s in record.alerts.states if s.state == "firing" and s.at >= injected])
    resolved = _notified(record, "resolved", firing)
    healed = Link(name="fault out", at=fault.healed_at, detail=fault.problem or fault.description, tone="good")
    said = f"{resolved.name}: notification arrived" if resolved else "no notification of it"
    solved = Link(name="alert resolved", at=resolved.at if resolved else None, detail=said, tone="good")
    yield from sorted((healed, solved), key=lambda link: link.at or float("inf"))


def _first(samples: list[AlertSample]) -> AlertSample | None:
    return min(samples, key=lambda sample: sample.at, default=None)


def _named(sample: AlertSample | None, unseen: str) -> str:
    if sample is None:
        return unseen
    labels = ", ".join(f"{k}={v}" for k, v in sorted(sample.labels.items()) if k not in ("alertname", "__name__"))
    return f"{sample.name} {{{labels}}}" if labels else sample.name


def _notified(record: Record, status: str, firing: AlertSample | None) -> Notification | None:
    """The notification that belongs to `firing`: the first of its firing, the last of its end."""
    if firing is None:
        return None
    own = [n for n in record.alerts.notifications if n.name == firing.name and n.status == status and n.at >= firing.at]
    pick = min if status == "firing" else max
    return pick(own, key=lambda notification: notification.at, default=None)
