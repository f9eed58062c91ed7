"""Repeated runs: how their spread is shown."""

from __future__ import annotations

import re

import pytest

from harness.model.repeats import Bound, Flaky, Repeats, Series, Spread
from harness.model.verdict import Outcome
from reports import repeats as report
from tests.reports import golden
from tests.reports.test_reports import EVIL, _Page


def series(name: str, *times: Spread, flaky: tuple[Flaky, ...] = (), phases: tuple[float, ...] = (0.1, 0.9)) -> Series:
    """Seven runs of a scenario, one of them no experiment."""
    return Series(
        scenario=name,
        fingerprint="1a2b",
        control="no-mitigation",
        time_scale=60.0,
        seed=1,
        runs=tuple("abcdefg"),
        outcomes={Outcome.PASS: 4, Outcome.FAIL: 2, Outcome.INVALID: 1},
        times=times,
        flaky=flaky,
        uncounted=1,
        phases=phases,
        failed=Bound(hits=2, count=6, lower=0.043, upper=0.777),
        red=Bound(hits=3, count=7, lower=0.099, upper=0.816),
    )


TIMES = (
    Spread(
        name="detection",
        said="from the outage to the page",
        reached=(250.0, 260.0, 270.0, 265.0),
        censored=(600.0, 615.0),
        median=267.5,
        lower=250.0,
        resolution=15.0,
    ),
    Spread(name="detection/pending", said="pending", reached=(130.0,) * 5, unknown=1, median=130.0, resolution=15.0),
    Spread(name="recovery", said="", reached=(), censored=(300.0, 420.0)),
)
FLAKY = (Flaky(claim="it fires", outcomes={Outcome.PASS: 4, Outcome.FAIL: 2}),)


@pytest.mark.parametrize("form", ["md", "html"])
def test_golden(form: str) -> None:
    """The document reads as it did when somebody last read it."""
    render = {"md": report.markdown, "html": report.html}[form]
    golden.check(f"repeats.{form}", render(Repeats(series=(series("outage", *TIMES, flaky=FLAKY), series("calm")))))


def test_what_never_came_is_said_with_how_long_it_was_watched_for() -> None:
    """It is no dash and no number: people read that it took longer than that."""
    text = report.markdown(Repeats(series=(series("outage", *TIMES),)))
    assert "| recovery | more than 5 min | - | 0, 2 not: over 5 min to 7 min |" in text
    assert (
        "| detection | 4 min 28 s (4 min 10 s, no upper bound) | 4 min 10 s to 4 min 30 s | 4, 2 not: over 10 min"
        in text
    )
    assert "| - pending | 2 min 10 s | 2 min 10 s | 5, 1 unknown |" in text


def test_hostile_text_stays_text() -> None:
    """A scenario, a time or a claim can't turn into markup."""
    evil = series(
        EVIL, Spread(name=EVIL, said=EVIL, reached=(1.0,), median=1.0), flaky=(Flaky(claim=EVIL, outcomes={}),)
    )
    assert EVIL in _Page(report.html(Repeats(series=(evil,)))).text
    text = report.markdown(Repeats(series=(evil,)))
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
