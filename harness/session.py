"""Session: puts together all that one run needs. The only place that knows every part of the harness."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from harness import store
from harness.alerts.configuration import longest_scrape, scale_alertmanager, scale_prometheus
from harness.alerts.rules import scale_rules
from harness.alerts.watch import AlertWatch
from harness.cast import Cast, Progress
from harness.census.take import CensusTaker
from harness.clock import Clock, SystemClock, checked_scale
from harness.errors import HarnessError, SandboxError, UsageError
from harness.impact.ask import Question, ask
from harness.impact.door import Door
from harness.impact.log import Columns
from harness.journal import Journal
from harness.judge import judge
from harness.load.driver import LoadDriver, read_samples
from harness.machine import MachineWatch
from harness.mitigations.operator import RunbookOperator
from harness.model.impact import ImpactEvidence
from harness.model.incident import incident_of
from harness.model.judgement import Judgement
from harness.model.record import AlertEvidence, CommandRecord, FaultRecord, Record, Scenario
from harness.rejudge import FORMS, render
from harness.run import Run
from harness.runbook.effect import Source
from harness.runbook.parse import read_runbook
from harness.runbook.probe import SandboxProbe
from harness.runbook.queries import read_queries
from harness.runbook.shell import open_shell
from harness.runbook.steps import Steps, join_steps, read_source, read_steps
from harness.sandbox import processes
from harness.sandbox.base import Address, ServiceStatus
from harness.sandbox.parts import FoundPart, find_all
from harness.sandbox.processes import ProcessSandbox
from harness.sandbox.topology import Role, Topology, read_topology
from harness.settings import Settings

T = TypeVar("T")


# What a run asks of a topology beyond its services.
ROLES: tuple[Role, ...] = ("entry", "prometheus", "alertmanager", "receiver")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A sandbox's settings, checked: everything read, nothing started. `render` divides the times of config files."""

    settings: Settings
    topology: Topology
    parts: Mapping[str, FoundPart]
    render: Mapping[Path, Callable[[str], str]]


def prepare(settings: Settings) -> Plan:
    """Read and check all that a sandbox needs. Raises one UsageError that lists the problems of every file."""
    plan, problems = _planned(settings)
    _refuse(problems)
    return plan


def prepare_run(settings: Settings, steps: Collection[str] = ()) -> tuple[Plan, Steps]:
    """The same, and all that a run needs besides: users, watchers, and the runbook's steps, of which a scenario
    names `steps`. Raises one UsageError that lists every problem."""
    plan, problems = _planned(settings)
    topology = plan.topology
    problems += _uncast(topology)
    known = _asked(problems, partial(read_runbook_steps, topology)) or Steps(source="", by_name={})
    problems += known.problems(steps) if known.source else []
    problems += [
        f"{option} {step}: the scenario names no such step"
        for option, chosen in (("--without", settings.without), ("--order", settings.order))
        for step in chosen
        if step not in steps
    ]
    _asked(problems, partial(read_census, topology))
    _asked(problems, partial(read_question, topology))
    _refuse(problems)
    return plan, known


def read_census(topology: Topology) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """What the topology wants counted: sources to be read, and command lines. Raises UsageError with all problems."""
    sources, problems = [], []
    for written in topology.operations.census:
        try:
            sources += [] if isinstance(written, str) else [read_source(written)]
        except ValueError as problem:
            problems.append(f"{topology.path}: x-gameday.operations.census: {problem}")
    if problems:
        raise UsageError("the census can't be taken", problems=problems)
    return tuple(sources), tuple(line for line in topology.operations.census if isinstance(line, str))


def _uncast(topology: Topology) -> list[str]:
    """The parts of a run that nobody plays."""
    if not topology.roles and topology.users is None:
        return [f"{topology.path} has no x-gameday, which says who plays which part, and who the users are"]
    nobody = [f"{topology.path} names no {role} in its x-gameday" for role in ROLES if role not in topology.roles]
    if topology.users is None:
        nobody.append(f"{topology.path} names no users in its x-gameday: add `users: FILE`, a locustfile")
    return nobody


def _planned(settings: Settings) -> tuple[Plan, list[str]]:
    if settings.runtime == "compose":
        raise UsageError(
            "gameday can't drive the compose runtime yet",
            hint="--runtime processes starts the same docker-compose.yml without Docker",
        )
    checked_scale(settings.time_scale)
    topology = read_topology(settings.compose, settings.environment)
    problems: list[str] = []
    parts = _asked(problems, partial(find_all, topology.parts)) or {}
    render = _asked(problems, partial(_renderers, topology, settings.time_scale)) or {}
    return Plan(settings=settings, topology=topology, parts=parts, render=render), problems


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise UsageError("the sandbox can't be started", problems=problems, hint="`gameday doctor` shows what is here")


def _asked(problems: list[str], question: Callable[[], T]) -> T | None:
    """The answer to `question`, or its problems added to the others."""
    try:
        return question()
    except UsageError as problem:
        problems += problem.problems
        return None


def _renderers(topology: Topology, scale: float) -> Mapping[Path, Callable[[str], str]]:
    """How each file with times in it is compiled for `scale`; each is tried here, so that a bad one is said now."""
    time = topology.time
    compilers: dict[Path, Callable[[str], str]] = {}
    scrape = None
    if time.prometheus is not None:
        compilers[time.prometheus] = partial(scale_prometheus, scale=scale, source=time.prometheus.name)
        scaled = _compiled(time.prometheus, compilers[time.prometheus])
        scrape = longest_scrape(scaled, source=time.prometheus.name)
    for rules in time.rules:
        compilers[rules] = partial(scale_rules, scale=scale, source=rules.name, scrape_interval=scrape)
    if time.alertmanager is not None:
        compilers[time.alertmanager] = partial(scale_alertmanager, scale=scale, source=time.alertmanager.name)
    problems: list[str] = []
    for path, compile_text in compilers.items():
        _asked(problems, partial(_compiled, path, compile_text))
    if problems:
        raise UsageError("files with times in them can't be compiled", problems=problems)
    return compilers


def _compiled(path: Path, compile_text: Callable[[str], str]) -> str:
    return compile_text(path.read_text(encoding="utf-8"))


def read_runbook_steps(topology: Topology) -> Steps:
    """The steps of the topology's runbook, and of its procedures. Raises UsageError where they have problems."""
    pairs = [(topology.runbook, topology.steps), *topology.procedures]
    read = [read_steps(steps, read_runbook(runbook)) for runbook, steps in pairs if runbook and steps]
    if not read:
        return Steps(source=f"{topology.path} (which names no runbook with steps)", by_name={})
    return join_steps(read)


def read_question(topology: Topology) -> Question | None:
    """What the runbook's SQL asks of which request logs; None where the topology names none, or no runbook. Raises
    UsageError where the runbook can't be read."""
    logs = topology.impact
    if logs is None or topology.runbook is None:
        return None
    columns = Columns(
        table=logs.table, at=logs.at, method=logs.method, path=logs.path, status=logs.status, user=logs.user
    )
    return Question(
        databases=logs.databases,
        columns=columns,
        queries=read_queries(topology.runbook),
        began=logs.began,
        ended=logs.ended,
        door=Door(service=logs.proxy[0], line=logs.proxy[1]) if logs.proxy else None,
        lost=logs.lost,
    )


def _impact(
    question: Question | None,
    sandbox: ProcessSandbox,
    clock: Clock,
    faults: Sequence[FaultRecord],
    alerts: AlertEvidence,
    run: tuple[float, float],
) -> ImpactEvidence | None:
    return None if question is None else ask(sandbox, clock, question, incident_of(faults, alerts, run[1]), run)


@contextmanager
def open_run(settings: Settings, scenario: Scenario, progress: Progress, named: Collection[str] = ()) -> Iterator[Run]:
    """A run of `scenario`, which names the runbook steps `named`, on a sandbox of its own that ends with the block.
    Raises UsageError before anything is started where that can't work."""
    plan, steps = prepare_run(settings, named)
    topology = plan.topology
    question = read_question(topology)
    clock = SystemClock(settings.time_scale)
    machine = MachineWatch(clock)
    folder = store.new_folder(settings.runs, scenario.name, clock.now())
    with (
        processes.open_sandbox(topology, parts=plan.parts, render=plan.render, logs=folder / "logs") as sandbox,
        _watch(topology, sandbox, clock) as alerts,
        _operations(topology, steps, sandbox, clock) as (operator, census),
        machine.on(),
    ):
        loads = LoadDriver(
            spawner=sandbox,
            users=str(topology.users),
            target=_where(topology, "entry", sandbox).url,
            folder=folder,
            clock=clock,
            seed=settings.seed,
        )
        cast = Cast(
            sandbox=sandbox,
            clock=clock,
            alerts=alerts,
            loads=loads,
            operator=operator,
            journal=Journal(sandbox.folder),
            census=census,
            progress=progress,
            machine=machine.evidence,
            impact=partial(_impact, question, sandbox, clock),
            conclude=partial(_conclude, folder),
        )
        yield Run(
            cast,
            scenario=scenario,
            folder=folder,
            control=settings.control,
            seed=settings.seed,
            without=settings.without,
            order=settings.order,
        )


@contextmanager
def _watch(topology: Topology, sandbox: ProcessSandbox, clock: Clock) -> Iterator[AlertWatch]:
    prometheus, receiver = _where(topology, "prometheus", sandbox), _where(topology, "receiver", sandbox)
    alertmanager = _where(topology, "alertmanager", sandbox)
    with AlertWatch(prometheus.url, receiver.url, clock=clock, alertmanager=alertmanager.url) as alerts:
        yield alerts


@contextmanager
def _operations(
    topology: Topology, steps: Steps, sandbox: ProcessSandbox, clock: Clock
) -> Iterator[tuple[RunbookOperator, CensusTaker]]:
    """Whoever performs the steps, and who counts; both work in the operations shell."""
    operations = topology.operations
    ca = sandbox.path(*operations.ca) if operations.ca else None
    probe = SandboxProbe(sandbox, prometheus=_where(topology, "prometheus", sandbox), ca=ca)
    sources, lines = read_census(topology)
    with open_shell(sandbox, operations, clock=clock, directory=sandbox.folder / "operator") as shell:
        _refuse([trouble for line in operations.ready if (trouble := _trouble(shell.run(line)))])
        operator = RunbookOperator(steps=steps, shell=shell, probe=probe, clock=clock)
        yield operator, CensusTaker(sandbox=sandbox, reader=probe, shell=shell, sources=sources, commands=lines)


def _trouble(done: CommandRecord) -> str:
    """Why a command that had to succeed did not; empty where it did."""
    if done.exit_status == 0:
        return ""
    ended = done.refused or ("was stopped" if done.exit_status is None else f"exited with {done.exit_status}")
    return f"x-gameday.operations.ready: `{done.text}` {ended}: {' '.join(done.output.split())[:300]}"


def _where(topology: Topology, role: Role, sandbox: ProcessSandbox) -> Address:
    endpoint = topology.role(role)
    return sandbox.address(endpoint.service, endpoint.port)


def _conclude(folder: Path, record: Record) -> Judgement:
    """Save the record, judge it as `gameday judge` would (samples read back from the file), write the reports."""
    store.save_record(record, folder)
    whole = store.load(folder, read_samples)
    judgement = judge(whole)
    store.save_verdict(judgement, folder)
    for form, (name, _) in FORMS.items():
        try:
            store.write_whole(folder / name, render(form, whole, judgement))
        except (HarnessError, OSError, ValueError) as problem:  # a report that can't be drawn must not cost the verdict
            store.write_whole(folder / f"{name}.failed", f"{problem!r}\n")
    return judgement


def up(settings: Settings, say: Callable[[str], None]) -> Sequence[ServiceStatus]:
    """Start the sandbox by itself; it stays until `down`."""
    plan = prepare(settings)
    with processes.open_sandbox(
        plan.topology, parts=plan.parts, render=plan.render, logs=settings.runs / "up", detached=True
    ) as sandbox:
        say(f"sandbox {sandbox.name} is up; `gameday down` ends it")
        return sandbox.services()


def down(name: str) -> Sequence[str]:
    """End the sandbox called `name`, or every one that `up` started; their names."""
    standing = [one for one in processes.sandboxes() if (one.name == name if name else one.detached)]
    if name and not standing:
        raise UsageError(f"there is no sandbox {name}", hint="`gameday status` lists them")
    for one in standing:
        processes.shut_down(one.name)
    return [one.name for one in standing]


def status() -> Mapping[str, Sequence[ServiceStatus]]:
    """Every service of every sandbox of this user on this machine, by the sandbox's name."""
    found: dict[str, Sequence[ServiceStatus]] = {}
    for one in processes.sandboxes():
        try:
            found[one.name] = processes.attach(one.name).services()
        except SandboxError as problem:  # dead, or still starting: say so and go on to the next
            detail = "dead: `gameday rollback` cleans up" if one.dead else f"not up yet ({problem})"
            found[one.name] = [
                ServiceStatus(
                    name="supervisor", state="failed", addresses={}, identity=str(one.supervisor.pid), detail=detail
                )
            ]
    return found


def table(services: Sequence[ServiceStatus]) -> str:
    """The services as lines for a terminal; of many addresses the first (--json has them all)."""
    rows = [
        (service.name, service.state, _addresses(service), service.identity, service.version, service.detail)
        for service in services
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(6)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _addresses(service: ServiceStatus) -> str:
    shown = [str(address) for address in service.addresses.values()]
    return shown[0] + (f" (+{len(shown) - 1})" if len(shown) > 1 else "") if shown else ""
