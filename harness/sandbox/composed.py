"""Composed: a compose file as Compose itself reads it, made one sandbox's own: its ports, its files, its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.sandbox.engine import LABEL

_LOOPBACK = "127.0.0.1"
# Looks at a container that has just been started come sooner; engines before 25 (API 1.44) refuse the setting.
_SOONER = {"start_interval": "500ms", "start_period": "60s"}
_KNOWS_SOONER = (1, 44)


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What a sandbox puts in the place of the file's own. `ports` maps (service, container port) to a loopback port,
    `mounts` each service's container paths to paths here; `environment` is laid over the services' own."""

    folder: Path
    ports: Mapping[tuple[str, int], int]
    mounts: Mapping[str, Mapping[str, Path]]
    environment: Mapping[str, Mapping[str, str]]
    api_version: tuple[int, ...] = (1, 41)


def compose(resolved: Mapping[str, Any], own: Own) -> dict[str, Any]:
    """`resolved` (what `docker compose config --format json` prints) for one sandbox: every port is published on the
    loopback port that `own` gives it, and no other; every mount is the sandbox's own copy; nothing is built or pulled;
    everything carries the sandbox's label."""
    label = {LABEL: _as_written(str(own.folder))}
    services = {name: _service(name, service, own, label) for name, service in resolved["services"].items()}
    networks = {
        name: {**(network or {}), "labels": {**((network or {}).get("labels") or {}), **label}}
        for name, network in (resolved.get("networks") or {}).items()
    }
    return {"name": resolved["name"], "services": services, "networks": networks}


def _service(name: str, service: Mapping[str, Any], own: Own, label: Mapping[str, str]) -> dict[str, Any]:
    made = {key: value for key, value in service.items() if key not in ("build", "container_name", "expose")}
    made["pull_policy"] = "never"
    made["labels"] = {**(service.get("labels") or {}), **label}
    made["ports"] = [
        {"target": target, "published": str(real), "host_ip": _LOOPBACK, "protocol": "tcp", "mode": "host"}
        for (owner, target), real in own.ports.items()
        if owner == name
    ]
    made["volumes"] = [_mount(mount, own.mounts.get(name, {})) for mount in service.get("volumes") or ()]
    if over := own.environment.get(name):
        ours = {key: _as_written(value) for key, value in over.items()}
        made["environment"] = {**(service.get("environment") or {}), **ours}
    health = service.get("healthcheck") or {}
    if health.get("test") and "start_interval" not in health and own.api_version >= _KNOWS_SOONER:
        made["healthcheck"] = {**health, **_SOONER}
    return made


def _mount(mount: Mapping[str, Any], places: Mapping[str, Path]) -> dict[str, Any]:
    """A mount of the project's as the same mount of the sandbox's copy; what is only in memory stays as it is."""
    place = places.get(str(mount["target"]))
    if place is None or mount.get("type") == "tmpfs":
        return dict(mount)
    return {
        "type": "bind",
        "source": _as_written(str(place)),
        "target": mount["target"],
        "read_only": bool(mount.get("read_only", False)),
        "bind": {"create_host_path": False},
    }


def _as_written(text: str) -> str:
    """Compose fills in variables once more as it reads the file."""
    return text.replace("$", "$$")
