"""Reply: how the answer to a request came: whole, in pieces, late or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from harness.model.units import say_duration

Ending = Literal["whole", "cut", "silent", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer: `ending` is how its body ended (`none`: no answer came), `seconds` how long all of it took."""

    ending: Ending
    seconds: float
    status: int | None = None
    retry_after: str = ""
    media_type: str = ""
    body: bytes = b""

    @property
    def well_formed(self) -> bool:
        """Whether the body is what its media type says: JSON, or server-sent events with JSON in them."""
        text = self.body.decode("utf-8", "replace")
        try:
            if self.media_type == "text/event-stream":
                said = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
                return bool(said) and all(isinstance(json.loads(one), dict) for one in said if one != "[DONE]")
            return isinstance(json.loads(text), dict)
        except ValueError:
            return False

    def __str__(self) -> str:
        words = {"whole": "whole", "cut": "cut short", "silent": "then silence", "none": "no answer"}[self.ending]
        retry = f", Retry-After {self.retry_after}" if self.retry_after else ""
        return f"{self.status or '-'}{retry}, {len(self.body)} bytes, {words} after {say_duration(self.seconds)}"
