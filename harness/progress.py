"""Progress: what people see while a run is on: each event on a line, and a line that says what is waited for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TextIO

from harness.model.timeline import Event
from harness.model.units import say_duration

# Without a terminal, a waiting line this often (wall seconds): a CI log should show life, not scroll.
QUIET_INTERVAL = 5.0
LABEL = 28  # columns of the names of most scenarios
SHOWN = {
    "observe.began": "observing",
    "fault.injected": "fault in",
    "fault.healed": "fault out",
    "fault.heal-failed": "HEAL FAILED",
    "step.began": "step",
    "step.finding": "finding",
    "wait.met": "seen",
    "wait.gave-up": "not seen",
    "run.abandoned": "ABANDONED",
    "sandbox.ready": "sandbox ready",
    "sandbox.runtime": "sandbox",
}


class ConsoleProgress:
    """Writes to a stream, at best a terminal (standard error as it is at each write). `around` is called with each
    write, to make way for it where output is captured. Times shown are runbook time since the run began. Where other
    runs write to the same stream, `label` begins each line."""

    def __init__(
        self,
        scale: float,
        *,
        stream: TextIO | None = None,
        around: Callable[[Callable[[], None]], None] | None = None,
        label: str = "",
    ) -> None:
        self._scale = scale
        self._label = label
        self._given = stream
        self._around = around or (lambda write: write())
        self._live = False
        self._around(self._look)
        self._last = float("-inf")
        self._phase = ""

    def _look(self) -> None:
        self._live = self._stream.isatty() and not self._label

    @property
    def _stream(self) -> TextIO:
        return self._given or sys.stderr

    def event(self, elapsed: float, event: Event) -> None:
        word = SHOWN.get(event.kind)
        if word:
            self._write(f"{self._at(elapsed)}  {word:13} {event.subject}\n")

    def waiting(self, phase: str, elapsed: float, expected: float, status: str) -> None:
        due = 0.2 if self._live else QUIET_INTERVAL
        if phase == self._phase and 0 <= elapsed - self._last < due:
            return
        if phase != self._phase and not self._live:  # the event has just said so
            self._phase, self._last = phase, elapsed
            return
        self._phase, self._last = phase, elapsed
        times = f"{say_duration(self._runbook(elapsed))} of {say_duration(self._runbook(expected))}"
        line = f"           {phase}: {times} | {status}"
        self._write(f"\r\x1b[2K{line[:150]}\r" if self._live else f"{line}\n")

    def _at(self, elapsed: float) -> str:
        clear = "\r\x1b[2K" if self._live else ""
        whole = int(self._runbook(elapsed).total_seconds())
        return f"{clear}{whole // 60:5d}:{whole % 60:02d}"

    def _runbook(self, wall: float) -> timedelta:
        return timedelta(seconds=round(wall * self._scale, 1))

    def _write(self, text: str) -> None:
        def write() -> None:
            self._stream.write(f"{self._label:{LABEL}} {text}" if self._label else text)
            self._stream.flush()

        self._around(write)
