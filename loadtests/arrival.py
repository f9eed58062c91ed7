"""Arrival: one user comes, does one task, and every request that it makes becomes a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.model.load import Sample

LONGEST_ERROR = 200  # characters

Now = Callable[[], float]


class Request:
    """One request that has left. `returned` is when its answer was complete; `reported` once it has become a sample."""

    __slots__ = ("arrival", "name", "planned", "reported", "returned", "sent", "status")

    def __init__(self, arrival: Arrival, name: str, planned: float, sent: float) -> None:
        self.arrival = arrival
        self.name = name
        self.planned = planned
        self.sent = sent
        self.returned: float | None = None
        self.status = 0
        self.reported = False

    def answered(self) -> None:
        """Its answer is complete, or will never be."""
        self.returned = self.arrival.now()


class Arrival:
    """One arrival: planned for an instant, started when the engine got round to it.

    Its first request counts from the planned instant, each later one from its own start. The latest sample is held
    back until the next one, or the end of the task, so that a task which fails after a good answer (an assertion in
    the user's code, say) can still turn that answer into a failure.
    """

    __slots__ = ("_held", "_keep", "_open", "name", "now", "planned", "wrote")

    def __init__(self, planned: float, name: str, *, now: Now, keep: Callable[[Sample], None]) -> None:
        self.name = name
        self.wrote = False
        self.planned = planned
        self.now = now
        self._keep = keep
        self._open: list[Request] = []
        self._held: Sample | None = None

    def sends(self, name: str) -> Request:
        """A request leaves now."""
        sent = max(self.now(), self.planned)
        request = Request(self, name, sent if self.wrote else self.planned, sent)
        self.wrote = True
        self._open.append(request)
        return request

    def reports(self, request: Request, status: int, error: str) -> None:
        """Locust has the outcome of `request`; no `error` means that the user took it for a right answer."""
        if request.reported:
            return
        request.reported = True
        self._open.remove(request)
        ended = request.returned if request.returned is not None else self.now()
        self._hold(
            Sample(
                planned=request.planned,
                sent=request.sent,
                ended=max(ended, request.sent),
                name=request.name,
                status=status,
                ok=not error,
                error=error,
            )
        )

    def reports_other(self, name: str, seconds: float, error: str) -> None:
        """The outcome of a request that did not go through an HTTP client of Locust's; it took `seconds`."""
        ended = max(self.now(), self.planned)
        sent = max(self.planned, ended - max(0.0, seconds))
        planned = sent if self.wrote else self.planned
        self.wrote = True
        self._hold(Sample(planned=planned, sent=sent, ended=ended, name=name, status=0, ok=not error, error=error))

    def ends(self, error: str) -> None:
        """The task is over; `error` is what it failed with, if it did. Nothing that it began goes uncounted."""
        for request in list(self._open):
            self.reports(request, request.status, error or "the user's task never judged this answer")
        if not self.wrote:
            self.sends(self.name)
            self.reports(self._open[0], 0, error or "the task made no request")
        if error and self._held is not None and self._held.ok:
            self._held = replace(self._held, ok=False, error=error)
        self._release()

    def breaks_off(self) -> None:
        """We stop watching now: what is still open is kept as it stands."""
        self._release()
        if not self.wrote:
            self.sends(self.name)
        now = self.now()
        for request in self._open:
            request.reported = True
            self._keep(
                Sample(
                    planned=request.planned,
                    sent=request.sent,
                    ended=None,
                    censored=max(now, request.sent),
                    name=request.name,
                    status=request.status,
                    ok=False,
                    error="still unanswered when the load ended",
                )
            )
        self._open.clear()
        self._keep = _forget

    def _hold(self, sample: Sample) -> None:
        self._release()
        self._held = sample

    def _release(self) -> None:
        if self._held is not None:
            self._keep(self._held)
            self._held = None


def _forget(_sample: Sample) -> None:
    """What comes after we stopped watching is not kept: it has been counted as unanswered."""


def named(method: str, name: str) -> str:
    """What a request is called: `POST /chat`."""
    return name if name.startswith(f"{method} ") else f"{method} {name}"


def status_of(answer: Any) -> int:
    """The HTTP status of an answer, 0 where none came."""
    status = getattr(answer, "status_code", 0)
    return status if isinstance(status, int) and 0 <= status <= 999 else 0


def said(error: BaseException | str | None, status: int = 0) -> str:
    """Why a request is a failure, in one short line; empty where there is no error."""
    if error is None:
        return ""
    if type(error).__name__ in ("LocustBadStatusCode", "HTTPError") and status:
        return f"HTTP {status}"
    text = str(error).strip() or type(error).__name__
    kind = "" if isinstance(error, str) or type(error).__name__ == "CatchResponseError" else f"{type(error).__name__}: "
    return f"{kind}{text}"[:LONGEST_ERROR]
