"""Progress: what people see while they wait."""

from __future__ import annotations

import io
from collections.abc import Callable

from harness.model.timeline import Event
from harness.progress import ConsoleProgress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_an_event_stands_on_a_line_with_its_runbook_time() -> None:
    """Two and a half wall seconds at scale 60 are shown as two and a half minutes."""
    out = io.StringIO()
    ConsoleProgress(60, stream=out).event(2.5, Event(at=0.0, kind="fault.injected", subject="database down"))
    assert out.getvalue().split() == ["2:30", "fault", "in", "database", "down"]


def test_housekeeping_is_not_shown() -> None:
    """Events that tell a reader nothing new stay in the record."""
    out = io.StringIO()
    ConsoleProgress(60, stream=out).event(0.0, Event(at=0.0, kind="observe.ended", subject="calm"))
    assert out.getvalue() == ""


def test_a_log_gets_a_line_every_few_seconds() -> None:
    """Without a terminal a wait of 20 s shows life a few times, with phase, elapsed, expected and status."""
    out = io.StringIO()
    progress = ConsoleProgress(60, stream=out)
    for tenth in range(200):
        progress.waiting("calm", tenth / 10, 20.0, "80/s | all quiet")
    lines = out.getvalue().splitlines()
    assert 2 <= len(lines) <= 4
    assert lines[0].strip() == "calm: 5 min of 20 min | 80/s | all quiet"


def test_a_terminal_gets_one_line_that_is_written_over() -> None:
    """On a terminal the waiting line replaces itself."""
    out = Terminal()
    progress = ConsoleProgress(60, stream=out)
    progress.waiting("calm", 0.0, 20.0, "80/s")
    progress.waiting("calm", 0.5, 20.0, "80/s")
    assert "\n" not in out.getvalue()
    assert out.getvalue().count("\x1b[2K") == 2


def test_captured_output_is_asked_to_make_way() -> None:
    """Each write goes through `around`, with which pytest's capturing is lifted for it."""
    out = io.StringIO()
    made_way = []

    def around(write: Callable[[], None]) -> None:
        made_way.append(True)
        write()

    progress = ConsoleProgress(60, stream=out, around=around)
    before = len(made_way)
    progress.event(0.0, Event(at=0.0, kind="wait.met", subject="it fires"))
    assert len(made_way) == before + 1
