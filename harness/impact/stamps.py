"""Stamps: the form in which a table keeps its instants, read from one of them, so that queries can be filled alike."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_TEXT = re.compile(
    r"\d{4}-\d\d-\d\d(?P<between>[ T])\d\d:\d\d:\d\d(?:[.](?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]00:?00)?"
)
# Epoch seconds of this century have ten digits, milliseconds thirteen.
_MILLISECONDS_FROM = 1e11


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How one instant is written: text with `between` its date and its time, `digits` of a second's fraction (cut, not
    rounded) and `zone` behind; or a number, `per_second` of them to a second (0: it is text)."""

    between: str = " "
    digits: int = 0
    zone: str = ""
    per_second: int = 0

    @property
    def resolution(self) -> float:
        """Seconds from one stamp to the next possible one."""
        return 1 / self.per_second if self.per_second > 1 else 10.0**-self.digits

    def write(self, at: float) -> str:
        """The instant `at` in this form, cut to what the form resolves."""
        if self.per_second:
            return str(math.floor(at * self.per_second))
        moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=math.floor(at * 1e6 + 0.5))
        fraction = f".{moment.microsecond:06d}".ljust(10, "0")[: self.digits + 1] if self.digits else ""
        return moment.strftime(f"%Y-%m-%d{self.between}%H:%M:%S") + fraction + self.zone

    def read(self, stamp: str) -> float:
        """The instant that `stamp`, which is of this form and in UTC, stands for. Raises ValueError."""
        if self.per_second:
            return float(stamp) / self.per_second
        day, _, rest = stamp.partition(self.between)
        clock, _, fraction = rest.removesuffix(self.zone).partition(".")
        return datetime.fromisoformat(f"{day}T{clock}+00:00").timestamp() + float(f"0.{fraction or 0}")


ISO_8601 = Form(between="T", zone="Z")


def form_of(stamp: object) -> Form | None:
    """The form of `stamp` as a database gave it; None where it is none that can be filled in with certainty."""
    if isinstance(stamp, int | float) and not isinstance(stamp, bool):
        return Form(per_second=1000 if stamp > _MILLISECONDS_FROM else 1)
    match = _TEXT.fullmatch(stamp) if isinstance(stamp, str) else None
    if match is None:
        return None
    return Form(between=match["between"], digits=len(match["fraction"] or ""), zone=match["zone"] or "")
