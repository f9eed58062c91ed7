"""Staging: everything that a sandbox of containers needs, worked out and checked before anything starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.sandbox.composed import Own, compose
from harness.sandbox.engine import cli_environment, numbers, run_docker
from harness.sandbox.layout import Layout
from harness.sandbox.prepare import Prepared, Problems, leads
from harness.sandbox.render import Ground, Render, all_aliases, place_mounts, text_of
from harness.sandbox.service import Service
from harness.sandbox.topology import Topology

RESOLVED, FACTS, COMPOSE = "resolved.json", "services.json", "compose.json"
_OPEN_TO_ALL = 0o777  # the folder around it is its owner's alone; a container's user has a number of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the sandbox must know of a service besides its container. `ready` is a container port and a path (None: any
    connection) that say whether it is ready; `grace` is in seconds, `memory` in bytes."""

    oneshot: bool
    restart: str
    grace: float
    memory: int | None
    ready: tuple[int, str | None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A sandbox of containers as files in its folder, about to be written."""

    prepared: Prepared
    resolved: Mapping[str, Any]
    facts: Mapping[str, Facts]
    environment: Mapping[str, Mapping[str, str]]
    api_version: str

    def write(self) -> None:
        """Put it all on the disk. Raises OSError."""
        self.prepared.write()
        folder = self.prepared.layout.folder
        for place in self.prepared.folders:
            place.chmod(_OPEN_TO_ALL)
        for file, _ in self.prepared.files:
            file.chmod(file.stat().st_mode | 0o444)
        (folder / RESOLVED).write_text(json.dumps(self.resolved), encoding="utf-8")
        (folder / FACTS).write_text(json.dumps({k: asdict(v) for k, v in self.facts.items()}), encoding="utf-8")
        write_compose(self.prepared.layout, self.environment, self.api_version)


def write_compose(
    layout: Layout, environment: Mapping[str, Mapping[str, str]], api_version: str
) -> Path:  # fmt: skip
    """Write the compose file of a staged sandbox, with `environment` laid over its services' own. Raises OSError."""
    resolved = json.loads((layout.folder / RESOLVED).read_text(encoding="utf-8"))
    own = Own(
        folder=layout.folder,
        ports=layout.ground.ports,
        mounts=layout.ground.mounts,
        environment=environment,
        api_version=numbers(api_version),
    )
    path = layout.folder / COMPOSE
    path.write_text(json.dumps(compose(resolved, own), indent=1), encoding="utf-8")
    return path


def read_facts(folder: Path) -> dict[str, Facts]:
    """What `Staged.write` wrote of the services. Raises OSError."""
    raw = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return {name: Facts(**{**one, "ready": tuple(one["ready"]) if one["ready"] else None}) for name, one in raw.items()}


def resolve(topology: Topology, project: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The compose file as Compose itself reads it, for the project called `project`. Raises UsageError where Compose
    can't read it, or is not there."""
    environment = {**environ, **cli_environment(environ)}
    _check_compose(environment)
    said = run_docker(
        *("compose", "--file", str(topology.path), "--project-name", project, "config", "--format", "json"),
        environ=environment,
        directory=topology.root,
    )
    resolved: dict[str, Any] = json.loads(said)
    return resolved


def _check_compose(environment: Mapping[str, str]) -> None:
    try:
        run_docker("compose", "version", "--short", environ=environment)
    except UsageError as odd:
        raise UsageError(
            "docker has no `compose`: the plugin Docker Compose is missing",
            hint="install docker-compose-plugin (Compose 2.25 or newer), or use --runtime processes",
        ) from odd


def services_of(topology: Topology, resolved: Mapping[str, Any]) -> tuple[Service, ...]:
    """The services that will be started. Raises UsageError with everything that keeps them from it."""
    problems: list[str] = []
    for name, service in resolved["services"].items():
        at = f"service {name}"
        if name not in topology.services:
            problems.append(f"{at}: is not in {topology.path} itself, which the harness reads too")
        if service.get("privileged"):
            problems.append(f"{at}: is privileged, which would let it out of its container")
        if str(service.get("network_mode") or "") == "host" or service.get("pid") == "host":
            problems.append(f"{at}: shares the host's network or processes")
        if any("docker.sock" in str(mount.get("source")) for mount in service.get("volumes") or ()):
            problems.append(f"{at}: mounts the engine's socket, by which it could do anything to this machine")
        if (service.get("deploy") or {}).get("replicas", 1) not in (1, None) or service.get("scale", 1) not in (
            1,
            None,
        ):
            problems.append(f"{at}: runs in more than one copy")
        if not service.get("image"):
            problems.append(f"{at}: has no `image`")
    if problems:
        raise UsageError(f"{topology.path} can't be started in containers", problems=problems, hint="mend the file")
    return tuple(topology.services[name] for name in resolved["services"])


def stage(
    topology: Topology,
    resolved: Mapping[str, Any],
    services: Sequence[Service],
    *,
    folder: Path,
    logs: Path,
    ports: Sequence[int],
    render: Render,
    overrides: Mapping[str, Mapping[str, str]],
    versions: Mapping[str, str],
    api_version: str,
) -> Staged:
    """Work out everything for a sandbox in `folder` on the loopback ports `ports`; `versions` says which software the
    services run, by service. Raises UsageError with all problems at once."""
    problems = Problems()
    keys = [(service.name, port.target) for service in services for port in service.ports]
    placed = {s.name: place_mounts(s, folder / "files", folder / "volumes") for s in services}
    for *_, odd in placed.values():
        problems.add(odd)
    if unknown := sorted(set(overrides) - {service.name for service in services}):
        problems.add([f"environment is given for {', '.join(unknown)}, which is not in the topology"])
    ground = Ground(
        ports=dict(zip(keys, ports, strict=True)),
        aliases=all_aliases(services),
        folders={service.name: folder / "services" / service.name for service in services},
        mounts={service.name: _shared(service, placed[service.name][0]) for service in services},
    )
    files = _rendered(services, {name: found for name, (_, found, _, _) in placed.items()}, render, problems)
    proxy = topology.roles.get("toxiproxy")
    schemes = {(service.name, port.target): port.scheme for service in services for port in service.ports}
    layout = Layout(
        folder=folder,
        logs=logs,
        ground=ground,
        schemes=schemes,
        versions={part: versions[name] for name, part in _parts(services).items() if name in versions},
        version_of=versions,
        units={unit.service: name for name, unit in topology.operations.units.items()},
        proxy=(proxy.service, proxy.port) if proxy else None,
        far_ends=leads(topology.services[proxy.service], schemes, problems) if proxy else {},
        runtime="compose",
    )
    if problems.found:
        raise UsageError(
            f"{topology.path} can't be started in containers", problems=problems.found, hint="mend the compose file"
        )
    scratch = {placed[s.name][0][mount.inside] for s in services for mount in s.mounts if mount.kind == "scratch"}
    folders = tuple(path for _, _, fresh, _ in placed.values() for path in fresh if path not in scratch)
    return Staged(
        prepared=Prepared(layout=layout, plans=(), folders=folders, files=tuple(files)),
        resolved=resolved,
        facts={service.name: _facts(service, services) for service in services},
        environment=overrides,
        api_version=api_version,
    )


def _shared(service: Service, places: Mapping[str, Path]) -> dict[str, Path]:
    """What of its mounts is on this machine's disk too; what is in memory alone (tmpfs) or unnamed can't be reached."""
    return {mount.inside: places[mount.inside] for mount in service.mounts if mount.kind != "scratch"}


def _parts(services: Sequence[Service]) -> dict[str, str]:
    """Each service to the part that it is, or else to its image: what a report lists versions by."""
    return {s.name: (s.process.part if s.process and s.process.part else s.image.partition(":")[0]) for s in services}


def _facts(service: Service, everyone: Sequence[Service]) -> Facts:
    recipe = service.process
    ready = recipe.ready if recipe else None
    needs = {(needed.service, needed.condition) for other in everyone for needed in other.depends_on}
    awaited = (service.name, "service_completed_successfully") in needs
    return Facts(
        oneshot=awaited or bool(recipe and recipe.oneshot),
        restart=service.restart,
        grace=service.stop_grace,
        memory=service.memory,
        ready=(ready.port, ready.path) if ready else None,
    )


def _rendered(
    services: Sequence[Service],
    pairs: Mapping[str, Sequence[tuple[Path, Path]]],
    render: Render,
    problems: Problems,
) -> list[tuple[Path, str | Path]]:
    """Each mounted file with its content, changed by `render`; addresses stay as they are written."""
    by_source = {path.resolve(): change for path, change in render.items()}
    unused = set(by_source)
    files: list[tuple[Path, str | Path]] = []
    for service in services:
        for source, copy in pairs[service.name]:
            change = by_source.get(source.resolve())
            unused.discard(source.resolve())
            try:
                text = text_of(source) if change else None
            except OSError as odd:
                problems.add([f"service {service.name}: {source} can't be read: {odd.strerror or odd}"])
                continue
            files.append((copy, change(text) if change and text is not None else source))
    problems.add([f"{path} is to be rendered, but no service mounts it" for path in sorted(unused)])
    return files
