"""Impact: what an incident cost by the system's own request log, asked with the runbook's own queries.

All instants are wall time in seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.model.timeline import Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """From when to when there was an incident, and by what each end is known. `ended` is never after the run's end."""

    began: float
    began_by: str
    ended: float
    ended_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryAnswer:
    """What one database answered to one query. `form` tells how its parameters were filled in: `as-stored` as the
    table's own timestamps are, `whole-seconds` the same without a fraction, `iso-8601` as `2026-01-02T03:04:05Z`.

    `database` is `SERVICE:/PATH`, or `all` for every one of them taken together. `rows` is what came back, none where
    `problem` says why: the database's own words.
    """

    database: str
    form: Literal["as-stored", "whole-seconds", "iso-8601"]
    parameters: Mapping[str, str]
    rows: tuple[tuple[Scalar, ...], ...] = ()
    problem: str = ""

    @property
    def count(self) -> int | None:
        """The one whole number that came back; None where something else did, or nothing."""
        only = self.rows[0][0] if len(self.rows) == 1 and len(self.rows[0]) == 1 else None
        return only if isinstance(only, int) and not isinstance(only, bool) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactQuery:
    """One query of the runbook, `text` as written, `source` its place (`page.md:12`), and what came of it."""

    text: str
    source: str
    answers: tuple[QueryAnswer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequests:
    """The rows of one request log with the same method, path and status: `in_run` of the whole run, `in_incident` of
    the incident's bounds (as they were filled into the queries), `nobody` those of the latter that name no user."""

    database: str
    method: str
    path: str
    status: int
    in_run: int
    in_incident: int
    nobody: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactEvidence:
    """What was read of the request logs once the load had ended and they had stopped growing.

    `incident` is None where there was none. `began` and `ended` are its bounds as the queries were given them, cut to
    what the table's timestamps resolve (`resolution` seconds; None: they could not be read). `turned_away` are requests
    that a proxy says it answered by itself, without a service. `lost` counts, by database, the rows of the whole run
    that its service says it could not keep. `left_out` counts rows of the run that are in none of `logged`, because
    there were more kinds of them than a record keeps.
    """

    incident: Incident | None
    databases: tuple[str, ...]
    began: float | None = None
    ended: float | None = None
    resolution: float | None = None
    queries: tuple[ImpactQuery, ...] = ()
    logged: tuple[LoggedRequests, ...] = ()
    turned_away: tuple[LoggedRequests, ...] = ()
    lost: Mapping[str, int] = field(default_factory=dict)
    left_out: int = 0
    problems: tuple[str, ...] = field(default=())
