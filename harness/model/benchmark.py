"""Benchmark: what a closed loop of users asked of one address, request by request.

Instants are wall seconds since the epoch. All of it is real time: what a server needs for an answer is never scaled.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One request and what came back. `connected` and `first` (the first byte of the answer) are None where it did not
    come so far. `status` is the HTTP status, 0 where none came; `received` counts all bytes of the answer, `length`
    those of its body. `error` says why it was no whole answer; one with a status of its own may be whole."""

    sent: float
    connected: float | None
    first: float | None
    ended: float
    status: int
    received: int
    length: int
    error: str

    @property
    def seconds(self) -> float:
        """From before its connection was opened until the answer was complete, or given up."""
        return self.ended - self.sent

    @property
    def right(self) -> bool:
        """Whether it is whole and says success."""
        return not self.error and 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRecord:
    """One benchmark: `requests` were to be made of `target`, `at_once` at a time, during `window`.

    It lasted from `began` to `ended`; `replies` are in the order in which they ended, fewer than `requests` where it
    was broken off, which `stopped` explains. `client_cpu` is the share of one core that our own client used. `problem`
    says why there is no account of it.
    """

    window: str
    target: str
    requests: int
    at_once: int
    began: float = 0.0
    ended: float = 0.0
    replies: tuple[Reply, ...] = ()
    stopped: str = ""
    client_cpu: float | None = None
    problem: str = ""
