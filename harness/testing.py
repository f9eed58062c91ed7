"""Fakes for every seam of a run, so that scenarios, faults and checks can be tested without servers or waiting.

    cast = fake_cast(sandbox=FakeSandbox(links={"app-database": "database"}))
    run = Run(cast, scenario=…, folder=Path("1"), control=Control.NONE, seed=1)

Time passes only in `FakeClock.sleep`; everything that happens "meanwhile" is scripted against it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals
from typing import Any, ClassVar, Literal

from harness.benchmark.benchmark import Benchmark
from harness.cast import Cast, Condition
from harness.errors import NotReady, SandboxError, UsageError
from harness.model.benchmark import BenchmarkRecord, Reply
from harness.model.judgement import Judgement
from harness.model.load import Arrivals, Sample
from harness.model.record import AlertEvidence, LoadRecord, Receipt, Record, StepRecord
from harness.model.timeline import Event
from harness.sandbox.base import Address, HasLinks, LimitKind, Limits, LinkStatus, Process, ServiceStatus, State


class FakeClock:
    """A clock that moves only when someone sleeps. `at(t, action)` calls `action` when time reaches `t`."""

    def __init__(self, scale: float = 1.0, start: float = 1_000_000.0) -> None:
        self.scale = scale
        self._now = start
        self._due: list[tuple[float, Callable[[], None]]] = []
        self.wall_clock_moved = 0.0

    def now(self) -> float:
        return self._now

    def sleep(self, wall: float) -> None:
        until = self._now + max(0.0, wall)
        while due := min((entry for entry in self._due if entry[0] <= until), key=lambda entry: entry[0], default=None):
            self._due.remove(due)
            self._now = max(self._now, due[0])
            due[1]()
        self._now = until

    def at(self, instant: float, action: Callable[[], None]) -> None:
        self._due.append((instant, action))

    def drift(self) -> float:
        return self.wall_clock_moved

    @contextmanager
    def every(self, wall: float, action: Callable[[], None]) -> Iterator[None]:
        over = False

        def again() -> None:
            if not over:
                action()
                self.at(self._now + wall, again)

        again()
        try:
            yield
        finally:
            over = True


class FakeLink:
    """A link that remembers what was done to it. Its address is a real loopback port which answers, refuses, keeps
    silent or resets as a proxied one would only where a test opens one; `traffic` is bytes added at each look."""

    def __init__(self, name: str, upstream: str, *, traffic: int = 100) -> None:
        self.name = name
        self.upstream_service = upstream
        self.enabled = True
        self.toxics: dict[str, dict[str, Any]] = {}
        self.traffic = traffic
        self.dead = False
        self.cuts = 0
        self._bytes = 0
        self._listener: socket.socket | None = None

    @property
    def address(self) -> Address:
        if not self.enabled:
            return Address("127.0.0.1", 1)  # a port that nobody listens on: refused
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
        return Address("127.0.0.1", self._listener.getsockname()[1])

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def status(self) -> LinkStatus:
        self._alive()
        return LinkStatus(
            name=self.name,
            listen=Address("127.0.0.1", 1),
            upstream=self.upstream_service,
            enabled=self.enabled,
            toxics=tuple(self.toxics.values()),
        )

    def disable(self) -> None:
        self._alive()
        self.enabled = False

    def enable(self) -> None:
        self._alive()
        self.enabled = True

    def cut(self) -> None:
        self._alive()
        self.cuts += 1

    def add_toxic(
        self,
        kind: str,
        *,
        name: str,
        attributes: Mapping[str, int],
        stream: Literal["upstream", "downstream"] = "downstream",
        toxicity: float = 1.0,
    ) -> None:
        self._alive()
        toxic = {"type": kind, "name": name, "attributes": dict(attributes), "stream": stream, "toxicity": toxicity}
        self.toxics[name] = toxic

    def remove_toxic(self, name: str) -> None:
        self._alive()
        self.toxics.pop(name, None)

    def bytes_passed(self) -> int:
        self._alive()
        self._bytes += self.traffic
        return self._bytes

    def _alive(self) -> None:
        if self.dead:
            raise SandboxError(f"the fault proxy of {self.name} does not answer", hint="it was killed")


class FakeSandbox:
    """A sandbox with links only. `links` maps a link's name to the service at its far end."""

    runtime = "fake"
    name = "fake"

    def __init__(self, links: Mapping[str, str] | None = None) -> None:
        self._links = [FakeLink(name, upstream) for name, upstream in (links or {}).items()]
        self.versions = {"fake": "1"}

    def __enter__(self) -> FakeSandbox:
        return self

    def __exit__(self, *_: object) -> None:
        for link in self._links:
            link.close()

    def address(self, service: str, port: int) -> Address:
        return Address("127.0.0.1", port)

    def services(self) -> Sequence[ServiceStatus]:
        return ()

    def links(self) -> Sequence[FakeLink]:
        return self._links

    def links_to(self, upstream: str) -> Sequence[FakeLink]:
        return [link for link in self._links if link.upstream_service == upstream]


@dataclass(slots=True, kw_only=True)
class FakeService:
    """A service of pretended processes. `policy`: it is brought back at once when it ends by itself; `workers` are its
    processes besides the main one; `breaks` says of an environment whether it can't get up with it; `memory` is what
    the topology lets it use."""

    policy: bool = False
    workers: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    breaks: Callable[[Mapping[str, str]], bool] = lambda environment: False
    memory: int | None = None
    addresses: Mapping[int, Address] = field(default_factory=dict)
    log: str = ""
    state: State = "stopped"
    detail: str = ""
    starts: int = 0
    processes: list[Process] = field(default_factory=list)
    given: dict[str, str | None] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    @property
    def settings(self) -> dict[str, str]:
        """The environment that it is started with."""
        return {**self.environment, **{name: value for name, value in self.given.items() if value is not None}}


class FakeServices(FakeSandbox):
    """A sandbox with links and with services whose processes can be killed, limited and looked at. What a process
    uses is what a test puts into `service[name].processes`; `cores` are the CPUs that this machine has."""

    def __init__(
        self,
        services: Mapping[str, FakeService],
        links: Mapping[str, str] | None = None,
        *,
        cores: frozenset[int] = frozenset({0, 1}),
        most_open_files: int = 1024,
    ) -> None:
        super().__init__(links)
        self.service = dict(services)
        self._cores = cores
        self._most_open_files = most_open_files
        self._pid = 100
        for name in self.service:
            self.start(name)

    def services(self) -> Sequence[ServiceStatus]:
        return [
            ServiceStatus(
                name=name,
                state=one.state,
                addresses=one.addresses,
                identity=str(one.processes[0].pid) if one.processes else "",
                detail=one.detail,
                starts=one.starts,
            )
            for name, one in self.service.items()
        ]

    def start(self, service: str) -> None:
        one = self._known(service)
        if not one.processes:
            self._launch(service)

    def stop(self, service: str) -> None:
        one = self._known(service)
        one.processes, one.state, one.detail = [], "stopped", ""

    def restart(self, service: str, environment: Mapping[str, str | None] | None = None) -> None:
        self.stop(service)
        self._known(service).given |= environment or {}
        self._launch(service)

    def kill(self, service: str, signal: int, *, stay_down: bool = False) -> None:
        one = self._known(service)
        if not one.processes:
            if not stay_down:
                raise SandboxError(f"{service} does not run")
        elif signal == SIGSTOP:
            one.state = "paused"
        elif signal == SIGCONT:
            one.state = "ready"
        elif signal in (SIGKILL, SIGTERM):
            one.processes, one.state, one.detail = [], "exited", f"killed by {Signals(signal).name}"
            if one.policy and not stay_down:
                with suppress(NotReady):  # its policy tries, and nobody is told
                    self._launch(service)

    def processes(self, service: str) -> Sequence[Process]:
        return tuple(self._known(service).processes)

    def limit(self, service: str, limits: Limits) -> None:
        one = self._known(service)
        if limits.cores is not None and (not limits.cores or limits.cores - self._cores):
            raise UsageError(f"there are no cores {sorted(limits.cores)}")
        if limits.open_files is not None and not 0 < limits.open_files <= self._most_open_files:
            raise UsageError(f"{limits.open_files} open files are not possible")
        if limits.memory is not None and limits.memory < 1:
            raise UsageError(f"{limits.memory} bytes of memory are not possible")
        named = {kind: value for kind, value in asdict(limits).items() if value is not None}
        one.limits = replace(one.limits, **named)

    def lift(self, service: str, *kinds: LimitKind) -> None:
        one = self._known(service)
        one.limits = replace(one.limits, **dict.fromkeys(kinds))

    def limits(self, service: str) -> Limits:
        one = self._known(service)
        if not one.processes:
            raise SandboxError(f"{service} does not run")
        cores = None if one.limits.cores == self._cores else one.limits.cores
        return replace(one.limits, cores=cores, memory=one.memory if one.limits.memory is None else one.limits.memory)

    def log(self, service: str) -> str:
        return self._known(service).log

    def _launch(self, service: str) -> None:
        one = self.service[service]
        one.starts += 1
        if one.breaks(one.settings):
            one.starts += one.policy  # it is tried again, once
            one.state, one.detail = "failed", "ended while it started: exit status 1"
            raise NotReady(f"{service} ended while it started: exit status 1", hint="its settings break it")
        main = self._pid + 1
        one.processes = [
            Process(
                pid=main + at,
                started=f"{main + at}@fake",
                parent=main if at else 1,
                command=service,
                resident=50_000_000,
                cpu_seconds=0.0,
                open_files=10,
            )
            for at in range(1 + one.workers)
        ]
        self._pid += 1 + one.workers
        one.state, one.detail = "ready", ""

    def _known(self, service: str) -> FakeService:
        if service not in self.service:
            raise UsageError(f"there is no service {service!r} in this sandbox")
        return self.service[service]


@dataclass(frozen=True, slots=True)
class FakeFault:
    """A fault on the links to `upstream` that is seen by looking at the fake link instead of probing a socket."""

    upstream: str
    kind: Literal["fake"] = "fake"
    needs: ClassVar[tuple[type, ...]] = (HasLinks,)
    curable: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"{self.upstream} down"

    def problems(self, sandbox: FakeSandbox) -> Sequence[str]:
        return [] if sandbox.links_to(self.upstream) else [f"no link leads to {self.upstream}"]

    def inject(self, sandbox: FakeSandbox) -> None:
        for link in sandbox.links_to(self.upstream):
            link.disable()

    def heal(self, sandbox: FakeSandbox) -> None:
        for link in sandbox.links_to(self.upstream):
            link.enable()

    def flush(self, sandbox: FakeSandbox) -> None:
        for link in sandbox.links_to(self.upstream):
            link.cut()

    def receipt(self, sandbox: FakeSandbox, at: float) -> Receipt:
        down = all(not link.status().enabled for link in sandbox.links_to(self.upstream))
        return Receipt(at=at, in_force=down, intended=str(self), measured="down" if down else "up")

    def traffic(self, sandbox: FakeSandbox) -> int | None:
        return sum(link.bytes_passed() for link in sandbox.links_to(self.upstream))


class FakeAlerts:
    """Alerts in the states that a test sets: `states["HighErrors"] = "firing"`; `evidence` is what is collected."""

    def __init__(self, evidence: AlertEvidence | None = None) -> None:
        self.states: dict[str, str] = {}
        self.evidence = evidence or AlertEvidence()
        self.trouble = ""

    def holds(self, condition: Condition) -> bool:
        state = self.states.get(condition.name, "inactive")
        return state == condition.state or (condition.state == "quiet" and state == "inactive")

    def blind(self) -> str:
        return self.trouble

    def summary(self) -> str:
        return ", ".join(f"{name} {state}" for name, state in self.states.items()) or "all quiet"

    def cycle(self) -> float:
        return max(self.evidence.scrape_interval, self.evidence.evaluation_interval)

    def collect(self, began: float, ended: float) -> AlertEvidence:
        return self.evidence


class ScriptedLoad:
    """Load whose answers a function decides: `answer(planned) -> (latency in seconds, status)`."""

    def __init__(self, clock: FakeClock, answer: Callable[[float], tuple[float, int]] = lambda _: (0.05, 200)) -> None:
        self._clock = clock
        self._answer = answer
        self.alive = True
        self.samples: tuple[Sample, ...] = ()
        self.plan: Arrivals | None = None
        self._record: LoadRecord | None = None
        self._began = 0.0
        self._window = ""

    def start(self, plan: Arrivals, window: str) -> ScriptedLoad:
        self.plan, self._window, self._began, self.alive = (
            plan.scaled(self._clock.scale),
            window,
            self._clock.now(),
            True,
        )
        return self

    def stop(self) -> None:
        assert self.plan is not None, "stopped before it was started"
        ended = self._clock.now()
        instants = [self._began + t for t in self.plan.times(timedelta(seconds=ended - self._began), seed=1)]
        self.samples += tuple(self._sample(instant) for instant in instants)
        self._record = LoadRecord(
            window=self._window,
            plan=str(self.plan),
            target="fake",
            began=self._began,
            ended=ended,
            planned=len(instants),
            sent=len(instants),
            finished=len(instants),
            in_flight=0,
            dropped=0,
            complete=self.alive,
            lateness_p99=0.001,
            lateness_max=0.002,
            generator_cpu=0.1,
            samples_count=len(instants),
        )

    @property
    def record(self) -> LoadRecord:
        assert self._record is not None, "asked for its record before it ended"
        return self._record

    def summary(self) -> str:
        return "scripted load"

    def _sample(self, planned: float) -> Sample:
        latency, status = self._answer(planned)
        ok = 200 <= status < 400
        return Sample(planned=planned, sent=planned, ended=planned + latency, name="request", status=status, ok=ok)


class FakeOperator:
    """An operator who knows the steps it was given; performing one calls its action and takes no time."""

    def __init__(self, steps: Mapping[str, Callable[[], None]] | None = None, clock: FakeClock | None = None) -> None:
        self._steps = dict(steps or {})
        self._clock = clock
        self.performed: list[str] = []

    def problems(self, steps: Sequence[str]) -> Sequence[str]:
        return [f"{step}: no such step" for step in steps if step not in self._steps]

    def perform(self, step: str, window: str) -> StepRecord:
        self._steps[step]()
        self.performed.append(step)
        return self._record(step, window)

    def skip(self, step: str, window: str) -> StepRecord:
        return replace(self._record(step, window), skipped=True)

    def taking_back(self, step: str) -> Sequence[str]:
        back = f"{step}-off"
        if back not in self._steps:
            raise UsageError(f"nothing takes {step} back")
        return [back]

    def _record(self, step: str, window: str) -> StepRecord:
        return StepRecord(window=window, name=step, source="fake", purpose="mitigate", deadline=None)


class FakeJournal:
    """A journal in memory: `open` holds the promises that were not kept yet, `log` all that was written."""

    def __init__(self) -> None:
        self.open: dict[str, Mapping[str, Any]] = {}
        self.log: list[str] = []

    def promise(self, undo: Mapping[str, Any]) -> str:
        name = str(len(self.log))
        self.open[name] = undo
        self.log.append(f"promise {name}")
        return name

    def kept(self, promise: str) -> None:
        self.open.pop(promise, None)
        self.log.append(f"kept {promise}")


@dataclass(slots=True)
class FakeCensus:
    """A census of whatever a test says; each count is a copy."""

    found: dict[str, str] = field(default_factory=lambda: {"state of app": "ready"})

    def take(self) -> Mapping[str, str]:
        return dict(self.found)


@dataclass(slots=True)
class FakeBenchmarks:
    """Benchmarks in which every answer takes as long, on `clock`; `wrong` is what each says instead of 200."""

    clock: FakeClock
    seconds: float = 0.01
    wrong: int = 200

    def run(self, benchmark: Benchmark, window: str) -> BenchmarkRecord:
        began, replies = self.clock.now(), []
        for _ in range(0, benchmark.requests, benchmark.at_once):
            sent = self.clock.now()
            self.clock.sleep(self.seconds)
            replies += [self._reply(sent)] * benchmark.at_once
        return BenchmarkRecord(
            window=window,
            target=benchmark.target,
            requests=benchmark.requests,
            at_once=benchmark.at_once,
            began=began,
            ended=self.clock.now(),
            replies=tuple(replies[: benchmark.requests]),
            client_cpu=0.1,
        )

    def _reply(self, sent: float) -> Reply:
        ended = sent + self.seconds
        return Reply(
            sent=sent, connected=sent, first=ended, ended=ended, status=self.wrong, received=100, length=20, error=""
        )


@dataclass(slots=True)
class FakeProgress:
    """Keeps what would have been shown."""

    events: list[Event] = field(default_factory=list)

    def event(self, elapsed: float, event: Event) -> None:
        self.events.append(event)

    def waiting(self, phase: str, elapsed: float, expected: float, status: str) -> None:
        pass


def fake_cast(
    *,
    clock: FakeClock | None = None,
    sandbox: Any = None,
    alerts: FakeAlerts | None = None,
    loads: ScriptedLoad | None = None,
    benchmarks: FakeBenchmarks | None = None,
    operator: FakeOperator | None = None,
    journal: FakeJournal | None = None,
    census: FakeCensus | None = None,
    conclude: Callable[[Record], Judgement] | None = None,
) -> Cast:
    """A whole cast of fakes; give the ones that a test cares about."""
    from harness.judge import judge

    clock = clock or FakeClock()
    loads = loads or ScriptedLoad(clock)

    def judged(record: Record) -> Judgement:
        return judge(replace(record, samples=loads.samples))

    return Cast(
        sandbox=sandbox or FakeSandbox(),
        clock=clock,
        alerts=alerts or FakeAlerts(),
        loads=loads,
        benchmarks=benchmarks or FakeBenchmarks(clock),
        operator=operator or FakeOperator(),
        journal=journal or FakeJournal(),
        census=census or FakeCensus(),
        progress=FakeProgress(),
        machine=lambda: None,
        conclude=conclude or judged,
    )
