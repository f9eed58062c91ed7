"""Figures: what Apache's `ab` computes of its requests, and its report, from ours.

From support/ab.c of Apache httpd 2.4, `output_results`: requests per second are the complete requests over the time of
the whole test; "Time per request (mean)" is that time, times the requests made at once, over the complete requests, and
"across all concurrent requests" the same without the factor. A percentage p of n requests is served within the time of
the one at place n * p / 100 (whole numbers, counted from 0) of them all in order.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.model.benchmark import Reply

PERCENTAGES = (50, 66, 75, 80, 90, 95, 98, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What ab says of `replies`, of which `at_once` were under way at a time for `seconds` in all.

    To ab a request is complete when its connection was taken and closed again, whatever came, and failed where the
    answer is of another length than the first. Here an answer that is none, or not whole, is failed too."""

    replies: Sequence[Reply]
    at_once: int
    seconds: float

    @property
    def complete(self) -> Sequence[Reply]:
        return [reply for reply in self.replies if reply.connected is not None]

    @property
    def length(self) -> int:
        """Bytes of the first answer's body."""
        return self.complete[0].length if self.complete else 0

    @property
    def broken(self) -> int:
        """Those that were answered with nothing, with no HTTP, in part, or too late."""
        return sum(bool(reply.error) for reply in self.complete)

    @property
    def of_another_length(self) -> int:
        return sum(reply.length != self.length and not reply.error for reply in self.complete)

    @property
    def not_2xx(self) -> int:
        return sum(reply.status != 0 and not 200 <= reply.status < 300 for reply in self.complete)

    @property
    def rate(self) -> float:
        """Complete requests a second."""
        return len(self.complete) / self.seconds if self.seconds > 0 else 0.0

    @property
    def mean(self) -> float:
        """Time per request, in seconds, as one of the users has it."""
        return self.seconds * self.at_once / len(self.complete) if self.complete else math.inf

    def within(self, percentage: int) -> float:
        """Seconds within which so many percent of the complete requests were served."""
        return at_place(sorted(reply.seconds for reply in self.complete), percentage)


def at_place(ordered: Sequence[float], percentage: int) -> float:
    """ab's percentile of `ordered` values; infinite where there are none."""
    return ordered[min(len(ordered) * percentage // 100, len(ordered) - 1)] if ordered else math.inf


def report(url: str, figures: Figures, *, variable_length: bool = False, short: bool = False) -> str:
    """The report as ab prints it after its test; `short` leaves its table of percentages out."""
    parts = urlsplit(url)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    done = len(figures.complete)
    lines = [
        "",
        "",
        "Server Software:        ",
        f"Server Hostname:        {parts.hostname}",
        f"Server Port:            {parts.port or 80}",
        "",
        f"Document Path:          {path}",
        f"Document Length:        {'Variable' if variable_length else f'{figures.length} bytes'}",
        "",
        f"Concurrency Level:      {figures.at_once}",
        f"Time taken for tests:   {figures.seconds:.3f} seconds",
        f"Complete requests:      {done}",
        *_failures(figures, variable_length),
        f"Total transferred:      {sum(reply.received for reply in figures.complete)} bytes",
        f"HTML transferred:       {sum(reply.length for reply in figures.complete)} bytes",
    ]
    if done and figures.seconds > 0:
        received = sum(reply.received for reply in figures.complete) / 1024 / figures.seconds
        lines += [
            f"Requests per second:    {figures.rate:.2f} [#/sec] (mean)",
            f"Time per request:       {figures.mean * 1000:.3f} [ms] (mean)",
            f"Time per request:       {figures.seconds * 1000 / done:.3f} [ms] (mean, across all concurrent requests)",
            f"Transfer rate:          {received:.2f} [Kbytes/sec] received",
            *_connection_times(figures.complete),
        ]
        lines += [] if short or done < 2 else _percentages(figures)
    return "\n".join(lines) + "\n"


def _failures(figures: Figures, variable_length: bool) -> Iterator[str]:
    connect = len(figures.replies) - len(figures.complete)
    length = 0 if variable_length else figures.of_another_length
    failed = connect + figures.broken + length
    yield f"Failed requests:        {failed}"
    if failed:
        yield f"   (Connect: {connect}, Receive: {figures.broken}, Length: {length}, Exceptions: 0)"
    if figures.not_2xx:
        yield f"Non-2xx responses:      {figures.not_2xx}"


def _connection_times(replies: Sequence[Reply]) -> Iterator[str]:
    parts: tuple[tuple[str, Callable[[Reply], float]], ...] = (
        ("Connect:", lambda reply: (reply.connected or reply.ended) - reply.sent),
        ("Processing:", lambda reply: reply.ended - (reply.connected or reply.ended)),
        ("Waiting:", lambda reply: (reply.first or reply.ended) - (reply.connected or reply.ended)),
        ("Total:", lambda reply: reply.seconds),
    )
    yield from ("", "Connection Times (ms)", "              min  mean[+/-sd] median   max")
    for name, took in parts:
        values = [took(reply) * 1000 for reply in replies]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        yield (
            f"{name:<12}{_whole(min(values)):5} {_whole(statistics.fmean(values)):4} {spread:5.1f} "
            f"{_whole(statistics.median(values)):6} {_whole(max(values)):7}"
        )


def _percentages(figures: Figures) -> Iterator[str]:
    yield from ("", "Percentage of the requests served within a certain time (ms)")
    for percentage in PERCENTAGES:
        yield f"  {percentage}%  {_whole(figures.within(percentage) * 1000):5}"
    yield f" 100%  {_whole(figures.within(100) * 1000):5} (longest request)"


def _whole(milliseconds: float) -> int:
    return math.floor(milliseconds + 0.5)
