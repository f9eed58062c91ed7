"""Detection: the time from a fault to the page, taken apart into what each part of the monitoring took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from harness.alerts.labels import carries, say_alert
from harness.model.judgement import Time
from harness.model.record import AlertSample, FaultRecord, Record
from harness.model.units import say_duration

IMPACT, SCRAPE, PENDING, FIRING, DELIVERED = "user impact", "first scrape", "pending", "firing", "delivered"
ARRIVAL = 0.01  # wall seconds between a delivery and the receiver's note of it, on a busy machine
_SAID = {
    IMPACT: "from {fault} to the first request that it spoiled",
    SCRAPE: "from {fault} to the first scrape that shows it",
    PENDING: "from {fault} to the threshold being crossed ({alert} pending)",
    FIRING: "from {fault} to {alert} firing",
    DELIVERED: "from {fault} to {alert} being delivered",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a detection: reached at the wall instant `at`, which may be up to `resolution` wall seconds late."""

    name: str
    at: float
    resolution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """How one fault was detected by one alert; `stages` are those that were reached, in the order of the chain."""

    alert: str
    fault: str
    injected_at: float
    time_scale: float
    stages: tuple[Stage, ...]

    def __str__(self) -> str:
        return ", ".join(f"{stage.name} {self._since(stage)}" for stage in self.stages) or f"{self.alert}: not detected"

    def times(self, prefix: str = "detection") -> Mapping[str, Time]:
        """The whole (to the last stage) under `prefix`, and each stage, counted from the injection too."""
        stages = {f"{prefix}/{stage.name}": self._time(stage) for stage in self.stages}
        whole = {prefix: self._time(self.stages[-1])} if self._complete else {}
        return {**whole, **stages}

    @staticmethod
    def chain() -> tuple[str, ...]:
        """The names of all stages, in their order."""
        return tuple(_SAID)

    @property
    def _complete(self) -> bool:
        return bool(self.stages) and self.stages[-1].name in (FIRING, DELIVERED)

    def _since(self, stage: Stage) -> str:
        return say_duration((stage.at - self.injected_at) * self.time_scale)

    def _time(self, stage: Stage) -> Time:
        wall = stage.at - self.injected_at
        return Time(
            value_seconds_runbook=wall * self.time_scale,
            wall_seconds=wall,
            resolution_seconds=stage.resolution * self.time_scale,
            said=_SAID[stage.name].format(fault=self.fault, alert=self.alert.partition("{")[0]),
        )


def detections(record: Record) -> tuple[Detection, ...]:
    """One Detection for every claim of `record` that an alert fires because of one of its faults."""
    found: dict[tuple[str, str], Detection] = {}
    for check in record.checks:
        if check.get("kind") != "alert.fires":
            continue
        name, labels = str(check.get("name", "")), dict(check.get("labels") or {})
        window = (check.get("of") or {}).get("window")
        detection = detection_of(record, name, labels, str(window))
        if detection is not None:
            found[detection.alert, detection.fault] = detection
    return tuple(found.values())


def detection_of(record: Record, name: str, labels: Mapping[str, str], window: str) -> Detection | None:
    """How the fault of `window` was detected by the alert `name` with `labels`; None where no fault was injected."""
    fault = next((fault for fault in record.faults if fault.window == window), None)
    if fault is None or fault.injected_at is None:
        return None
    return Detection(
        alert=say_alert(name, labels),
        fault=fault.window,
        injected_at=fault.injected_at,
        time_scale=record.time_scale,
        stages=tuple(_stages(record, name, labels, fault, fault.injected_at)),
    )


def _stages(
    record: Record, name: str, labels: Mapping[str, str], fault: FaultRecord, injected: float
) -> Iterator[Stage]:
    evidence = record.alerts
    ends = record.ended if fault.healed_at is None else fault.healed_at
    spoiled = min(
        (one.planned for one in record.samples if not one.ok and injected <= one.planned < ends), default=None
    )
    if spoiled is not None:
        before = max((one.planned for one in record.samples if one.planned < spoiled), default=spoiled)
        yield Stage(name=IMPACT, at=spoiled, resolution=spoiled - before)
    active = [one for one in evidence.states if one.name == name and carries(one.labels, labels) and one.at >= injected]
    scraped = _first_move(record, name, injected)
    # A series that first moved after the threshold was crossed is another one's story.
    if scraped is not None and (not active or scraped <= active[0].at):
        yield Stage(name=SCRAPE, at=scraped, resolution=evidence.scrape_interval)
    if not active:
        return
    yield Stage(name=PENDING, at=active[0].at, resolution=evidence.evaluation_interval)
    firing: AlertSample | None = next((one for one in active if one.state == "firing"), None)
    if firing is None:
        return
    yield Stage(name=FIRING, at=firing.at, resolution=evidence.evaluation_interval)
    arrivals = [
        note.at
        for note in evidence.notifications
        if note.name == name and note.status == "firing" and carries(note.labels, labels) and note.at >= firing.at
    ]
    if arrivals:
        yield Stage(name=DELIVERED, at=min(arrivals), resolution=ARRIVAL)


def _first_move(record: Record, name: str, injected: float) -> float | None:
    """The first scrape after the injection at which an input of the alert moved that had stood still until then: one
    that moves all the time (a count of all requests) can't show when the fault was seen."""
    moved: list[float] = []
    for series in record.alerts.inputs.get(name, ()):
        steps = [later for (_, value), (later, other) in pairwise(series.points) if value != other]
        if steps and steps[0] >= injected:
            moved.append(steps[0])
    return min(moved, default=None)
