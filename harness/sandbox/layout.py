"""Layout: where one sandbox has everything; kept in its folder, so that others can attach to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import SandboxError
from harness.sandbox.base import Address
from harness.sandbox.render import Ground
from harness.sandbox.state import write_atomically

LAYOUT = "layout.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`schemes` has the application protocol of each (service, container port); `versions` each part and which one it
    is; `version_of` each service's own; `units` each service's name at the service manager; `far_ends` each proxied
    link to (service, container port, scheme), `proxy` the fault proxy's API as (service, container port); `runtime`
    says what its services are: processes, or containers (`compose`)."""

    folder: Path
    logs: Path
    ground: Ground
    schemes: Mapping[tuple[str, int], str]
    versions: Mapping[str, str] = field(default_factory=dict)
    version_of: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    proxy: tuple[str, int] | None = None
    far_ends: Mapping[str, tuple[str, int, str]] = field(default_factory=dict)
    runtime: str = "processes"

    def address(self, service: str, port: int) -> Address | None:
        """Where the container port is reached; None where there is none."""
        real = self.ground.ports.get((service, port))
        return None if real is None else Address("127.0.0.1", real, self.schemes.get((service, port), "tcp"))

    def addresses(self, service: str) -> dict[int, Address]:
        """All addresses of a service, by container port."""
        ports = [port for owner, port in self.ground.ports if owner == service]
        return {port: address for port in ports if (address := self.address(service, port))}

    def save(self) -> None:
        """Write it into the sandbox's folder. Raises OSError."""
        ground = self.ground
        write_atomically(
            self.folder / LAYOUT,
            json.dumps(
                {
                    "logs": str(self.logs),
                    "ports": [[*key, real, self.schemes.get(key, "tcp")] for key, real in ground.ports.items()],
                    "aliases": dict(ground.aliases),
                    "folders": {name: str(path) for name, path in ground.folders.items()},
                    "mounts": {
                        name: {inside: str(path) for inside, path in mounts.items()}
                        for name, mounts in ground.mounts.items()
                    },
                    "versions": dict(self.versions),
                    "version_of": dict(self.version_of),
                    "units": dict(self.units),
                    "proxy": self.proxy,
                    "far_ends": dict(self.far_ends),
                    "runtime": self.runtime,
                }
            ),
        )

    @staticmethod
    def load(folder: Path) -> Layout:
        """Read it back. Raises SandboxError where the sandbox is not up (or not yet)."""
        try:
            raw: dict[str, Any] = json.loads((folder / LAYOUT).read_text(encoding="utf-8"))
        except (OSError, ValueError) as odd:
            raise SandboxError(
                f"the sandbox {folder.name} is not up: its layout can't be read ({odd})",
                hint="`gameday status` shows what there is",
            ) from odd
        ground = Ground(
            ports={(service, port): real for service, port, real, _ in raw["ports"]},
            aliases=raw["aliases"],
            folders={name: Path(path) for name, path in raw["folders"].items()},
            mounts={
                name: {inside: Path(path) for inside, path in mounts.items()} for name, mounts in raw["mounts"].items()
            },
        )
        return Layout(
            folder=folder,
            logs=Path(raw["logs"]),
            ground=ground,
            schemes={(service, port): scheme for service, port, _, scheme in raw["ports"]},
            versions=raw["versions"],
            version_of=raw["version_of"],
            units=raw["units"],
            proxy=tuple(raw["proxy"]) if raw["proxy"] else None,
            far_ends={name: (end[0], end[1], end[2]) for name, end in raw["far_ends"].items()},
            runtime=str(raw.get("runtime", "processes")),
        )
