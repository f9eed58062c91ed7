"""Stub: the door of a fake upstream by which it is told to misbehave, `/_stub/behaviour` on its own port."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from harness.errors import SandboxError
from harness.model.units import seconds
from harness.probes.http_probe import connect
from harness.sandbox.base import Address

PATH = "/_stub/behaviour"
PATIENCE = seconds(2)


class StubGone(SandboxError):
    """Nobody listens at the stub's address: what it was told is gone with it."""


@dataclass(frozen=True, slots=True)
class Stub:
    """A fake upstream at `address`."""

    address: Address

    def state(self) -> Mapping[str, Any]:
        """What it says it does: `how` (`normal`, or the way it misbehaves), `since`, `served` (answers given in that
        way), `answered` (all answers since its start), and its settings. Raises SandboxError."""
        return self._call("GET")

    def misbehave(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do as `order` says from now on; returns its state. Raises SandboxError."""
        return self._call("PUT", order)

    def behave(self) -> None:
        """Answer normally again. Raises SandboxError."""
        self._call("DELETE")

    def _call(self, method: str, order: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        body = None if order is None else json.dumps(order)
        try:
            with closing(connect(self.address, PATIENCE)) as connection:
                connection.request(method, PATH, body, {"Content-Type": "application/json"} if body else {})
                with connection.getresponse() as answer:
                    text = answer.read(1 << 16).decode("utf-8", "replace")
        except ConnectionRefusedError as cause:
            raise StubGone(f"the stub at {self.address} does not listen") from cause
        except (OSError, HTTPException) as cause:
            raise SandboxError(
                f"the stub at {self.address} does not answer: {cause or type(cause).__name__}"
            ) from cause
        try:
            state = json.loads(text)
        except ValueError:
            state = None
        if answer.status != 200 or not isinstance(state, dict) or "how" not in state:
            raise SandboxError(
                f"{method} {PATH} at {self.address} was answered with {answer.status}: {text[:200]}",
                hint="is it a stub that can be told to misbehave?",
            )
        return state
