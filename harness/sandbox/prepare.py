"""Prepare: everything that a sandbox of processes needs, worked out and checked before anything starts."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.errors import UsageError
from harness.sandbox.identity import MARK
from harness.sandbox.layout import Layout
from harness.sandbox.plan import ProcessPlan, Readiness
from harness.sandbox.render import (
    Ground,
    Render,
    Rewriter,
    all_aliases,
    command_line,
    environment,
    place_mounts,
    text_of,
)
from harness.sandbox.service import Ready, Service
from harness.sandbox.topology import Topology
from harness.sandbox.toxiproxy import far_ends


class PartLike(Protocol):
    """A server that somebody else wrote, as found on this machine; see `harness.sandbox.parts`."""

    @property
    def argv(self) -> Sequence[str]: ...

    @property
    def version(self) -> str: ...

    @property
    def how(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A sandbox ready to be written to disk and started. `files` are (path, text or a file to copy), `folders` are
    to be made first."""

    layout: Layout
    plans: tuple[ProcessPlan, ...]
    folders: tuple[Path, ...]
    files: tuple[tuple[Path, str | Path], ...]

    def write(self) -> None:
        """Put folders, files and layout on the disk. Raises OSError."""
        for folder in self.folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content in self.files:
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, path)
                shutil.copymode(content, path)
            else:
                path.write_text(content, encoding="utf-8")
        self.layout.save()


@dataclass(slots=True)
class Problems:
    """What is wrong, each said once."""

    found: list[str] = field(default_factory=list)

    def add(self, problems: Sequence[str]) -> None:
        self.found += [problem for problem in problems if problem not in self.found]


def startable(topology: Topology, parts: Mapping[str, PartLike]) -> tuple[Service, ...]:
    """The services that will be started. Raises UsageError with everything that keeps `topology` from running as
    plain processes."""
    problems: list[str] = []
    for service in topology.active:
        at = f"service {service.name}"
        if service.process is None:
            problems.append(f"{at}: has no x-process that says how to start it without a container")
        elif service.process.part and service.process.part not in parts:
            problems.append(f"{at}: needs the part {service.process.part}, which was not handed over")
        problems += [f"{at}: {difference}, which a plain process can't do" for difference in service.differs]
        problems += _dependency_problems(service, topology)
        if not _signal_number(service.stop_signal):
            problems.append(f"{at}: stop_signal {service.stop_signal!r} is no signal of this system")
    if not topology.active:
        problems.append("every service is in a profile")
    if problems:
        raise UsageError(
            f"{topology.path} can't be started as plain processes",
            problems=problems,
            hint="add `x-process: {command: [...]}` to each service, or use --runtime compose",
        )
    return topology.active


def _dependency_problems(service: Service, topology: Topology) -> list[str]:
    active = {other.name: other for other in topology.active}
    found = []
    for needed in service.depends_on:
        other = active.get(needed.service)
        if other is None and needed.required:
            found.append(f"service {service.name}: depends on {needed.service}, which is in a profile")
        waits_for_end = needed.condition == "service_completed_successfully"
        if waits_for_end and other and other.process and not other.process.oneshot:
            found.append(f"service {service.name}: waits for the end of {needed.service}, which is not `oneshot`")
    return found


def _signal_number(name: str) -> int:
    if name.isdecimal():
        return int(name)
    full = name if name.startswith("SIG") else f"SIG{name}"
    return getattr(signal, full, 0)


def count_ports(services: Sequence[Service]) -> int:
    """How many loopback ports they need."""
    return sum(len(service.ports) for service in services)


def prepare(
    topology: Topology,
    services: Sequence[Service],
    *,
    folder: Path,
    logs: Path,
    ports: Sequence[int],
    parts: Mapping[str, PartLike],
    render: Render,
    overrides: Mapping[str, Mapping[str, str]],
) -> Prepared:
    """Work out everything for a sandbox in `folder` on `ports`. Raises UsageError with all problems at once."""
    problems = Problems()
    keys = [(service.name, port.target) for service in services for port in service.ports]
    placed = {s.name: place_mounts(s, folder / "files", folder / "volumes") for s in services}
    for *_, odd in placed.values():
        problems.add(odd)
    ground = Ground(
        ports=dict(zip(keys, ports, strict=True)),
        aliases=all_aliases(services),
        folders={service.name: folder / "services" / service.name for service in services},
        mounts={name: mounts for name, (mounts, *_) in placed.items()},
    )
    if unknown := sorted(set(overrides) - {service.name for service in services}):
        problems.add([f"environment is given for {', '.join(unknown)}, which is not in the topology"])
    pairs = {name: found for name, (_, found, _, _) in placed.items()}
    files = _rendered(services, ground, pairs, render, problems)
    plans = [
        _plan(service, topology, ground, parts, overrides.get(service.name, {}), logs, problems) for service in services
    ]
    layout = _layout(topology, services, folder, logs, ground, parts, problems)
    if problems.found:
        raise UsageError(
            f"{topology.path} can't be started as plain processes",
            problems=problems.found,
            hint="mend the compose file, or use --runtime compose",
        )
    folders = [*(path for _, _, fresh, _ in placed.values() for path in fresh)]
    folders += [home / "tmp" for home in ground.folders.values()]
    return Prepared(layout=layout, plans=tuple(plans), folders=tuple(folders), files=tuple(files))


def _rendered(
    services: Sequence[Service],
    ground: Ground,
    pairs: Mapping[str, Sequence[tuple[Path, Path]]],
    render: Render,
    problems: Problems,
) -> list[tuple[Path, str | Path]]:
    """Each mounted file with its content: first changed by `render`, then with its addresses and paths rewritten."""
    by_source = {path.resolve(): change for path, change in render.items()}
    unused = set(by_source)
    files: list[tuple[Path, str | Path]] = []
    for service in services:
        rewriter = Rewriter(service.name, ground)
        for source, copy in pairs[service.name]:
            change = by_source.get(source.resolve())
            unused.discard(source.resolve())
            try:
                text = text_of(source)
            except OSError as odd:
                problems.add([f"service {service.name}: {source} can't be read: {odd.strerror or odd}"])
                continue
            if change and text is not None:
                text = change(text)
            files.append((copy, source if text is None else rewriter.rewrite(text, str(source))))
        problems.add(rewriter.problems)
    # A file whose times should be scaled but that nobody mounts would leave the run at the wrong speed, unsaid.
    problems.add([f"{path} is to be rendered, but no service mounts it" for path in sorted(unused)])
    return files


def _plan(
    service: Service,
    topology: Topology,
    ground: Ground,
    parts: Mapping[str, PartLike],
    override: Mapping[str, str],
    logs: Path,
    problems: Problems,
) -> ProcessPlan:
    recipe = service.process
    assert recipe is not None  # startable() has seen to it
    rewriter = Rewriter(service.name, ground)
    part = parts[recipe.part].argv if recipe.part else ()
    argv = command_line(service, part, rewriter, sys.executable)
    given = {**service.environment, **recipe.environment, **override}
    rewritten = environment(given, rewriter, sys.executable)
    problems.add(rewriter.problems)
    active = {other.name for other in topology.active}
    return ProcessPlan(
        name=service.name,
        argv=argv,
        environment={
            **clean_environment(ground.folders[service.name], topology.root, ground.folders[service.name].parents[1]),
            **rewritten,
        },
        directory=str(topology.root),
        log=str(logs / f"{service.name}.log"),
        ports=tuple(ground.ports[service.name, port.target] for port in service.ports),
        ready=_readiness(service, recipe.ready, ground),
        oneshot=recipe.oneshot,
        after={needed.service: needed.condition for needed in service.depends_on if needed.service in active},
        restart=service.restart,
        stop_signal=_signal_number(service.stop_signal),
        stop_grace=service.stop_grace,
        memory=service.memory,
    )


def clean_environment(home: Path, root: Path, sandbox: Path) -> dict[str, str]:
    """What every process starts from: nothing of the caller's but PATH and the language."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {
        "PATH": os.defpath,
        **kept,
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "PYTHONPATH": str(root),
        "PYTHONUNBUFFERED": "1",  # a log that ends with what was last said, also after a kill
        MARK: str(sandbox),
    }


def _readiness(service: Service, ready: Ready | None, ground: Ground) -> Readiness | None:
    """How to see that it is ready; where nothing says so, its first port must take connections."""
    if service.process and service.process.oneshot:
        return None
    if ready is None:
        return Readiness(port=ground.ports[service.name, service.ports[0].target]) if service.ports else None
    port = service.port(ready.port)
    tls = port is not None and port.scheme == "https"
    return Readiness(port=ground.ports[service.name, ready.port], path=ready.path, tls=tls)


def _layout(
    topology: Topology,
    services: Sequence[Service],
    folder: Path,
    logs: Path,
    ground: Ground,
    parts: Mapping[str, PartLike],
    problems: Problems,
) -> Layout:
    used = [part for part in topology.parts if part in parts]
    version = {part: f"{parts[part].version} ({parts[part].how})" for part in used}
    proxy = topology.roles.get("toxiproxy")
    schemes = {(service.name, port.target): port.scheme for service in services for port in service.ports}
    return Layout(
        folder=folder,
        logs=logs,
        ground=ground,
        schemes=schemes,
        versions=version,
        version_of={s.name: version.get(s.process.part or "", "") for s in services if s.process},
        units={unit.service: name for name, unit in topology.operations.units.items()},
        proxy=(proxy.service, proxy.port) if proxy else None,
        far_ends=leads(topology.services[proxy.service], schemes, problems) if proxy else {},
    )


def leads(
    proxy: Service, schemes: Mapping[tuple[str, int], str], problems: Problems
) -> dict[str, tuple[str, int, str]]:
    """Where each proxied link leads, from the proxy's mounted list *as written*: the running proxy knows only
    rewritten addresses."""
    ends: dict[str, tuple[str, int, str]] = {}
    for mount in proxy.mounts:
        if mount.source is None or mount.source.suffix != ".json" or not mount.source.is_file():
            continue
        try:
            text = mount.source.read_text(encoding="utf-8")
            found = far_ends(text, lambda service, port: schemes.get((service, port), "tcp"))
        except (OSError, ValueError) as odd:
            problems.add([f"service {proxy.name}: {mount.source} can't be read: {odd}"])
        except UsageError as odd:
            problems.add([f"service {proxy.name}: {mount.source}: {problem}" for problem in odd.problems])
        else:
            ends |= {name: (end.service, end.port, end.scheme) for name, end in found.items()}
    return ends
