"""Door: what a proxy in front of the services answered by itself, read from its own log."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.model.impact import LoggedRequests
from harness.sandbox.base import HasLogs


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where the proxy says so: the log of `service`, in each line that `line` is found in. It has the groups `at`
    (epoch seconds), `method`, `path` and `status`."""

    service: str
    line: str


def turned_away(
    sandbox: object, door: Door, run: tuple[float, float], incident: tuple[float, float]
) -> tuple[tuple[LoggedRequests, ...], str]:
    """The requests that the proxy answered itself between the instants of `run`, and of `incident`; and why they can't
    be told, empty where they can."""
    if not isinstance(sandbox, HasLogs):
        return (), "this sandbox has no logs to read"
    try:
        log = sandbox.log(door.service)
    except HarnessError as problem:
        return (), str(problem.args[0])
    whole: Counter[tuple[str, str, int]] = Counter()
    inside: Counter[tuple[str, str, int]] = Counter()
    for found in re.finditer(door.line, log, re.MULTILINE):
        at, kind = float(found["at"]), (found["method"], found["path"], int(found["status"]))
        whole[kind] += run[0] <= at <= run[1]
        inside[kind] += incident[0] <= at <= incident[1]
    return tuple(
        LoggedRequests(
            database=door.service,
            method=kind[0],
            path=kind[1],
            status=kind[2],
            in_run=whole[kind],
            in_incident=inside[kind],
            nobody=0,
        )
        for kind in sorted(whole)
    ), ""
