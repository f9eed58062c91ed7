"""Timeline: a run as one picture: what was done to the system, what the alerts said, and what users got.

The picture is inline SVG. It names classes, and the page in which it stands gives them their colours, so that it
follows the reader's light or dark mode and prints.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from harness.model.judgement import Judgement
from harness.model.record import AlertSample, Record
from harness.model.units import say_duration
from reports.bins import Bin, binned
from reports.words import say_instant

WIDTH, LEFT, RIGHT = 1000.0, 148.0, 14.0
LANE, RATE_HEIGHT, LATENCY_HEIGHT, GAP = 24.0, 150.0, 120.0, 38.0
MOST_BINS = 120
TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
DECADES = tuple(10.0**power for power in range(-4, 5))


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where an instant stands on the paper."""

    began: float
    ended: float

    def __call__(self, at: float) -> float:
        share = (at - self.began) / ((self.ended - self.began) or 1.0)
        return LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT - RIGHT)


def svg(record: Record, judgement: Judgement) -> str:
    """The picture of `record`, as one `<svg>` element with a title and a description for those who can't see it."""
    scale = _Scale(record.began, max(record.ended, record.began + 1e-6))
    lanes = _lanes(record, scale)
    lanes_height = len(lanes) * LANE
    rate_top = 10 + lanes_height + GAP
    latency_top = rate_top + RATE_HEIGHT + GAP
    bottom = latency_top + LATENCY_HEIGHT
    bins = _bins(record)
    parts = [
        _bands(record, scale, bottom),
        *_axis(record, scale, bottom),
        *(
            f'<g transform="translate(0 {_n(10 + i * LANE)})"><text class="lane" x="{_n(LEFT - 10)}" y="15">'
            f"{_text(_short(name, 26))}</text>{marks}</g>"
            for i, (name, marks) in enumerate(lanes)
        ),
        _rate_panel(bins, scale, rate_top),
        _latency_panel(bins, scale, latency_top),
        _recovered(record, judgement, scale, rate_top, bottom),
    ]
    title = f"Timeline of {record.scenario.name}"
    return (
        f'<svg class="timeline" viewBox="0 0 {_n(WIDTH)} {_n(bottom + 30)}" role="img" '
        f'aria-labelledby="timeline-title timeline-text" xmlns="http://www.w3.org/2000/svg">'
        f'<title id="timeline-title">{_text(title)}</title>'
        f'<desc id="timeline-text">{_text(described(record, judgement))}</desc>'
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>' + "".join(parts) + "</svg>"
    )


def described(record: Record, judgement: Judgement) -> str:
    """The picture in words."""
    said = [f"{say_duration((record.ended - record.began) * record.time_scale)} of runbook time."]
    for fault in record.faults:
        if fault.injected_at is None:
            said.append(f"{fault.description} was left out.")
        else:
            until = say_instant(record, fault.healed_at)
            said.append(f"{fault.description} from {say_instant(record, fault.injected_at)} to {until}.")
    for name in _alert_names(record):
        firing = [sample.at for sample in record.alerts.states if sample.name == name and sample.state == "firing"]
        if firing:
            said.append(f"{name} fires from {say_instant(record, min(firing))} to {say_instant(record, max(firing))}.")
        else:
            said.append(f"{name} does not fire." if record.alerts.read else f"{name}: not known.")
    failed = [sample.planned for sample in record.samples if not sample.ok]
    if failed:
        span = f"between {say_instant(record, min(failed))} and {say_instant(record, max(failed))}"
        said.append(f"{len(failed)} of {len(record.samples)} requests are not answered rightly, {span}.")
    else:
        said.append(f"All {len(record.samples)} requests are answered rightly.")
    recovery = judgement.times.get("recovery")
    if recovery is not None and recovery.at is not None:
        said.append(f"Users are well again from {say_instant(record, recovery.at)}.")
    return " ".join(said)


# -- what was done, and what the alerts said ------------------------------------------------------------------------


def _lanes(record: Record, scale: _Scale) -> list[tuple[str, str]]:
    """One lane each for the windows, every fault, every alert and the steps: its name and its marks."""
    observed = [span for span in record.windows if span.kind == "observe"]
    lanes = []
    if observed:
        marks = "".join(
            _bar(scale, s.began, s.ended or record.ended, "observe", s.name, label=s.name) for s in observed
        )
        lanes.append(("observed", marks))
    for fault in record.faults:
        if fault.injected_at is None:
            lanes.append(("fault", _note(fault.description + ": left out")))
            continue
        ended = fault.healed_at or record.ended
        lanes.append(
            ("fault", _bar(scale, fault.injected_at, ended, "fault", fault.description, label=fault.description))
        )
    lanes += [(name, _alert_marks(record, scale, name)) for name in _alert_names(record)]
    if record.steps:
        lanes.append(("runbook steps", _step_marks(record, scale)))
    return lanes


def _alert_names(record: Record) -> list[str]:
    named = {rule.name for rule in record.alerts.rules or ()} | {sample.name for sample in record.alerts.states}
    active = {sample.name for sample in record.alerts.states}
    return sorted(named, key=lambda name: (name not in active, name))[:8]


def _alert_marks(record: Record, scale: _Scale, name: str) -> str:
    own = [sample for sample in record.alerts.states if sample.name == name]
    parts = []
    if not own:
        parts.append(_note("stayed quiet" if record.alerts.read else "could not be read"))
    interval = record.alerts.evaluation_interval or 1.0
    firing = [sample for sample in own if sample.state == "firing"]
    fired = {round(sample.at, 3) for sample in firing}
    pending = [sample for sample in own if sample.state == "pending" and round(sample.at, 3) not in fired]
    for kind, samples in (("pending", pending), ("firing", firing)):
        for began, ended in _runs(samples, 2.5 * interval):
            parts.append(_bar(scale, began, ended + interval, kind, f"{name} {kind}", label=kind))
    parts.extend(
        _bar(scale, gap.began, gap.ended, "gap", f"no answer from Prometheus: {gap.problem}")
        for gap in record.alerts.gaps
        if gap.source == "prometheus"
    )
    for note in record.alerts.notifications:
        if note.name == name:
            x = scale(note.at)
            what = f"delivered: {note.status}, {say_instant(record, note.at)}"
            shape = f"M{_n(x)} 3l5 -5h-10z" if note.status == "firing" else f"M{_n(x)} -2l5 5h-10z"
            parts.append(f'<path class="mail {note.status}" d="{shape}"><title>{_text(what)}</title></path>')
    return "".join(parts)


def _runs(samples: Sequence[AlertSample], apart: float) -> list[tuple[float, float]]:
    """Stretches of samples that are no further `apart` than that."""
    runs: list[tuple[float, float]] = []
    for at in sorted({sample.at for sample in samples}):
        if runs and at - runs[-1][1] <= apart:
            runs[-1] = (runs[-1][0], at)
        else:
            runs.append((at, at))
    return runs


def _step_marks(record: Record, scale: _Scale) -> str:
    """Numbered marks, as the steps are numbered on the page; marks that would cover each other move to the right."""
    parts = []
    last = -math.inf
    for number, step in enumerate(record.steps, start=1):
        span = record.window(step.window)
        if span is None:
            continue
        if not step.skipped:
            parts.append(_bar(scale, span.began, span.ended or record.ended, "step", step.name))
        x = last = max(scale(span.began) + 8, last + 18)
        kind = "skipped" if step.skipped else step.purpose
        said = f"{step.name}{' (left out)' if step.skipped else ''}, {say_instant(record, span.began)}"
        parts.append(
            f'<g class="mark {kind}"><title>{_text(said)}</title><circle cx="{_n(x)}" cy="11" r="8"/>'
            f'<text x="{_n(x)}" y="14.5">{number}</text></g>'
        )
    return "".join(parts)


def _bar(scale: _Scale, began: float, ended: float, kind: str, title: str, label: str = "") -> str:
    x, end = scale(began), scale(ended)
    width = max(2.0, end - x)
    room = int((width - 8) / 6.2)
    inside = ""
    if label and room >= min(4, len(label)):
        inside = f'<text x="{_n(x + 5)}" y="15">{_text(_short(label, room))}</text>'
    return (
        f'<g class="bar {kind}"><title>{_text(title)}</title>'
        f'<rect x="{_n(x)}" y="3" width="{_n(width)}" height="16" rx="2"/>{inside}</g>'
    )


def _note(said: str) -> str:
    return f'<text class="note" x="{_n(LEFT + 4)}" y="15">{_text(_short(said, 110))}</text>'


def _bands(record: Record, scale: _Scale, bottom: float) -> str:
    """The faults, behind everything."""
    parts = []
    for fault in record.faults:
        if fault.injected_at is not None:
            x, end = scale(fault.injected_at), scale(fault.healed_at or record.ended)
            parts.append(
                f'<rect class="band" x="{_n(x)}" y="4" width="{_n(max(1.0, end - x))}" height="{_n(bottom - 4)}"/>'
            )
    return "".join(parts)


def _recovered(record: Record, judgement: Judgement, scale: _Scale, top: float, bottom: float) -> str:
    time = judgement.times.get("recovery")
    if time is None or time.at is None or not record.began <= time.at <= record.ended:
        return ""
    x = scale(time.at)
    near_end = x > WIDTH - 120
    anchor, shift = ("end", -5) if near_end else ("start", 5)
    return (
        f'<line class="recovered" x1="{_n(x)}" x2="{_n(x)}" y1="{_n(top)}" y2="{_n(bottom)}"/>'
        f'<text class="recovered" x="{_n(x + shift)}" y="{_n(bottom - 6)}" text-anchor="{anchor}">users well</text>'
    )


# -- what users got -------------------------------------------------------------------------------------------------


def _bins(record: Record) -> tuple[Bin, ...]:
    """The samples in bins of about equal fill: few samples, few bins."""
    if not record.samples:
        return ()
    planned = [sample.planned for sample in record.samples]
    first, last = min(planned), max(planned)
    count = max(1, min(MOST_BINS, len(planned) // 12))
    return binned(record.samples, first, math.nextafter(last, math.inf), count) if last > first else ()


def _rate_panel(bins: Sequence[Bin], scale: _Scale, top: float) -> str:
    """Requests per real second: what became of them, stacked, under the line of the plan."""
    parts = [_panel("Requests per second", "by planned instant", top)]
    if not bins:
        return "".join([*parts, _nothing(top, RATE_HEIGHT)])
    width = bins[0].ended - bins[0].began
    highest = _rounded_up(max(max(b.planned, b.sent) for b in bins) / width)

    def y(rate: float) -> float:
        return top + RATE_HEIGHT * (1 - rate / highest)

    parts.extend(_rule(y(highest * share), f"{highest * share:g}") for share in (0.0, 0.5, 1.0))
    outcomes = [
        (kind, list(map(count, bins)))
        for kind, count in (
            ("refused", lambda b: b.refused),
            ("failed", lambda b: b.failed),
            ("unanswered", lambda b: b.unanswered),
            ("right", lambda b: b.right),
        )
    ]
    floors = [0.0] * len(bins)
    for kind, counts in outcomes:
        tops = [floor + count / width for floor, count in zip(floors, counts, strict=True)]
        if any(counts):
            parts.append(_area(bins, scale, [y(value) for value in floors], [y(value) for value in tops], kind))
        floors = tops
    parts.append(_gapped_line(bins, scale, [y(b.planned / width) for b in bins], "planned"))
    parts.append(_gapped_line(bins, scale, [y(b.sent / width) for b in bins], "sent"))
    keys = [("right", "answered rightly"), ("refused", "503"), ("failed", "other failures")]
    keys += [("unanswered", "unanswered")] if any(b.unanswered for b in bins) else []
    parts.append(_legend([*keys, ("planned line", "planned"), ("sent line", "sent")], top))
    return "".join(parts)


def _latency_panel(bins: Sequence[Bin], scale: _Scale, top: float) -> str:
    """Latency from the planned instant, on a logarithmic axis."""
    parts = [_panel("Latency", "from the planned instant, log scale", top)]
    found = [value for b in bins for value in (b.p50, b.p95) if value is not None]
    if not found:
        return "".join([*parts, _nothing(top, LATENCY_HEIGHT)])
    low = max((d for d in DECADES if d <= max(min(found), DECADES[0])), default=DECADES[0])
    high = min((d for d in DECADES if d >= max(found) and d > low), default=DECADES[-1])
    span = math.log10(high / low)

    def y(value: float) -> float:
        return top + LATENCY_HEIGHT * (1 - math.log10(min(high, max(low, value)) / low) / span)

    parts.extend(_rule(y(decade), say_duration(decade)) for decade in DECADES if low <= decade <= high)
    for kind, values in (("p95", [b.p95 for b in bins]), ("p50", [b.p50 for b in bins])):
        parts.append(_gapped_line(bins, scale, [None if value is None else y(value) for value in values], kind))
    parts.append(_legend([("p50 line", "p50"), ("p95 line", "p95")], top))
    return "".join(parts)


def _panel(name: str, note: str, top: float) -> str:
    return (
        f'<text class="panel" x="{_n(LEFT)}" y="{_n(top - 12)}">{_text(name)} '
        f'<tspan class="unit">{_text(note)}</tspan></text>'
    )


def _nothing(top: float, height: float) -> str:
    return f'<text class="note" x="{_n(LEFT + 4)}" y="{_n(top + height / 2)}">no samples</text>'


def _rule(y: float, said: str) -> str:
    return (
        f'<line class="rule" x1="{_n(LEFT)}" x2="{_n(WIDTH - RIGHT)}" y1="{_n(y)}" y2="{_n(y)}"/>'
        f'<text class="tick" x="{_n(LEFT - 7)}" y="{_n(y + 3.5)}">{_text(said)}</text>'
    )


def _area(bins: Sequence[Bin], scale: _Scale, low: Sequence[float], high: Sequence[float], kind: str) -> str:
    there = [f"{_n(scale(x))} {_n(y)}" for b, y in zip(bins, high, strict=True) for x in (b.began, b.ended)]
    back = [f"{_n(scale(x))} {_n(y)}" for b, y in zip(bins, low, strict=True) for x in (b.began, b.ended)]
    return f'<path class="area {kind}" d="M{"L".join([*there, *reversed(back)])}Z"/>'


def _gapped_line(bins: Sequence[Bin], scale: _Scale, heights: Sequence[float | None], kind: str) -> str:
    """A line through the middle of the bins that have a value; it breaks off where one has none."""
    points = []
    pen = "M"
    for b, y in zip(bins, heights, strict=True):
        if y is None:
            pen = "M"
            continue
        points.append(f"{pen}{_n(scale((b.began + b.ended) / 2))} {_n(y)}")
        pen = "L"
    return f'<path class="line {kind}" d="{"".join(points)}"/>'


def _legend(keys: Iterable[tuple[str, str]], top: float) -> str:
    listed = list(keys)
    widths = [len(said) * 6.2 + 30 for _, said in listed]
    starts = accumulate(widths[:-1], initial=WIDTH - RIGHT - sum(widths))
    return "".join(
        f'<rect class="key {kind}" x="{_n(x)}" y="{_n(top - 20)}" width="12" height="{3 if "line" in kind else 9}" '
        f"{'' if 'line' not in kind else f'transform={chr(34)}translate(0 3){chr(34)}'}/>"
        f'<text class="legend" x="{_n(x + 17)}" y="{_n(top - 12)}">{_text(said)}</text>'
        for x, (kind, said) in zip(starts, listed, strict=True)
    )


def _axis(record: Record, scale: _Scale, bottom: float) -> list[str]:
    """Runbook time since the run began."""
    length = (record.ended - record.began) * record.time_scale
    step = next((tick for tick in TICKS if length / tick <= 11), TICKS[-1])
    parts = []
    for i in range(int(min(length / step, 200)) + 1):
        at = record.began + i * step / record.time_scale
        x = _n(scale(at))
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="4" y2="{_n(bottom)}"/>')
        parts.append(f'<text class="time" x="{x}" y="{_n(bottom + 16)}">{_text(say_duration(i * step))}</text>')
    return parts


def _rounded_up(value: float) -> float:
    """The next value of 1, 2, 2.5, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.9999)


def _short(said: str, room: int) -> str:
    return said if len(said) <= room else said[: max(1, room - 1)].rstrip() + "…"


def _text(said: str) -> str:
    """Text for XML: escaped, and without the control characters that XML has no way to write."""
    return escape("".join(c if c in "\t\n\r" or ord(c) >= 32 else "\ufffd" for c in said))


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
