"""Topology: one compose file: its services, how they hang together, and which of them plays which part."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from harness.errors import UsageError
from harness.sandbox.compose_yaml import Report, interpolated, load, read_variables
from harness.sandbox.service import Reading, Service, read_service

Role = Literal["entry", "prometheus", "alertmanager", "receiver", "toxiproxy"]


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A service's container port, as a compose file says it: `nginx:8080`."""

    service: str
    port: int

    def __str__(self) -> str:
        return f"{self.service}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFiles:
    """The files whose times are divided by the time scale, as absolute paths."""

    prometheus: Path | None = None
    rules: tuple[Path, ...] = ()
    alertmanager: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A service manager's unit: its service, its unit file, and the name that the file which operators set its
    environment in has in their shell (empty: there is none)."""

    service: str
    file: Path | None = None
    environment_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The operations shell: `addresses` maps what the runbook calls a server (`localhost:8080`) to where it is in the
    topology, `units` the service manager's units by name, `files` names in the shell to files that services mount and
    operators may change, each as a service and a path inside it; `ca` is the certificate authority's file, in the same
    form; `environment` is what the operator's shell has set. Each command line of `ready` must succeed in that shell
    before a run begins: a wrong token shows there and not in mid-incident. `census` names what must be after a run what
    it was before: command lines for what they print, or mappings as a step's effects are."""

    addresses: Mapping[str, Endpoint] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    ca: tuple[str, str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: tuple[str, ...] = ()
    census: tuple[str | Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLogs:
    """Where the system keeps what it answered: SQLite files inside services (as written: `web:/data/web.db`), the table
    in them and what its columns are called. `began` and `ended` are the names that the runbook's SQL gives the bounds
    of an incident. `proxy` is a service that may answer without any other, and a regular expression, with the groups
    `at` (epoch seconds), `method`, `path` and `status`, for the lines of its log that say so. `lost` is one, with the
    group `rows`, for the lines in which a service with such a file says how many rows it could not keep (empty: none
    says so)."""

    databases: Mapping[str, tuple[str, str]]
    table: str
    at: str
    method: str
    path: str
    status: str
    user: str
    began: str
    ended: str
    proxy: tuple[str, str] | None = None
    lost: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """A whole compose file. `name` is its project name, `path` the file, `root` the folder that it stands in (and in
    which services run). `services` has all of them, those of a profile too; `active` has those started by default.
    `roles` (`entry`, `prometheus`, `alertmanager`, `receiver`, `toxiproxy`) has what `x-gameday` names; all else of
    `x-gameday` is empty where the file does not have it. `procedures` are runbooks for other days, each with its steps.
    """

    name: str
    path: Path
    root: Path
    services: Mapping[str, Service]
    roles: Mapping[Role, Endpoint] = field(default_factory=dict)
    time: TimeFiles = field(default_factory=TimeFiles)
    users: Path | None = None
    runbook: Path | None = None
    steps: Path | None = None
    procedures: tuple[tuple[Path, Path], ...] = ()
    operations: Operations = field(default_factory=Operations)
    impact: RequestLogs | None = None

    @property
    def active(self) -> tuple[Service, ...]:
        """The services that start by default: those in no profile."""
        return tuple(service for service in self.services.values() if not service.profiles)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts that the active services are started with, each once."""
        return tuple(dict.fromkeys(s.process.part for s in self.active if s.process and s.process.part))

    def role(self, role: Role) -> Endpoint:
        """Who plays `role`. Raises UsageError where `x-gameday` names nobody."""
        if role not in self.roles:
            raise UsageError(
                f"{self.path} does not say which service is the {role}",
                hint=f"add `{role}: SERVICE:PORT` to its x-gameday",
            )
        return self.roles[role]


def read_topology(path: Path, environ: Mapping[str, str]) -> Topology:
    """Read the compose file at `path`; `environ` fills its variables (a file `.env` beside it comes second).

    Understood of Compose: anchors and merge keys; `${...}` in all its forms; `services` with command, environment,
    env_file, ports and expose (ranges too), volumes, tmpfs, depends_on with conditions, profiles, restart,
    stop_signal, stop_grace_period, names and aliases; short and long spellings. Refused by name, because leaving it
    out would change the meaning: `include`, `extends`. What only a process can't do stands in `Service.differs`.

    Raises UsageError that lists every problem of the file at once.
    """
    path = path.absolute()
    problems: list[str] = []
    raw = _read_document(path, environ, problems.append)
    root = path.parent.resolve()
    reading = Reading(root, environ, problems.append)
    if "include" in raw:
        problems.append("uses `include`, which is not understood here: merge the files with `docker compose config`")
    listed = raw.get("services")
    if not isinstance(listed, dict) or not listed:
        problems.append("has no services")
        listed = {}
    read = {str(name): read_service(str(name), entry, reading) for name, entry in listed.items()}
    services = {name: service for name, service in read.items() if service}
    problems += _contradictions(services)
    topology = Topology(
        name=_project_name(raw, root),
        path=path,
        root=root,
        services=services,
        **_read_gameday(raw.get("x-gameday"), services, reading),
    )
    if problems:
        raise UsageError(
            f"{path} can't be used", problems=problems, hint="`docker compose config` shows how Compose reads it"
        )
    return topology


def _read_document(path: Path, environ: Mapping[str, str], report: Report) -> dict[str, Any]:
    try:
        beside = path.parent / ".env"
        variables = {**(read_variables(beside) if beside.is_file() else {}), **environ}
        raw = interpolated(load(path.read_text(encoding="utf-8")), variables, report, "")
    except OSError as odd:
        raise UsageError(
            f"{path} can't be read: {odd.strerror or odd}", hint="name a compose file with --compose, or change folder"
        ) from odd
    except (yaml.YAMLError, ValueError, RecursionError) as odd:
        raise UsageError(f"{path} is no YAML that can be read: {odd}", hint="mend the line it names") from odd
    if not isinstance(raw, dict):
        raise UsageError(f"{path} is no compose file: its top is no mapping", hint="it should begin with `services:`")
    return {str(key): value for key, value in raw.items()}


def _project_name(raw: Mapping[str, Any], root: Path) -> str:
    """Compose's own rule: lower case letters, digits, dashes and underscores, beginning with a letter or digit."""
    wanted = str(raw.get("name") or root.name).lower()
    return re.sub(r"^[^a-z0-9]+|[^a-z0-9_-]+", "", wanted) or "sandbox"


def _contradictions(services: Mapping[str, Service]) -> list[str]:
    """What is wrong between services, or between what one of them says here and there."""
    found: list[str] = []
    some_process = any(service.process for service in services.values())
    for service in services.values():
        at = f"service {service.name}"
        found += [
            f"{at}: depends on {needed.service}, which is not there"
            for needed in service.depends_on
            if needed.required and needed.service not in services
        ]
        if some_process and service.process is None and not service.profiles:
            found.append(f"{at}: has no x-process, while others have (put it into a profile if it may be left out)")
        if service.process is None:
            continue
        for what, port in _ports_named(service):
            owner = services.get(what)
            if owner is None or owner.port(port) is None:
                found.append(f"{at}: x-process speaks of port {port} of {what}, which has no such port (see `expose`)")
    cycle = _cycle(services)
    return [*found, f"depends_on goes in a circle: {' → '.join(cycle)}"] if cycle else found


_PORT_PLACEHOLDER = re.compile(r"\{port:(?:([^{}:]+):)?(\d+)\}")


def _ports_named(service: Service) -> Iterable[tuple[str, int]]:
    """(service, port) for every port that `service.process` names."""
    if service.process is None:
        return
    if service.process.ready:
        yield service.name, service.process.ready.port
    for text in (*service.process.command, *service.process.environment.values()):
        for match in _PORT_PLACEHOLDER.finditer(text):
            yield match[1] or service.name, int(match[2])


def _cycle(services: Mapping[str, Service]) -> list[str]:
    """A circle in depends_on, as names from one service back to itself; empty where there is none."""
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done or name not in services:
            return []
        for needed in services[name].depends_on:
            if found := walk(needed.service, [*trail, name]):
                return found
        done.add(name)
        return []

    return next((found for name in services if (found := walk(name, []))), [])


# -- x-gameday ---------------------------------------------------------------------------------------------------

_BESIDE_ROLES = {"time", "users", "runbook", "steps", "procedures", "operations", "impact"}


def _read_gameday(raw: object, services: Mapping[str, Service], outer: Reading) -> dict[str, Any]:
    """The fields of Topology that `x-gameday` gives."""
    reading = outer.under("x-gameday")
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        reading.report("is not a mapping")
        return {}
    roles: tuple[Role, ...] = get_args(Role)
    if unknown := sorted(set(map(str, raw)) - _BESIDE_ROLES - set(roles)):
        reading.report(f"does not have {', '.join(unknown)}")
    named = {role: _endpoint(raw[role], services, reading.under(role)) for role in roles if role in raw}
    return {
        "roles": {role: endpoint for role, endpoint in named.items() if endpoint},
        "time": _read_time(raw.get("time"), reading),
        "users": _file(raw.get("users"), reading.under("users")),
        "runbook": _file(raw.get("runbook"), reading.under("runbook")),
        "steps": _file(raw.get("steps"), reading.under("steps")),
        "procedures": tuple(_procedures(raw.get("procedures"), reading.under("procedures"))),
        "operations": _read_operations(raw.get("operations"), services, reading.under("operations")),
        "impact": _read_impact(raw.get("impact"), services, reading.under("impact")),
    }


def _endpoint(raw: object, services: Mapping[str, Service], reading: Reading) -> Endpoint | None:
    name, colon, port = str(raw).rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        reading.report(f"{raw!r} is not of the form SERVICE:PORT")
    elif name not in services:
        reading.report(f"there is no service {name!r} (there are: {', '.join(services)})")
    elif services[name].port(int(port)) is None:
        has = ", ".join(str(p.target) for p in services[name].ports) or "none"
        reading.report(f"service {name} has no port {port} (it has: {has})")
    else:
        return Endpoint(name, int(port))
    return None


def _file(raw: object, reading: Reading) -> Path | None:
    if raw is None:
        return None
    path = (reading.root / str(raw)).resolve()
    if not path.is_file():
        reading.report(f"there is no file {path}")
    elif not os.access(path, os.R_OK):
        reading.report(f"the file {path} can't be read")
    return path


def _procedures(raw: object, reading: Reading) -> Iterator[tuple[Path, Path]]:
    for item in raw if isinstance(raw, list) else [] if raw is None else [raw]:
        if not isinstance(item, dict) or set(item) != {"runbook", "steps"}:
            reading.report("must be a list of mappings of runbook and steps, to a file each")
            continue
        runbook, steps = (_file(item[key], reading.under(key)) for key in ("runbook", "steps"))
        if runbook and steps:
            yield runbook, steps


def _read_time(raw: object, outer: Reading) -> TimeFiles:
    reading = outer.under("time")
    if raw is None:
        return TimeFiles()
    if not isinstance(raw, dict) or set(raw) - {"prometheus", "rules", "alertmanager"}:
        reading.report("must be a mapping of prometheus, rules, alertmanager to files")
        return TimeFiles()
    rules = raw.get("rules") or []
    found = [_file(item, reading.under("rules")) for item in (rules if isinstance(rules, list) else [rules])]
    return TimeFiles(
        prometheus=_file(raw.get("prometheus"), reading.under("prometheus")),
        rules=tuple(path for path in found if path),
        alertmanager=_file(raw.get("alertmanager"), reading.under("alertmanager")),
    )


def _read_operations(raw: object, services: Mapping[str, Service], reading: Reading) -> Operations:
    if raw is None:
        return Operations()
    if not isinstance(raw, dict):
        reading.report("is not a mapping")
        return Operations()
    known = {"addresses", "units", "files", "ca", "environment", "ready", "census"}
    if unknown := sorted(set(map(str, raw)) - known):
        reading.report(f"does not have {', '.join(unknown)}")
    addresses: dict[str, Endpoint] = {}
    for outside, inside in _mapping(raw, "addresses", reading).items():
        if not re.fullmatch(r"[^\s:/]+:\d{1,5}", outside):
            reading.report(f"addresses: {outside!r} is not of the form HOST:PORT")
        if endpoint := _endpoint(inside, services, reading.under(f"addresses {outside}")):
            addresses[outside] = endpoint
    return Operations(
        addresses=addresses,
        units={
            name: _read_unit(written, services, reading.under(f"units {name}"))
            for name, written in _mapping(raw, "units", reading).items()
        },
        files=_read_files(_mapping(raw, "files", reading), services, reading),
        ca=_mounted(raw["ca"], services, reading.under("ca")) if raw.get("ca") is not None else None,
        environment={name: str(value) for name, value in _mapping(raw, "environment", reading).items()},
        ready=_read_lines(raw.get("ready"), reading.under("ready")),
        census=_read_census(raw.get("census"), reading.under("census")),
    )


_LOG_WORDS = ("table", "at", "method", "path", "status", "user", "began", "ended")


def _read_impact(raw: object, services: Mapping[str, Service], reading: Reading) -> RequestLogs | None:
    if raw is None:
        return None
    said = {str(key): value for key, value in raw.items()} if isinstance(raw, dict) else {}
    proxy = _read_proxy(said.pop("proxy", None), services, reading.under("proxy"))
    lost = _pattern(said.pop("lost", ""), {"rows"}, reading.under("lost"))
    databases = said.pop("databases", None)
    words = {key: value for key, value in said.items() if key in _LOG_WORDS and isinstance(value, str) and value}
    if not databases or words != said or len(words) < len(_LOG_WORDS):
        reading.report(f"must be a mapping of databases (a list of SERVICE:/PATH) and of {', '.join(_LOG_WORDS)}")
        return None
    listed = databases if isinstance(databases, list) else [databases]
    places = {str(each): _mounted(each, services, reading.under("databases")) for each in listed}
    found = {name: place for name, place in places.items() if place}
    return RequestLogs(databases=found, proxy=proxy, lost=lost, **words)


def _read_proxy(raw: object, services: Mapping[str, Service], reading: Reading) -> tuple[str, str] | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or set(raw) != {"service", "line"} or raw["service"] not in services:
        reading.report("must be a mapping of service, which is there, and line")
        return None
    line = _pattern(raw["line"], {"at", "method", "path", "status"}, reading.under("line"))
    return (str(raw["service"]), line) if line else None


def _pattern(raw: object, groups: set[str], reading: Reading) -> str:
    """The regular expression `raw`; empty, and reported, where it is none or lacks one of `groups`."""
    try:
        has = re.compile(str(raw)).groupindex.keys()
    except re.error as problem:
        reading.report(f"is no regular expression: {problem}")
        return ""
    if raw and (missing := sorted(groups - has)):
        reading.report(f"has no group {', '.join(missing)}")
        return ""
    return str(raw)


def _mapping(raw: Mapping[str, Any], key: str, reading: Reading) -> dict[str, Any]:
    value = raw.get(key) or {}
    if not isinstance(value, dict):
        reading.report(f"{key} is not a mapping")
        return {}
    return {str(name): item for name, item in value.items()}


def _read_lines(raw: object, reading: Reading) -> tuple[str, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or not all(isinstance(line, str) for line in raw):
        reading.report("must be a list of command lines")
        return ()
    return tuple(raw)


def _read_census(raw: object, reading: Reading) -> tuple[str | Mapping[str, Any], ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or not all(isinstance(each, str | dict) for each in raw):
        reading.report("must be a list of command lines, or of mappings with metric, get or promql")
        return ()
    return tuple(raw)


def _read_unit(raw: object, services: Mapping[str, Service], reading: Reading) -> Unit:
    """A unit from a service's name, or from a mapping that names its files too."""
    said = raw if isinstance(raw, dict) else {"service": raw}
    if unknown := sorted(set(map(str, said)) - {"service", "file", "environment_file"}):
        reading.report(f"does not have {', '.join(unknown)}")
    unit = Unit(
        service=str(said.get("service")),
        file=_file(said.get("file"), reading.under("file")),
        environment_file=str(said.get("environment_file") or ""),
    )
    if unit.service not in services:
        reading.report(f"there is no service {unit.service!r}")
    if unit.environment_file:
        _check_shell_name(unit.environment_file, reading.under("environment_file"))
    return unit


def _check_shell_name(name: str, reading: Reading) -> None:
    if not re.fullmatch(r"\w[\w.-]*", name):
        reading.report(f"{name!r} is no plain file name, which is all that the operations shell can write")


def _read_files(
    raw: Mapping[str, Any], services: Mapping[str, Service], reading: Reading
) -> dict[str, tuple[str, str]]:  # fmt: skip
    found = {}
    for name, written in raw.items():
        inner = reading.under(f"files {name}")
        _check_shell_name(name, inner)
        if place := _mounted(written, services, inner):
            found[name] = place
    return found


def _mounted(raw: object, services: Mapping[str, Service], reading: Reading) -> tuple[str, str] | None:
    service, colon, inside = str(raw).partition(":")
    if not colon or service not in services or not inside.startswith("/"):
        reading.report(f"{raw!r} is not of the form SERVICE:/PATH with a service that is there")
        return None
    if not any(inside == m.inside or inside.startswith(m.inside + "/") for m in services[service].mounts):
        reading.report(f"{inside} lies in no mount of {service}")
    return service, inside
