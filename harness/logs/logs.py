"""Logs: the log of one service, and the claims that can be made of it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import UsageError
from harness.logs.checks import LogLacks, LogShows
from harness.model.timeline import Window


@dataclass(frozen=True, slots=True)
class Logs:
    """What the service writes to its output, by the service's name in the topology. A text is looked for as it stands:
    part of a line, upper and lower case told apart."""

    service: str

    def __str__(self) -> str:
        return f"the log of {self.service}"

    def shows(self, text: str, during: Window, *more: Window) -> LogShows:
        """The claim that it wrote a line with `text` in each of these windows."""
        return LogShows(service=self.service, text=_text(text), windows=_names(during, *more))

    def lacks(self, text: str, during: Window, *more: Window) -> LogLacks:
        """The claim that it wrote no line with `text` in any of these windows, in each of which users came."""
        return LogLacks(service=self.service, text=_text(text), windows=_names(during, *more))

    def without(self, text: str) -> LogWithout:
        """That no line with `text` is written, before it is said when: for a checkpoint."""
        return LogWithout(self, _text(text))


@dataclass(frozen=True, slots=True)
class LogWithout:
    """A log and a text that it must not show."""

    log: Logs
    text: str

    def during(self, window: Window) -> LogLacks:
        """The claim that no such line was written in `window`, in which users came."""
        return self.log.lacks(self.text, window)


def _text(text: str) -> str:
    if not text.strip() or "\n" in text:
        raise UsageError(f"{text!r} is no text that a line can be told by", hint='Logs("web").shows("pool exhausted")')
    return text


def _names(*windows: Window) -> tuple[str, ...]:
    return tuple(window.name for window in windows)
