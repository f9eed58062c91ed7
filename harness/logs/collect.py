"""Collect: read from the services' logs, once and at the end, the lines that claims speak of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import HarnessError
from harness.logs.instants import written
from harness.model.record import LogEvidence, LogLine
from harness.sandbox.base import HasLogs

KIND = "log."  # how the kind of each claim about a log begins
LONGEST_LINE = 500  # characters of a line that a record keeps
MOST_LINES = 5000  # of one service; more would make the record unreadable


def collect(sandbox: object, checks: Sequence[Mapping[str, Any]], at: float) -> tuple[LogEvidence, ...]:
    """The evidence for those of `checks` (in their JSON form) that are about logs, read at the instant `at`. Never
    raises: what can't be read is said in `problem`."""
    texts: dict[str, dict[str, None]] = {}
    for check in checks:
        if str(check.get("kind", "")).startswith(KIND):
            texts.setdefault(str(check.get("service", "")), {})[str(check.get("text", ""))] = None
    return tuple(_read(sandbox, service, tuple(wanted), at) for service, wanted in texts.items())


def _read(sandbox: object, service: str, texts: tuple[str, ...], at: float) -> LogEvidence:
    if not isinstance(sandbox, HasLogs):
        return LogEvidence(service=service, texts=texts, problem="this sandbox has no logs to read")
    try:
        log = sandbox.log(service)
    except HarnessError as problem:
        return LogEvidence(service=service, texts=texts, problem=str(problem.args[0]))
    every = list(written(log, at))
    lines = tuple(
        LogLine(text=line.text[:LONGEST_LINE], began=line.began, ended=line.ended)
        for line in every
        if any(text in line.text[:LONGEST_LINE] for text in texts)
    )
    flood = f"{len(lines)} lines hold what was looked for: more than a record can keep"
    return LogEvidence(
        service=service,
        texts=texts,
        lines=lines[:MOST_LINES],
        first=min((line.began for line in every if line.began is not None), default=None),
        problem=flood if len(lines) > MOST_LINES else "",
    )
