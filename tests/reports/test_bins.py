"""Samples in bins, and the picture drawn from them."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from harness.model.load import Sample
from harness.model.record import Record
from reports.bins import binned
from reports.timeline import described, svg
from reports.words import say_instant
from tests.reports import outage


def _sample(at: float, status: int = 200, took: float | None = 0.1, sent: float = 0.0) -> Sample:
    ended = None if took is None else at + took
    return Sample(at, at + sent, ended, "GET /", status if took else 0, ok=status == 200, censored=at + 2.0)


def test_each_request_is_counted_once() -> None:
    """A request counts in the bin in which it was planned, under the one thing that became of it."""
    samples = [
        _sample(0.0),
        _sample(0.5, status=503),
        _sample(0.9, status=500, sent=0.2),
        _sample(1.0, took=None),
        _sample(2.0),  # after the last bin
        _sample(-0.1),  # before the first
    ]
    first, second = binned(samples, 0.0, 2.0, 2)
    assert (first.planned, first.right, first.refused, first.failed, first.unanswered) == (3, 1, 1, 1, 0)
    assert (second.planned, second.unanswered, second.right) == (1, 1, 0)
    assert (first.sent, second.sent) == (2, 2)  # one planned in the first was sent in the second
    assert (second.p50, second.p95) == (2.0, 2.0)  # as long as it waited


def test_percentiles_are_by_nearest_rank() -> None:
    """The p95 of 1..100 ms is 95 ms, an observed value."""
    (only,) = binned([_sample(0.001 * i, took=i / 1000) for i in range(1, 101)], 0.0, 1.0, 1)
    assert only.p50 == pytest.approx(0.050)
    assert only.p95 == pytest.approx(0.095)


@pytest.mark.parametrize(("began", "ended", "count"), [(0.0, 0.0, 5), (1.0, 0.0, 5), (0.0, 1.0, 0)])
def test_no_stretch_has_no_bins(began: float, ended: float, count: int) -> None:
    """A stretch without length, or no bins at all, is empty and no error."""
    assert binned([_sample(0.0)], began, ended, count) == ()


def test_an_empty_bin_has_no_latency() -> None:
    """Where nothing was asked there is no latency, not a latency of zero."""
    (only,) = binned([], 0.0, 1.0, 1)
    assert (only.planned, only.p50, only.p95) == (0, None, None)


def _shrunk(**changed: object) -> Record:
    return replace(outage.record(), **changed)  # type: ignore[arg-type]  # its own fields


@pytest.mark.parametrize(
    "record",
    [
        outage.record(),
        outage.empty(),
        _shrunk(samples=outage.record().samples[:1]),
        _shrunk(samples=tuple(replace(s, ended=None, ok=False) for s in outage.record().samples[:300])),
        _shrunk(ended=outage.BEGAN),
        _shrunk(ended=outage.BEGAN - 5.0),
        _shrunk(time_scale=1.0),
        _shrunk(time_scale=1000.0),
        _shrunk(windows=tuple(replace(span, ended=None) for span in outage.record().windows)),
        _shrunk(faults=tuple(replace(fault, healed_at=None) for fault in outage.record().faults)),
    ],
)
def test_any_run_is_drawn(record: Record) -> None:
    """Whatever is missing or odd, the picture is well-formed and stays within its paper."""
    text = svg(record, outage.judgement())
    root = ElementTree.fromstring(text)  # noqa: S314 - ours
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    path = " ".join(part.get("d", "") for part in root.iter() if part.tag.endswith("path"))
    points = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)
    assert all(0 <= float(x) <= width and -5 <= float(y) <= height for x, y in points)
    assert not re.search(r"\b(nan|inf)\b", text)


def test_the_picture_can_be_read_aloud() -> None:
    """The picture's description tells the fault, the alert, the failures and the recovery."""
    said = described(outage.record(), outage.judgement())
    for part in (
        "outage of openai (down) from 9:00 to 30:00",
        "HTTP503ErrorSpike fires from 17:15",
        "well again from 21:36",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("scale", "after", "said"),
    [
        (60.0, 8.0, "8:00"),
        (60.0, 75.0, "1:15:00"),
        (1.0, 8.26, "0:08.3"),
        (60.0, -1.0, "-1:00"),
        (1.0, 59.96, "1:00.0"),
    ],
)
def test_instants_are_runbook_time_since_the_run_began(scale: float, after: float, said: str) -> None:
    """An instant is said as runbook time since the run began."""
    assert say_instant(_shrunk(time_scale=scale), outage.BEGAN + after) == said
