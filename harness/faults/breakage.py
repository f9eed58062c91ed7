"""Breakage: one way to break a proxied link, to mend it, and to see by a probe of our own that it is broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from harness.errors import HarnessError
from harness.model.units import say_duration, seconds
from harness.probes.probe import Answer, ask
from harness.sandbox.base import Link

How = Literal["down", "timeout", "reset", "slow"]
Stream = Literal["upstream", "downstream"]
STREAMS: tuple[Stream, ...] = ("upstream", "downstream")
TOXIC = "gameday"
# A probe's own cost on a busy machine: how much longer than intended an answer over a slow link may take.
ALLOWANCE = seconds(1)


@dataclass(frozen=True, slots=True)
class Breakage:
    """`down` refuses connections and cuts the open ones; `timeout` accepts and never answers (a black hole); `reset`
    resets each connection; `slow` delays each answer by `delay`."""

    how: How
    delay: timedelta

    def __str__(self) -> str:
        return f"slow by {say_duration(self.delay)}" if self.how == "slow" else self.how

    def problems(self) -> list[str]:
        """What is wrong with these settings, in plain words."""
        if self.how not in {"down", "timeout", "reset", "slow"}:
            return [f"how={self.how!r} is not one of down, timeout, reset, slow"]
        if self.how == "slow" and not seconds(0.05) <= self.delay <= seconds(60):
            return [f"a delay of {say_duration(self.delay)} is outside 50 ms .. 60 s"]
        return []

    def put_into(self, link: Link) -> None:
        """Break it, and end every connection that was open before: an old one might go on unharmed (Toxiproxy draws
        a toxic's share once per connection), and its bytes are counted only once it has ended."""
        if self.how == "down":
            link.disable()
            return
        for stream, kind, attributes in self._toxics():
            link.add_toxic(kind, name=f"{TOXIC}-{stream}", attributes=attributes, stream=stream)
        link.cut()

    def take_out_of(self, link: Link) -> None:
        for stream in STREAMS:
            link.remove_toxic(f"{TOXIC}-{stream}")
        link.enable()

    def seen_on(self, link: Link) -> tuple[bool | None, str]:
        """Whether a caller of `link` meets this breakage, and what it met. What the proxy says must agree with what
        the probe meets; where they differ we can't tell (None)."""
        try:
            status = link.status()
        except HarnessError as cause:
            return None, f"the proxy can't be asked: {cause}"
        patience = self.delay * 1.5 + ALLOWANCE if self.how == "slow" else ALLOWANCE
        answer = ask(link.address, patience=patience)
        admitted = not status.enabled or any(str(toxic.get("name", "")).startswith(TOXIC) for toxic in status.toxics)
        met = self._met_by(answer)
        if admitted == met:
            return met, str(answer)
        if not admitted and answer.reply == "answered":  # slow machine, whole link
            return False, str(answer)
        return None, f"{answer}, while the proxy calls the link {'broken' if admitted else 'whole'}"

    def _met_by(self, answer: Answer) -> bool:
        if self.how == "slow":
            at_most = self.delay * 1.5 + ALLOWANCE
            return answer.reply == "answered" and self.delay * 0.9 <= seconds(answer.seconds) <= at_most
        return answer.reply in {"down": {"refused"}, "timeout": {"silent"}, "reset": {"reset", "closed"}}[self.how]

    def _toxics(self) -> list[tuple[Stream, str, Mapping[str, int]]]:
        """Toxic kind and attributes (milliseconds) by stream, as Toxiproxy 2.12 names them."""
        if self.how == "timeout":
            return [(stream, "timeout", {"timeout": 0}) for stream in STREAMS]
        if self.how == "reset":
            return [("downstream", "reset_peer", {"timeout": 0})]
        if self.how == "slow":
            return [("downstream", "latency", {"latency": round(self.delay.total_seconds() * 1000), "jitter": 0})]
        return []
