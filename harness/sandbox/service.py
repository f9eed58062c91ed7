"""Service: one service of a compose file, its short and long spellings made one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.sandbox.compose_yaml import Report, read_variables

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]
_CONDITIONS: Mapping[str, Condition] = {
    "service_started": "service_started",
    "service_healthy": "service_healthy",
    "service_completed_successfully": "service_completed_successfully",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A TCP port on which the service listens inside its container. `published` is where Compose puts it on the host
    (None: only other services reach it). `scheme` is the application protocol: http, https, redis or tcp."""

    target: int
    published: int | None = None
    scheme: str = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Something that appears inside the service at the path `inside`: a file or folder of the project (`bind`), a
    named `volume`, or an empty folder of its own (`scratch`: anonymous volumes, tmpfs)."""

    kind: Literal["bind", "volume", "scratch"]
    inside: str
    source: Path | None = None  # of a bind
    volume: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """`service` must have come as far as `condition` before we start; one not `required` may be absent."""

    service: str
    condition: Condition = "service_started"
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """How to see that a service is ready: GET `path` on its container port answers 2xx or 3xx, or, where `path` is
    None, the port takes connections."""

    port: int
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to start a service as a process (`x-process`). `command` may hold the placeholders `{python}`, `{part}`,
    `{dir}` (a folder of its own), `{port:N}` (where its container port N really is) and `{port:SERVICE:N}`."""

    command: tuple[str, ...]
    part: str | None = None
    oneshot: bool = False
    ready: Ready | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service. `ports` has published and exposed ones, each once. `aliases` are the other names under which its
    siblings reach it. `differs` says, in words, what of its definition a plain process can't do and would change its
    meaning."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    profiles: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    restart: str = "no"
    stop_signal: str = "SIGTERM"
    stop_grace: float = 10.0
    memory: int | None = None  # the most that it may use, in bytes
    process: Recipe | None = None
    differs: tuple[str, ...] = ()

    def port(self, target: int) -> Port | None:
        """The port that listens at `target` inside, or None."""
        return next((port for port in self.ports if port.target == target), None)


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading needs to know of its surroundings: the project's folder, the variables, where problems go."""

    root: Path
    environ: Mapping[str, str]
    report: Report

    def under(self, prefix: str) -> Reading:
        """The same, with `prefix` put before each problem."""
        outer = self.report
        return Reading(self.root, self.environ, lambda problem: outer(f"{prefix}: {problem}"))


def read_service(name: str, raw: object, reading: Reading) -> Service | None:
    """The service `name` from its mapping `raw`, variables already filled in; None where it is no mapping. Every
    problem is reported and reading goes on."""
    inner = reading.under(f"service {name}")
    if not isinstance(raw, dict):
        inner.report("is not a mapping")
        return None
    if "extends" in raw:
        inner.report("uses `extends`, which is not understood here: write the service out, or use a YAML anchor")
    process = _read_process(raw["x-process"], inner) if "x-process" in raw else None
    return Service(
        name=name,
        image=str(raw.get("image") or ""),
        command=_words(raw.get("command"), "command", inner),
        environment=_read_environment(raw, inner),
        ports=_with_schemes(_read_ports(raw, inner), process),
        mounts=_read_mounts(raw, inner),
        depends_on=_read_depends(raw.get("depends_on"), inner),
        profiles=_words(raw.get("profiles"), "profiles", inner),
        aliases=_read_aliases(name, raw),
        restart=_read_restart(raw, inner),
        stop_signal=str(raw.get("stop_signal") or "SIGTERM"),
        stop_grace=_seconds(raw.get("stop_grace_period"), 10.0, "stop_grace_period", inner),
        memory=_read_memory(raw, inner),
        process=process,
        differs=_differences(raw),
    )


def _words(raw: object, what: str, reading: Reading) -> tuple[str, ...]:
    if raw is None:
        return ()
    if isinstance(raw, str):
        try:
            return tuple(shlex.split(raw))
        except ValueError as odd:
            reading.report(f"{what} {raw!r} can't be split into words: {odd}")
            return ()
    if isinstance(raw, list) and all(isinstance(item, str | int | float) for item in raw):
        return tuple(str(item) for item in raw)
    reading.report(f"{what} must be text or a list of texts")
    return ()


def _text(value: object, what: str, reading: Reading) -> str:
    if isinstance(value, bool):
        reading.report(f"{what} is {str(value).lower()}: put quotes around it, as Compose asks")
    elif not isinstance(value, str | int | float):
        reading.report(f"{what} must be text or a number")
    return str(value)


def _pairs(raw: object, what: str, reading: Reading) -> dict[str, str]:
    """A mapping, or a list of `NAME=value`; a name without a value takes the caller's own, if there is one."""
    found: dict[str, str | None] = {}
    if isinstance(raw, dict):
        found = {str(k): None if v is None else _text(v, f"{what}.{k}", reading) for k, v in raw.items()}
    elif isinstance(raw, list):
        for item in raw:
            key, equals, value = str(item).partition("=")
            found[key] = value if equals else None
    elif raw is not None:
        reading.report(f"{what} must be a mapping or a list")
    filled = {key: reading.environ.get(key) if value is None else value for key, value in found.items()}
    return {key: value for key, value in filled.items() if value is not None}


def _read_environment(raw: Mapping[str, Any], reading: Reading) -> dict[str, str]:
    found: dict[str, str] = {}
    files = raw.get("env_file")
    for entry in files if isinstance(files, list) else [files] if files else []:
        given = entry if isinstance(entry, dict) else {"path": entry}
        path = reading.root / str(given.get("path", ""))
        try:
            found.update(read_variables(path))
        except (OSError, ValueError) as odd:
            if given.get("required", True):
                reading.report(f"env_file {path} can't be read: {odd}")
    return found | _pairs(raw.get("environment"), "environment", reading)


# -- ports ---------------------------------------------------------------------------------------------------------


def _span(text: str, what: str, reading: Reading) -> range:
    """`3000` or `3000-3005`."""
    first, _, last = text.partition("-")
    if first.isascii() and first.isdigit() and (not last or (last.isascii() and last.isdigit())):
        low, high = int(first), int(last or first)
        if 1 <= low <= high <= 65535:
            return range(low, high + 1)
    reading.report(f"{what}: {text!r} is no port between 1 and 65535, nor a range of them")
    return range(0)


_SHORT_PORT = re.compile(r"(?:(?P<host>\[[^]]*\]|[^:\[\]]*):)??(?:(?P<published>[^:]*):)?(?P<target>[^:]+)")


def _read_ports(raw: Mapping[str, Any], reading: Reading) -> dict[int, Port]:
    found: dict[int, Port] = {}
    for name in ("expose", "ports"):
        entries = raw.get(name) or []
        if not isinstance(entries, list):
            reading.report(f"{name} must be a list")
            continue
        for entry in entries:
            for port in _read_port(entry, name, reading):
                found[port.target] = port
    return found


def _read_port(entry: object, what: str, reading: Reading) -> list[Port]:
    if isinstance(entry, dict):
        text = str(entry.get("target", ""))
        published = str(entry.get("published") or "")
        protocol = str(entry.get("protocol") or "tcp")
        scheme = str(entry.get("app_protocol") or "tcp")
    else:
        bare, _, protocol = str(entry).partition("/")
        match = _SHORT_PORT.fullmatch(bare)
        if match is None:
            reading.report(f"{what}: {entry!r} can't be read as a port")
            return []
        text, published, scheme = match["target"], match["published"] or "", "tcp"
    if protocol not in ("", "tcp"):
        return []  # UDP: nothing here reaches or proxies it
    targets = _span(text, what, reading)
    outer = _span(published, what, reading) if published else None
    # Compose lets a range stand outside for one port inside ("3000-3005:80": any of them).
    paired = outer is not None and len(outer) == len(targets)
    return [
        Port(target=target, published=outer[at] if outer is not None and paired else None, scheme=scheme)
        for at, target in enumerate(targets)
    ]


def _with_schemes(ports: Mapping[int, Port], process: Recipe | None) -> tuple[Port, ...]:
    """Ports in order; one that is asked over HTTP whether it is ready speaks HTTP."""
    ready = process.ready if process else None
    asked = ready.port if ready and ready.path is not None else None
    return tuple(
        Port(target=port.target, published=port.published, scheme="http")
        if port.target == asked and port.scheme == "tcp"
        else port
        for _, port in sorted(ports.items())
    )


# -- mounts ----------------------------------------------------------------------------------------------------------


def _read_mounts(raw: Mapping[str, Any], reading: Reading) -> tuple[Mount, ...]:
    entries = raw.get("volumes") or []
    if not isinstance(entries, list):
        reading.report("volumes must be a list")
        return ()
    temporary = raw.get("tmpfs") or []
    scratch = [str(item).partition(":")[0] for item in (temporary if isinstance(temporary, list) else [temporary])]
    read = [_read_mount(entry, reading) for entry in entries]
    return tuple(mount for mount in read if mount) + tuple(
        Mount(kind="scratch", inside=_inside(path)) for path in scratch
    )


def _read_mount(entry: object, reading: Reading) -> Mount | None:
    if isinstance(entry, dict):
        kind, source = str(entry.get("type", "")), str(entry.get("source") or "")
        target, read_only = str(entry.get("target", "")), bool(entry.get("read_only", False))
    else:
        pieces = str(entry).split(":")
        if len(pieces) > 3:
            reading.report(f"volumes: {entry!r} can't be read as SOURCE:TARGET:MODE")
            return None
        source, target = (pieces[0], pieces[1]) if len(pieces) > 1 else ("", pieces[0])
        read_only = "ro" in pieces[2].split(",") if len(pieces) == 3 else False
        kind = "bind" if source.startswith((".", "/", "~")) else "volume"
    if not target.startswith("/"):
        reading.report(f"volumes: {entry!r}: the path inside must be absolute")
        return None
    inside = _inside(target)
    if kind == "bind" and source:
        outside = (reading.root / Path(source).expanduser()).resolve()
        return Mount(kind="bind", inside=inside, source=outside, read_only=read_only)
    if kind == "volume" and source:
        return Mount(kind="volume", inside=inside, volume=source, read_only=read_only)
    if kind in ("volume", "tmpfs"):
        return Mount(kind="scratch", inside=inside)
    reading.report(f"volumes: {entry!r}: a mount of type {kind!r} is not understood")
    return None


def _inside(path: str) -> str:
    return "/" + "/".join(piece for piece in path.split("/") if piece not in ("", "."))


# -- the rest ----------------------------------------------------------------------------------------------------------


def _read_depends(raw: object, reading: Reading) -> tuple[Dependency, ...]:
    if raw is None:
        return ()
    if isinstance(raw, list):
        return tuple(Dependency(service=str(item)) for item in raw)
    if not isinstance(raw, dict):
        reading.report("depends_on must be a list or a mapping")
        return ()
    found = []
    for service, entry in raw.items():
        given = entry if isinstance(entry, dict) else {}
        condition = str(given.get("condition", "service_started"))
        if condition not in _CONDITIONS:
            reading.report(f"depends_on {service}: condition {condition!r} is none of {', '.join(_CONDITIONS)}")
            continue
        required = bool(given.get("required", True))
        found.append(Dependency(service=str(service), condition=_CONDITIONS[condition], required=required))
    return tuple(found)


def _read_aliases(name: str, raw: Mapping[str, Any]) -> tuple[str, ...]:
    found = [str(raw[key]) for key in ("container_name", "hostname") if raw.get(key)]
    networks = raw.get("networks")
    for network in networks.values() if isinstance(networks, dict) else []:
        if isinstance(network, dict):
            found += [str(alias) for alias in network.get("aliases") or []]
    return tuple(dict.fromkeys(alias for alias in found if alias != name))


_RESTARTS = re.compile(r"no|always|unless-stopped|on-failure(:\d+)?")


def _read_restart(raw: Mapping[str, Any], reading: Reading) -> str:
    given = raw.get("restart")
    restart = "no" if given in (None, False) else str(given)
    if not _RESTARTS.fullmatch(restart):
        reading.report(f"restart {restart!r} is none of no, always, unless-stopped, on-failure, on-failure:N")
        return "no"
    return restart


_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")


def _seconds(raw: object, otherwise: float, what: str, reading: Reading) -> float:
    if raw is None:
        return otherwise
    match = _DURATION.fullmatch(str(raw))
    if not match or not match[0]:
        reading.report(f"{what} {raw!r} is no duration such as 10s or 1m30s")
        return otherwise
    hours, minutes, seconds, millis = (float(piece or 0) for piece in match.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000


_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b)?", re.IGNORECASE)


def _read_memory(raw: Mapping[str, Any], reading: Reading) -> int | None:
    """`deploy.resources.limits.memory`, or else `mem_limit`; 0 is none, as in Compose."""
    given: object = raw.get("deploy")
    for key in ("resources", "limits", "memory"):
        given = given.get(key) if isinstance(given, dict) else None
    given, what = (given, "deploy.resources.limits.memory") if given else (raw.get("mem_limit"), "mem_limit")
    if given is None:
        return None
    match = None if isinstance(given, bool) else _SIZE.fullmatch(str(given).strip())
    if not match:
        reading.report(f"{what} {given!r} is no size such as 512m or 1g")
        return None
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " ")) or None


def _read_process(raw: object, outer: Reading) -> Recipe | None:
    reading = outer.under("x-process")
    if not isinstance(raw, dict):
        reading.report("is not a mapping")
        return None
    if unknown := sorted(set(map(str, raw)) - {"command", "part", "oneshot", "ready", "environment"}):
        reading.report(f"does not have {', '.join(unknown)}")
    command = _words(raw.get("command"), "command", reading)
    if not command:
        reading.report("needs a command")
    part = raw.get("part")
    if any("{part}" in word for word in command) and not part:
        reading.report("its command has {part}, but `part` does not say which")
    oneshot = raw.get("oneshot", False)
    if not isinstance(oneshot, bool):
        reading.report("oneshot must be true or false")
    return Recipe(
        command=command,
        part=str(part) if part else None,
        oneshot=bool(oneshot),
        ready=_read_ready(raw["ready"], reading) if "ready" in raw else None,
        environment=_pairs(raw.get("environment"), "environment", reading),
    )


def _read_ready(raw: object, reading: Reading) -> Ready | None:
    if isinstance(raw, dict):
        port = raw.get("port") if "http" in raw else raw.get("tcp")
        path = raw.get("http")
        shape = {"http", "port"} if "http" in raw else {"tcp"}
        if set(raw) == shape and isinstance(port, int) and not isinstance(port, bool):
            if path is None:
                return Ready(port=port)
            if isinstance(path, str) and path.startswith("/"):
                return Ready(port=port, path=path)
    reading.report("ready must be {http: /PATH, port: N} or {tcp: N}")
    return None


def _replicas(raw: Mapping[str, Any]) -> object:
    deploy = raw.get("deploy")
    return raw.get("scale", deploy.get("replicas", 1) if isinstance(deploy, dict) else 1)


_DIFFERENT: tuple[tuple[str, Callable[[Mapping[str, Any]], bool]], ...] = (
    ("runs in another's network (network_mode)", lambda raw: raw.get("network_mode") not in (None, "bridge")),
    ("takes mounts from another service (volumes_from)", lambda raw: bool(raw.get("volumes_from"))),
    ("is given secrets", lambda raw: bool(raw.get("secrets"))),
    ("is given configs", lambda raw: bool(raw.get("configs"))),
    ("has extra names in /etc/hosts (extra_hosts)", lambda raw: bool(raw.get("extra_hosts"))),
    ("reaches others under other names (links)", lambda raw: any(":" in str(link) for link in raw.get("links") or [])),
    ("runs in more than one copy (scale, replicas)", lambda raw: _replicas(raw) not in (1, "1", None)),
)


def _differences(raw: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(words for words, applies in _DIFFERENT if applies(raw))
