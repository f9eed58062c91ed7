"""Misbehaviour: the ways in which an upstream that is up answers badly, and what a caller meets in each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, get_args

from harness.model.units import say_duration, say_ratio, seconds
from harness.probes.http_probe import HttpProbe
from harness.probes.reply import Reply
from harness.sandbox.base import Address

Way = Literal["rate-limited", "server-error", "overloaded", "slow-first-token", "stall", "cut", "malformed"]
# A probe's own cost on a busy machine, and how long an answer is silent before it counts as stalled.
ALLOWANCE = seconds(1)
# A share is a chance for each of our requests: so that one in 100 000 probes misses it.
_NEVER = math.log(1e-5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaviour:
    """`how` is done to `share` of the answers: `rate-limited` is a 429 with `retry_after`, `server-error` a 500,
    `overloaded` a 503 or 529 as the provider has it; `slow-first-token` says the first of it after `delay`; `stall`
    stops in the middle and keeps the connection open, `cut` closes it there; `malformed` is a 200 with nonsense."""

    how: Way
    share: float
    retry_after: timedelta
    delay: timedelta

    def __str__(self) -> str:
        often = "" if self.share == 1 else f", {say_ratio(self.share)} of the answers"
        size = {
            "rate-limited": f", Retry-After {self.retry_after.total_seconds():g} s",
            "slow-first-token": f" by {say_duration(self.delay)}",
        }
        return f"{self.how}{size.get(self.how, '')}{often}"

    def problems(self, probe: HttpProbe) -> list[str]:
        """What is wrong with these settings, in plain words."""
        found = [] if self.how in get_args(Way) else [f"how={self.how!r} is not one of {', '.join(get_args(Way))}"]
        if not 0.05 <= self.share <= 1:
            found.append(f"a share of {self.share:g} is outside 0.05 .. 1")
        if not seconds(0.5) <= self.delay <= seconds(60):
            found.append(f"a delay of {say_duration(self.delay)} is outside 500 ms .. 60 s")
        if not seconds(1) <= self.retry_after <= seconds(3600):
            found.append(f"retry_after={say_duration(self.retry_after)} is outside 1 s .. 1 h")
        if self.how == "malformed" and not probe.says:
            found.append("a probe for malformed answers must know what a healthy one `says`")
        return found

    def order(self) -> dict[str, Any]:
        """What the stub is told."""
        retry_after, delay = self.retry_after.total_seconds(), round(self.delay.total_seconds() * 1000)
        return {"how": self.how, "share": self.share, "retry_after": retry_after, "delay_ms": delay}

    def is_admitted(self, state: Mapping[str, Any]) -> bool:
        """Whether the stub's `state` says that it does just this."""
        return {name: state.get(name) for name in self.order()} == self.order()

    def met_by(self, probe: HttpProbe, address: Address) -> tuple[bool, Reply]:
        """Ask at `address` until an answer shows it, as often as its share needs; False with the last answer."""
        tries = 1 if self.share == 1 else math.ceil(_NEVER / math.log(1 - self.share))
        for _ in range(tries):
            reply = probe.ask(address, patience=self._at_most)
            if self._is(reply, probe):
                return True, reply
        return False, reply

    @property
    def _at_most(self) -> timedelta:
        return self.delay * 1.5 + ALLOWANCE if self.how == "slow-first-token" else ALLOWANCE

    def _is(self, reply: Reply, probe: HttpProbe) -> bool:
        match self.how:
            case "rate-limited":
                return reply.status == 429 and reply.retry_after == f"{self.retry_after.total_seconds():g}"
            case "server-error":
                return reply.status == 500
            case "overloaded":
                return reply.status in (503, 529)
            case "slow-first-token":
                return probe.finds_well(reply) and self.delay * 0.9 <= seconds(reply.seconds) <= self._at_most
            case "stall":
                return reply.ending == "silent"
            case "cut":
                return reply.ending == "cut"
            case "malformed":
                whole = reply.ending == "whole" and reply.status == probe.expect_status
                return whole and not probe.finds_well(reply)
