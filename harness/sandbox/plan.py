"""Plan: what the supervisor is told of each process it starts; plain values that cross the control socket as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Ready once the loopback `port` takes connections, or, where `path` is given, answers a GET with 2xx or 3xx."""

    port: int
    path: str | None = None
    tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPlan:
    """One service as a process: everything resolved, no placeholder left. `after` maps services to the condition that
    they must have reached first; `ports` are its loopback ports (held until it starts); `memory` is the most that all
    its processes may use together, in bytes."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    log: str
    ports: tuple[int, ...] = ()
    ready: Readiness | None = None
    oneshot: bool = False
    after: Mapping[str, str] = field(default_factory=dict)
    restart: str = "no"
    stop_signal: int = 15
    stop_grace: float = 10.0
    memory: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> ProcessPlan:
        """The inverse of `to_json`. Raises TypeError or KeyError where `raw` is no plan."""
        ready = raw.get("ready")
        given = {**raw, "argv": tuple(raw["argv"]), "ports": tuple(raw.get("ports", ()))}
        return ProcessPlan(**{**given, "ready": Readiness(**ready) if ready else None})
