"""The faults that can be injected, one a file. A new one is imported here and added to `AnyFault`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from harness.errors import UsageError
from harness.faults.base import Fault
from harness.faults.cpu_neighbour import CpuNeighbour
from harness.faults.cpu_quota import CpuQuota
from harness.faults.crash_loop import CrashLoop
from harness.faults.database_lock import DatabaseLock
from harness.faults.descriptors import Descriptors
from harness.faults.heavy_requests import HeavyRequests
from harness.faults.idle_connections import IdleConnections
from harness.faults.redis_full import RedisFull
from harness.faults.scrape_gap import ScrapeGap
from harness.faults.service_down import ServiceDown
from harness.faults.upstream_misbehaves import UpstreamMisbehaves
from harness.faults.upstream_outage import UpstreamOutage
from harness.faults.worker_frozen import WorkerFrozen
from harness.probes.http_probe import HttpProbe
from harness.probes.pressure import Answered, Cpu, Locked, Memory

__all__ = [
    "Answered",
    "Cpu",
    "CpuNeighbour",
    "CpuQuota",
    "CrashLoop",
    "DatabaseLock",
    "Descriptors",
    "Fault",
    "HeavyRequests",
    "HttpProbe",
    "IdleConnections",
    "Locked",
    "Memory",
    "RedisFull",
    "ScrapeGap",
    "ServiceDown",
    "UpstreamMisbehaves",
    "UpstreamOutage",
    "WorkerFrozen",
    "decode",
    "encode",
]

AnyFault = (
    CpuNeighbour
    | CpuQuota
    | CrashLoop
    | DatabaseLock
    | Descriptors
    | HeavyRequests
    | IdleConnections
    | RedisFull
    | ScrapeGap
    | ServiceDown
    | UpstreamMisbehaves
    | UpstreamOutage
    | WorkerFrozen
)

_ADAPTER: TypeAdapter[AnyFault] = TypeAdapter(Annotated[AnyFault, Field(discriminator="kind")])


def encode(fault: Fault) -> dict[str, Any]:
    """A fault's settings as JSON values, with its `kind`: what the journal keeps."""
    settings: dict[str, Any] = TypeAdapter(type(fault)).dump_python(fault, mode="json")
    return settings


def decode(settings: Mapping[str, Any]) -> Fault:
    """The fault that `encode` was given. Raises UsageError for settings that are of no fault known here."""
    try:
        return _ADAPTER.validate_python(dict(settings))
    except ValidationError as cause:
        raise UsageError(
            f"not a fault known here: {settings.get('kind', settings)!r}",
            hint="the journal was written by another version of gameday; use that one for `gameday rollback`",
        ) from cause
