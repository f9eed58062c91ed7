"""Metrics: what passed on each link, counted as it passes, in Prometheus' text format."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

# https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Labels(NamedTuple):
    """What a byte counter is told by; the names are Toxiproxy's."""

    direction: str
    proxy: str
    listener: str
    upstream: str


@dataclass(slots=True)
class Bytes:
    """Bytes of one direction of one proxy: taken in from the sender, and sent on."""

    received: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True)
class Metrics:
    """All counters of this process. `proxies` and `runtime` say which families are shown."""

    proxies: bool = False
    runtime: bool = False
    counted: dict[Labels, Bytes] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return self.proxies or self.runtime

    def series(self, labels: Labels) -> Bytes:
        return self.counted.setdefault(labels, Bytes())

    def text(self, open_connections: Mapping[str, int]) -> str:
        """The page. `open_connections`: proxy name → client connections open now."""
        lines: list[str] = []
        if self.proxies:
            rows = [(labels._asdict(), value) for labels, value in sorted(self.counted.items())]
            lines += _family("toxiproxy_proxy_received_bytes_total", "counter", ((at, b.received) for at, b in rows))
            lines += _family("toxiproxy_proxy_sent_bytes_total", "counter", ((at, b.sent) for at, b in rows))
            gauge = (({"proxy": name}, count) for name, count in sorted(open_connections.items()))
            lines += _family("toxiproxy_proxy_open_connections", "gauge", gauge)
        if self.runtime:
            lines += _runtime()
        return "".join(f"{line}\n" for line in lines)


def _family(name: str, kind: str, rows: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    samples = [f"{name}{_said(labels)} {value}" for labels, value in rows]
    if samples:
        yield f"# HELP {name} "
        yield f"# TYPE {name} {kind}"
        yield from samples


def _said(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


_BEGAN = time.time()


def _runtime() -> Iterator[str]:
    """This process, under the names that every Prometheus client uses."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield from _family("process_cpu_seconds_total", "counter", [({}, usage.ru_utime + usage.ru_stime)])
    yield from _family("process_start_time_seconds", "gauge", [({}, _BEGAN)])
    yield from _family("python_info", "gauge", [({"version": platform.python_version()}, 1)])
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        resident = pages * resource.getpagesize()
        yield from _family("process_resident_memory_bytes", "gauge", [({}, resident)])
        yield from _family("process_open_fds", "gauge", [({}, sum(1 for _ in Path("/proc/self/fd").iterdir()))])
