"""When the lines of a log were written."""

from __future__ import annotations

import pytest

from harness.logs.instants import written

AT = 1_795_449_000.0  # 2026-11-23T15:50:00Z
READ = AT + 1000


@pytest.mark.parametrize(
    ("line", "began", "resolution"),
    [
        ("2026-11-23T15:50:00.123Z web[7] ERROR: pool exhausted", AT + 0.123, 0.001),
        ("[2026-11-23 15:50:00 +0000] [7] [INFO] Booting worker", AT, 1),
        ("2026-11-23T17:50:00+02:00 200 GET /", AT, 1),
        ("time=2026-11-23T15:50:00.5Z level=INFO msg=x", AT + 0.5, 0.1),
        ('{"level":"info","caller":"a rather long name of a file.go:104","time":"2026-11-23T15:50:00Z"}', AT, 1),
        (
            '{"message":"made to be longer than a prefix may be","@timestamp": "2026-11-23T15:50:00,25Z"}',
            AT + 0.25,
            0.01,
        ),
    ],
)
def test_a_line_tells_its_instant(line: str, began: float, resolution: float) -> None:
    """Each usual form is read with its zone, and is as sharp as its digits."""
    (found,) = written(line, READ)
    assert found.text == line
    assert found.began == pytest.approx(began)
    assert found.ended - began == pytest.approx(resolution, abs=1e-6)


@pytest.mark.parametrize(
    "line",
    [
        "2026/11/23 15:50:00 [error] no live upstreams",  # no zone: whose time is it?
        "2026-11-23 15:50:00 ERROR: x",
        "7:M 23 Nov 2026 15:50:00.867 * Ready",
        "2026-02-31T15:50:00Z x",  # no such day
        "a certificate that was looked at just now is valid until 2026-11-23T15:50:00Z",  # not when it was written
        "",
    ],
)
def test_a_line_that_does_not_tell_is_not_guessed(line: str) -> None:
    """Without an instant of its own, nothing is known of a line but that it was written before it was read."""
    assert [(found.began, found.ended) for found in written(line + "\n", READ)] == [(None, READ)]


def test_a_line_without_an_instant_lies_between_its_neighbours() -> None:
    """A traceback was written after the line before it and before the line after it."""
    log = "early\n2026-11-23T15:50:10Z a\nTraceback\n  File\n2026-11-23T15:50:20.0Z b\nlast\n"
    assert [(found.began and found.began - AT, found.ended - AT) for found in written(log, READ)] == [
        (None, 11),
        (10, 11),
        (10, pytest.approx(20.1)),
        (10, pytest.approx(20.1)),
        (20, pytest.approx(20.1)),
        (20, 1000),
    ]


def test_lines_of_several_processes_may_be_out_of_order() -> None:
    """A line never ends before it begins, whatever its neighbours say."""
    log = "2026-11-23T15:50:20Z a\nx\n2026-11-23T15:50:10Z b\n"
    assert [(found.began or 0) <= found.ended for found in written(log, READ)] == [True, True, True]
