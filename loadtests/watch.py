"""Watch: every request of a user's HTTP client is seen when it leaves, and ends in bounded time."""

from __future__ import annotations

from typing import Any

import gevent
from locust import HttpUser, User
from requests.exceptions import ReadTimeout

from loadtests.arrival import named, status_of
from loadtests.crowd import Seat

MARK = "gameday"  # under this key a request travels through Locust's own context and comes back with its outcome


def watch_client(seat: Seat, *, timeout: float) -> None:
    """Let every request of this user's HTTP client be seen when it leaves, and end it after `timeout` seconds.

    A client's own timeouts count from byte to byte, so that an answer that trickles would never end.
    """
    client = getattr(seat.user, "client", None)
    original = getattr(client, "request", None)
    if client is None or original is None:
        return

    def request(method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        arrival = seat.arrival
        if arrival is None:  # something that the user left running in the background
            return original(method, url, *args, **kwargs)
        name = kwargs.get("name") or (args[0] if args else None) or getattr(client, "request_name", None) or url
        _limit_reads(seat.user, kwargs, timeout)
        sent = arrival.sends(named(method, str(name)))
        kwargs["context"] = {**(kwargs.get("context") or {}), MARK: sent}
        try:
            with gevent.Timeout(timeout, _too_long(seat.user, timeout)):
                answer = original(method, url, *args, **kwargs)
        finally:
            sent.answered()
        sent.status = status_of(answer)
        return answer

    client.request = request


def _too_long(user: User, timeout: float) -> OSError:
    """An error that this user's client takes for a failed request, and not for one of its own."""
    kind = ReadTimeout if isinstance(user, HttpUser) else TimeoutError
    return kind(f"no complete answer within {timeout:g} s")


def _limit_reads(user: User, kwargs: dict[str, Any], timeout: float) -> None:
    """Bound a request of `HttpUser`, whose client takes its timeout with each call."""
    if isinstance(user, HttpUser):
        given = kwargs.get("timeout")
        kwargs["timeout"] = min(float(given), timeout) if isinstance(given, int | float) else timeout
