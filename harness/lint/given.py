"""Given: what a runbook is held against, where there is any: alert rules, OpenAPI files, the operators' settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from harness.alerts.selectors import reads
from harness.alerts.yaml_text import entries, items, mappings, scalar
from harness.errors import UsageError

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """An alert of a rules file. `runbook_url` is empty where it has none; `line` is that of its name."""

    name: str
    file: str
    line: int
    folder: Path
    runbook_url: str = ""
    runbook_line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A call that an OpenAPI file describes. `guarded` says that it refuses who does not authenticate; `schemes` names
    the headers, queries and cookies that do, in small letters."""

    method: str
    path: str
    pattern: re.Pattern[str]
    guarded: bool
    schemes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """An OpenAPI file. `hosts` are the `host:port` it is known to be at; empty where nobody says."""

    file: str
    hosts: frozenset[str]
    operations: tuple[Operation, ...]

    def at(self, path: str) -> tuple[Operation, ...]:
        """The operations at `path`; one that is spelled out wins over one with a parameter."""
        found = [operation for operation in self.operations if operation.pattern.fullmatch(path)]
        fewest = min((operation.path.count("{") for operation in found), default=0)
        return tuple(operation for operation in found if operation.path.count("{") == fewest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """All of it. `alerts` and `metrics` mean nothing where `has_rules` is false."""

    has_rules: bool = False
    alerts: tuple[AlertRule, ...] = ()
    metrics: frozenset[str] = frozenset()
    apis: tuple[Api, ...] = ()
    settings: frozenset[str] = field(default_factory=frozenset)


def read_given(rules: Sequence[Path] = (), openapi: Sequence[str] = (), compose: Path | None = None) -> Given:
    """Read everything that a runbook is held against. `openapi` has files, each as `FILE` or `HOST:PORT=FILE`; the
    compose file's `x-gameday` names more rules, and the settings that operators have. Raises UsageError with all
    problems."""
    problems: list[str] = []
    topology = _topology(compose, problems) if compose else {}
    named = topology.get("time", {}).get("rules", []) if isinstance(topology.get("time"), dict) else []
    ruled = [*rules, *(compose.parent / str(one) for one in named if compose)]
    alerts, metrics = _rules(ruled, problems)
    apis = [api for one in openapi if (api := _api(one, problems))]
    operations = topology.get("operations")
    settings = operations.get("environment") if isinstance(operations, dict) else None
    if problems:
        raise UsageError("what the runbook is held against can't be used", problems=problems)
    return Given(
        has_rules=bool(ruled),
        alerts=tuple(alerts),
        metrics=frozenset(metrics),
        apis=tuple(apis),
        settings=frozenset(map(str, settings or ())),
    )


def _text(path: Path, problems: list[str]) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        problems.append(f"{path} is not UTF-8")
    except OSError as cause:
        problems.append(f"{path} can't be read: {cause.strerror}")
    return None


def _topology(path: Path, problems: list[str]) -> dict[str, Any]:
    text = _text(path, problems)
    try:
        plain = yaml.safe_load(text or "")
    except yaml.YAMLError as cause:
        problems.append(f"{path} is not YAML: {' '.join(str(cause).split())}")
        return {}
    found = plain.get("x-gameday") if isinstance(plain, dict) else None
    if text is not None and not isinstance(found, dict):
        problems.append(f"{path} has no `x-gameday`")
    return found if isinstance(found, dict) else {}


# -- rules ---------------------------------------------------------------------------------------------------------


def _rules(paths: Sequence[Path], problems: list[str]) -> tuple[list[AlertRule], set[str]]:
    """The alerts of rules files, PrometheusRule resources and Helm values too; and every metric that their rules read
    or record."""
    alerts: list[AlertRule] = []
    metrics: set[str] = set()
    for path in dict.fromkeys(paths):
        text = _text(path, problems)
        if text is None:
            continue
        try:
            nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        except yaml.YAMLError as cause:
            problems.append(f"{path} is not YAML: {' '.join(str(cause).split())}")
            continue
        rules = [rule for node in nodes for rule in _rules_in(node)]
        if not rules and "groups" not in text:
            problems.append(f"{path} has no alert rules: there are no `groups`")
        for rule in rules:
            found = entries(rule)
            if name := scalar(found.get("alert")):
                alerts.append(_alert(name, found, path))
            metrics |= {scalar(found.get("record")) or ""} | _metrics(scalar(found.get("expr")) or "")
    return alerts, metrics - {""}


def _rules_in(node: Node | None) -> Iterator[MappingNode]:
    for mapping in mappings(node):
        for group in items(entries(mapping).get("groups")):
            yield from (rule for rule in items(entries(group).get("rules")) if isinstance(rule, MappingNode))


def _alert(name: str, found: Mapping[str, Node], path: Path) -> AlertRule:
    url = entries(found.get("annotations")).get("runbook_url")
    return AlertRule(
        name=name,
        file=path.as_posix(),
        line=found["alert"].start_mark.line + 1,
        folder=path.parent,
        runbook_url=url.value if isinstance(url, ScalarNode) else "",
        runbook_line=url.start_mark.line + 1 if url else 0,
    )


def _metrics(expr: str) -> set[str]:
    try:
        return {selector.metric for selector in reads(expr)}
    except ValueError:  # `promtool check rules` says so; what reads like a name is taken for one
        return set(re.findall(r"\b[a-zA-Z_:][\w:]+\b", expr))


# -- OpenAPI -------------------------------------------------------------------------------------------------------


def _api(named: str, problems: list[str]) -> Api | None:
    host, sign, file = named.partition("=")
    if not sign or "/" in host:
        host, file = "", named
    text = _text(Path(file), problems)
    if text is None:
        return None
    try:
        plain = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as cause:
        problems.append(f"{file} is neither JSON nor YAML: {' '.join(str(cause).split())}")
        return None
    if not isinstance(plain, dict) or not isinstance(plain.get("paths"), dict):
        problems.append(f"{file} is no OpenAPI description: it has no `paths`")
        return None
    servers = [urlsplit(str(one.get("url", ""))) for one in plain.get("servers") or () if isinstance(one, dict)]
    prefix = next((server.path.rstrip("/") for server in servers if server.path.rstrip("/")), "")
    prefix = prefix or str(plain.get("basePath") or "").rstrip("/")  # Swagger 2
    hosts = {host_of(server.geturl()) for server in servers if server.netloc and "{" not in server.netloc} | {host}
    return Api(
        file=file,
        hosts=frozenset(hosts - {""}),
        operations=tuple(_operations(plain, prefix)),
    )


def host_of(url: str) -> str:
    """`host:port` of a URL, with the port that its scheme stands for."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname else ""


def _operations(plain: Mapping[str, Any], prefix: str) -> Iterator[Operation]:
    components = plain.get("components")
    schemes = (components.get("securitySchemes") if isinstance(components, dict) else None) or plain.get(
        "securityDefinitions"
    )
    schemes = schemes if isinstance(schemes, dict) else {}
    for path, item in plain["paths"].items():
        for method in _METHODS:
            operation = item.get(method) if isinstance(item, dict) else None
            if isinstance(operation, dict):
                security = operation.get("security", plain.get("security")) or []
                named = [name for one in security if isinstance(one, dict) for name in one]
                yield Operation(
                    method=method.upper(),
                    path=f"{prefix}{path}",
                    pattern=_pattern(f"{prefix}{path}"),
                    guarded=bool(security) and {} not in security,
                    schemes=frozenset(_carrier(schemes.get(name)) for name in named),
                )


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]*\})", path)
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts) + "/?")


def _carrier(scheme: object) -> str:
    """What carries the proof of who calls: a header, `?name` or `cookie`."""
    if isinstance(scheme, dict) and scheme.get("type") == "apiKey":
        name = str(scheme.get("name", "")).lower()
        return {"header": name, "query": f"?{name}", "cookie": "cookie"}.get(str(scheme.get("in")), name)
    return "authorization"
