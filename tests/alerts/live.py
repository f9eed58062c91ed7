"""Live: a real Prometheus and Alertmanager, our receiver, and a target whose errors a test turns on and off."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from harness.alerts.configuration import longest_scrape, scale_alertmanager, scale_prometheus
from harness.alerts.prometheus import Prometheus
from harness.alerts.rules import scale_rules
from harness.alerts.watch import AlertWatch
from harness.clock import SystemClock
from harness.model.record import Record, Scenario
from harness.model.timeline import Span
from harness.model.verdict import Control
from tests.alerts.servers import part
from tests.alerts.story import every_step, load, user

SCALE = 60.0
ROOT = Path(__file__).parents[2]
RULES = """\
groups:
  - name: g
    rules:
      - alert: HTTP503ErrorSpike
        expr: rate(http_requests_total{status="503"}[5m]) > 20
        for: 2m
        labels: {severity: critical}
      - {alert: CriticalServiceDown, expr: 'up{job="api"} == 0', for: 1m}
"""
PROMETHEUS = """\
global: {{scrape_interval: 15s, scrape_timeout: 10s, evaluation_interval: 15s}}
rule_files: ["{rules}"]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs: [{{job_name: api, static_configs: [{{targets: [{targets}]}}]}}]
"""
ALERTMANAGER = """\
route: {{receiver: r, group_by: [alertname], group_wait: 10s, group_interval: 1m, repeat_interval: 4h}}
receivers: [{{name: r, webhook_configs: [{{url: "http://127.0.0.1:{receiver}/alerts", send_resolved: true}}]}}]
"""


@dataclass
class Target:
    """A server of metrics. `errors` are counted per second; None: it does not answer."""

    port: int = 0
    errors: float | None = 0.0
    _counted: float = 0.0
    _at: float = field(default_factory=time.monotonic)

    def metrics(self) -> bytes | None:
        now = time.monotonic()
        self._counted += (self.errors or 0.0) * (now - self._at)
        self._at = now
        if self.errors is None:
            return None
        lines = (
            f'http_requests_total{{status="{status}"}} {count}'
            for status, count in (("200", now), ("503", self._counted))
        )
        return "".join(f"{line}\n" for line in lines).encode()


@dataclass
class Live:
    """The servers while they run; a test spoils them as it likes and then asks for the record."""

    folder: Path
    ports: dict[str, int]
    target: Target
    clock: SystemClock
    watch: AlertWatch
    processes: dict[str, subprocess.Popen[bytes]]
    began: float = 0.0
    windows: tuple[Span, ...] = ()

    def reconfigure(self, *, rules: str = RULES, targets: Sequence[int] | None = None) -> None:
        """Write Prometheus' files and have it load them again."""
        write_prometheus(self.folder, self.ports, rules, [self.target.port] if targets is None else targets)
        httpx.post(f"http://127.0.0.1:{self.ports['prometheus']}/-/reload", trust_env=False).raise_for_status()

    def targets(self) -> int:
        """How many targets Prometheus knows now; a new configuration takes it up to 5 s."""
        with Prometheus(f"http://127.0.0.1:{self.ports['prometheus']}") as prometheus:
            return len(prometheus.targets())

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait(timeout=5)

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def wait(self, met: Callable[[], bool], seconds: float = 12.0) -> bool:
        """Wait until `met`, at most so long."""
        deadline = time.monotonic() + seconds
        while not met() and time.monotonic() < deadline:
            time.sleep(0.02)
        return met()

    def record(self) -> Record:
        """The record of the story so far, in which the fault's window is called outage. The users are made up: what
        they would set off, the target's counts say."""
        ended = self.clock.now()
        users = tuple(map(user, every_step(self.began, ended)))
        return Record(
            run_id="r",
            scenario=Scenario(name="s", hypothesis="h"),
            control=Control.NONE,
            time_scale=SCALE,
            seed=1,
            runtime="processes",
            began=self.began,
            ended=ended,
            windows=(Span(name="load", kind="load", began=self.began, ended=ended), *self.windows),
            loads=(load(users, self.began, ended),),
            alerts=self.watch.collect(self.began, ended),
            samples=users,
        )

    @contextmanager
    def outage(self, errors: float | None = 80.0) -> Iterator[None]:
        """Errors (or no answer at all) until the block ends; its window is called outage."""
        span = Span(name="outage", kind="fault", began=self.clock.now())
        self.target.errors = errors
        yield
        self.target.errors = 0.0
        self.windows = (replace(span, ended=self.clock.now()),)


def write_prometheus(folder: Path, ports: dict[str, int], rules: str, targets: Sequence[int]) -> None:
    """Write Prometheus' configuration and rules, divided by the scale."""
    named = ", ".join(f'"127.0.0.1:{port}"' for port in targets)
    literal = PROMETHEUS.format(rules=folder / "rules.yml", alertmanager=ports["alertmanager"], targets=named)
    config = scale_prometheus(literal, SCALE, source="prometheus.yml")
    interval = longest_scrape(config, source="prometheus.yml")
    (folder / "prometheus.yml").write_text(config)
    (folder / "rules.yml").write_text(scale_rules(rules, SCALE, source="rules.yml", scrape_interval=interval))


@contextmanager
def live(folder: Path) -> Iterator[Live]:
    """Start all servers, watch them, and end them."""
    ports = {name: _free_port() for name in ("prometheus", "alertmanager", "receiver")}
    with ExitStack() as undo:
        target = undo.enter_context(_serving())
        write_prometheus(folder, ports, RULES, [target.port])
        alertmanager = scale_alertmanager(ALERTMANAGER.format(**ports), SCALE, source="alertmanager.yml")
        (folder / "alertmanager.yml").write_text(alertmanager)
        commands = {
            "prometheus": [
                *part("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                "--web.enable-lifecycle",
                "--scrape.discovery-reload-interval=250ms",  # its default of 5 s would be most of these tests' time
                f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
            ],
            "alertmanager": [
                *part("alertmanager"),
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'alertmanager'}",
                "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{ports['alertmanager']}",
            ],
            "receiver": [sys.executable, "-m", "harness.alerts.receiver", "--port", str(ports["receiver"])],
        }
        processes = {name: undo.enter_context(_running(command, folder / name)) for name, command in commands.items()}
        ready = {"prometheus": "/-/ready", "alertmanager": "/-/ready", "receiver": "/health"}
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        for name, path in ready.items():
            _wait_ready(urls[name] + path)
        clock = SystemClock(SCALE)
        watch = AlertWatch(urls["prometheus"], urls["receiver"], clock=clock, alertmanager=urls["alertmanager"])
        undo.enter_context(watch)
        yield Live(folder, ports, target, clock, watch, processes, began=clock.now())


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.with_suffix(".log").open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, env=dict(os.environ))
        try:
            yield process
        finally:
            process.kill()
            process.wait(timeout=10)


@contextmanager
def _serving() -> Iterator[Target]:
    target = Target()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = target.metrics()
            self.send_response(503 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's signature
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        target.port = server.server_address[1]
        yield target
        server.shutdown()
        thread.join()


def _wait_ready(url: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise TimeoutError(f"{url} did not become ready")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
