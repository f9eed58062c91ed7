"""Instants: when each line of a log was written, as far as the log itself tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

# RFC 3339 and its relatives, where a line begins or under a name of their own. A time without a zone is none: it may
# be anybody's.
_INSTANT = r"(?P<day>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d:\d\d)(?:[.,](?P<part>\d{1,9}))? ?(?P<zone>Z|[+-]\d\d:?\d\d)"
_AT_START = re.compile(rf".{{0,40}}?{_INSTANT}")
_NAMED = re.compile(rf"""["\s](?:@?timestamp|time|ts)"?\s*[=:]\s*"?{_INSTANT}""")


@dataclass(frozen=True, slots=True)
class Written:
    """One line, written at some instant from `began` to `ended` (wall seconds); None where nothing tells."""

    text: str
    began: float | None
    ended: float


def written(log: str, read_at: float) -> Iterator[Written]:
    """Each line of `log`, which was read at `read_at`. One that carries no instant (a further line of a message, say)
    was written between the two nearest that do."""
    lines = log.splitlines()
    stated = [_instant(line) for line in lines]
    ends, until = [], read_at
    for instant in reversed(stated):
        until = instant[1] if instant else until
        ends.append(until)
    since: float | None = None
    for line, instant, end in zip(lines, stated, reversed(ends), strict=True):
        since = instant[0] if instant else since
        yield Written(line, since, end if since is None else max(since, end))


def _instant(line: str) -> tuple[float, float] | None:
    """From when to when the instant is that `line` carries: a time in whole seconds is a second long."""
    found = _AT_START.match(line) or _NAMED.search(line)
    if found is None:
        return None
    try:
        whole = datetime.fromisoformat(f"{found['day']}T{found['time']}{found['zone']}").timestamp()
    except ValueError:  # the 31st of February
        return None
    part = found["part"] or ""
    began = whole + (int(part) / 10 ** len(part) if part else 0.0)
    return began, began + 10.0 ** -len(part)
