"""Probe: reads on the running sandbox whether a step has had its effect."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.errors import EvidenceMissing, SandboxError, UsageError
from harness.runbook.effect import (
    ABSENT,
    PRINTED,
    HostFiles,
    HostText,
    JsonAnswer,
    Metric,
    PromQuery,
    RedisAnswer,
    Source,
    Start,
)
from harness.runbook.host import Host
from harness.runbook.tools.redis_cli import talk
from harness.sandbox.base import Address, Sandbox

TIMEOUT = 2.0  # seconds for one reading
_LARGEST = 8 << 20  # bytes of one answer
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t]*")
_LABEL = re.compile(r'\s*([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?')


class SandboxProbe:
    """Reads sources of effects on `sandbox`. `prometheus` is where PromQL is asked, `ca` what its TLS servers are
    trusted by, `host` what is laid out in the operations shell."""

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        prometheus: Address | None = None,
        ca: Path | None = None,
        host: Host | None = None,
    ) -> None:
        self._host = host
        self._sandbox = sandbox
        self._prometheus = prometheus
        self._ca = ca

    def read(self, source: Source) -> str:
        """The value of `source` as text, `absent` for a series that is not there. Raises EvidenceMissing."""
        if isinstance(source, Metric):
            status, page = self._get(self._address(source.service, source.port), "/metrics")
            if status != 200:
                raise EvidenceMissing(f"/metrics of {source.service} answers {status}")
            return sample_of(page, source)
        if isinstance(source, JsonAnswer):
            status, body = self._get(self._address(source.service, source.port), source.path)
            return value_at(body, source.pointer) if source.pointer else str(status)
        if isinstance(source, RedisAnswer):
            return _said_by_redis(self._address(source.service, source.port), source)
        if isinstance(source, Start):
            return self._start_of(source.service)
        if isinstance(source, HostFiles | HostText):
            return self._on_host(source)
        if isinstance(source, PRINTED):
            raise EvidenceMissing(f"{source} stands in what a command printed, not on the sandbox")
        return self._ask(source)

    def _on_host(self, source: HostFiles | HostText) -> str:
        if self._host is None:
            raise EvidenceMissing(f"{source} can't be read: the topology lays out no host")
        if isinstance(source, HostFiles):
            return str(self._host.count(source.pattern))
        return self._host.text(source.path)

    def _start_of(self, service: str) -> str:
        try:
            found = next((one for one in self._sandbox.services() if one.name == service), None)
        except SandboxError as cause:
            raise EvidenceMissing(f"it can't be seen whether {service} runs: {cause}") from cause
        if found is None:
            raise EvidenceMissing(f"the sandbox has no service {service} to observe an effect on")
        return str(found.starts if found.state in ("ready", "running") else 0)

    def _address(self, service: str, port: int) -> Address:
        try:
            return self._sandbox.address(service, port)
        except UsageError as cause:
            raise EvidenceMissing(f"the sandbox has no {service}:{port} to observe an effect on") from cause

    def _ask(self, query: PromQuery) -> str:
        if self._prometheus is None:
            raise EvidenceMissing(f"no Prometheus to ask for {query}")
        status, body = self._get(self._prometheus, f"/api/v1/query?query={quote(query.expression)}")
        try:
            return _one_value(json.loads(body), query, status)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as cause:
            raise EvidenceMissing(f"Prometheus' answer to {query} can't be understood: {body[:80]!r}") from cause

    def _get(self, address: Address, path: str) -> tuple[int, str]:
        connection = self._connection(address)
        try:
            connection.request("GET", path, headers={"Accept": "application/json, text/plain", "Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read(_LARGEST).decode("utf-8", "replace")
        except (OSError, HTTPException) as cause:
            raise EvidenceMissing(f"{address}{path} could not be read: {cause or type(cause).__name__}") from cause
        finally:
            connection.close()

    def _connection(self, address: Address) -> HTTPConnection:
        if address.scheme != "https":
            return HTTPConnection(address.host, address.port, timeout=TIMEOUT)
        context = ssl.create_default_context(cafile=str(self._ca) if self._ca else None)
        return HTTPSConnection(address.host, address.port, timeout=TIMEOUT, context=context)


def _said_by_redis(address: Address, source: RedisAnswer) -> str:
    """The last line of the answer; EvidenceMissing where there is none, or an error (they begin in capitals)."""
    try:
        *before, answer = talk(address, [["SELECT", str(source.database)], source.command.split()])
    except (OSError, ValueError) as cause:
        raise EvidenceMissing(f"{source} could not be read: {cause or type(cause).__name__}") from cause
    if before != ["OK"] or re.match(r"[A-Z]{3,} ", answer) or not answer:
        raise EvidenceMissing(f"{source} could not be read: {' '.join([*before, answer])!r}")
    return answer.splitlines()[-1]


def _one_value(answer: Any, query: PromQuery, status: int) -> str:
    """The one value in an answer of Prometheus' HTTP API; EvidenceMissing for an error, or for more than one."""
    if status != 200 or answer["status"] != "success":
        raise EvidenceMissing(f"Prometheus did not answer {query}: {answer.get('error', status)}")
    data = answer["data"]
    result = data["result"]
    if data["resultType"] == "scalar":
        return str(result[1])
    if len(result) > 1:
        raise EvidenceMissing(f"{query} gives {len(result)} values, not one")
    return str(result[0]["value"][1]) if result else ABSENT


def sample_of(page: str, metric: Metric) -> str:
    """The sum of `metric`'s samples on a page in Prometheus' text format (exposition format 0.0.4), or `absent`."""
    values = [value for name, labels, value in _samples(page) if name == metric.name and metric_fits(metric, labels)]
    if not values:
        return ABSENT
    return values[0] if len(values) == 1 else f"{sum(float(value) for value in values):g}"


def metric_fits(metric: Metric, labels: dict[str, str]) -> bool:
    """Whether a sample with `labels` is one of `metric`'s."""
    return all(labels.get(key) == value for key, value in metric.labels)


def _samples(page: str) -> Iterator[tuple[str, dict[str, str], str]]:
    for line in page.splitlines():
        match = None if line.startswith("#") else _SAMPLE.fullmatch(line)
        if match:
            labels = {label[1]: re.sub(r"\\(.)", _unescaped, label[2]) for label in _LABEL.finditer(match[2] or "")}
            yield match[1], labels, match[3]


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def value_at(body: str, pointer: str) -> str:
    """The value at a JSON pointer (RFC 6901) as text: `true`, `null`, numbers and strings plain, all else as JSON."""
    value: Any = _json(body)
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return ABSENT
    return value if isinstance(value, str) else json.dumps(value)


def last_object(printed: str) -> str | None:
    """The last JSON object in what commands printed, as text; None where there is none."""
    decoder = json.JSONDecoder()
    found = None
    at = printed.find("{")
    while at >= 0:
        try:
            _, end = decoder.raw_decode(printed, at)
        except ValueError:
            end = at + 1
        else:
            found = printed[at:end]
        at = printed.find("{", end)
    return found


def _json(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError as cause:
        raise EvidenceMissing(f"the answer is no JSON: {body[:80]!r}") from cause
