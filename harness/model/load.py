"""Load: arrivals as a pure function of elapsed time, and what became of each request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. `planned` is the instant at which the plan wanted it, `sent` when it really left, `ended` when
    its answer was complete (None: it was still unanswered when the load ended; `censored` is then when we stopped
    watching). Instants are wall seconds since the epoch.

    `status` is the HTTP status, 0 where no answer came. `ok` is true where the answer was the right one by the
    user's own standard (body included), so a quick wrong answer never looks like success. `error` says why not.
    """

    planned: float
    sent: float
    ended: float | None
    name: str
    status: int
    ok: bool
    error: str = ""
    censored: float | None = None

    @property
    def latency(self) -> float | None:
        """Seconds from the planned instant to the end of the answer; None while unanswered."""
        return None if self.ended is None else self.ended - self.planned

    @property
    def at_least(self) -> float:
        """The latency, or, for an unanswered request, how long it had been waiting when we stopped watching."""
        end = self.ended if self.ended is not None else self.censored
        return max(0.0, (end if end is not None else self.sent) - self.planned)
