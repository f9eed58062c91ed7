"""Session: puts together all that one run needs. The only place that knows every part of the harness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from harness import store
from harness.alerts.rules import scale_alertmanager, scale_prometheus, scale_rules
from harness.alerts.watch import AlertWatch
from harness.clock import SystemClock
from harness.errors import HarnessError, UsageError
from harness.judge import judge
from harness.load.driver import LoadDriver, read_samples
from harness.model.judgement import Judgement
from harness.model.record import Record, Scenario
from harness.operator import RunbookOperator
from harness.rejudge import FORMS, render
from harness.run import Cast, Progress, Run
from harness.runbook.parse import read_runbook
from harness.runbook.steps import Steps, read_steps
from harness.sandbox import processes
from harness.sandbox.parts import FoundPart, find_all
from harness.sandbox.topology import Topology, read_topology
from harness.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run's settings, checked: everything read, nothing started. `render` divides the times of config files."""

    settings: Settings
    topology: Topology
    parts: Mapping[str, FoundPart]
    render: Mapping[Path, Callable[[str], str]]


def prepare(settings: Settings) -> Plan:
    """Read and check all that a sandbox needs. Raises one UsageError that lists the problems of every file."""
    if settings.runtime == "compose":
        raise UsageError(
            "gameday can't drive the compose runtime yet",
            hint="--runtime processes starts the same docker-compose.yml without Docker",
        )
    topology = read_topology(settings.compose, settings.environment)
    problems: list[str] = []
    parts = _asked(problems, partial(find_all, topology.parts)) or {}
    found = _asked(problems, partial(_renderers, topology, settings.time_scale)) or {}
    if problems:
        raise UsageError("the sandbox can't be started", problems=problems, hint="`gameday doctor` shows what is here")
    return Plan(settings=settings, topology=topology, parts=parts, render=found)


def _asked(problems: list[str], question: Callable[[], T]) -> T | None:
    """The answer to `question`, or its problems added to the others."""
    try:
        return question()
    except UsageError as problem:
        problems += [f"{line} ({problem.hint})" if problem.hint else line for line in problem.problems]
        return None


def _renderers(topology: Topology, scale: float) -> Mapping[Path, Callable[[str], str]]:
    """How each file with times in it is compiled for `scale`; each is tried here, so that a bad one is said now."""
    time = topology.time
    compilers: dict[Path, Callable[[str], str]] = {}
    for path, compiler in (
        (time.prometheus, scale_prometheus),
        *((path, scale_rules) for path in time.rules),
        (time.alertmanager, scale_alertmanager),
    ):
        if path is not None:
            compilers[path] = partial(_compiled, compiler, scale, path)
    problems: list[str] = []
    for path, compiled in compilers.items():
        _asked(problems, lambda path=path, compiled=compiled: compiled(path.read_text(encoding="utf-8")))  # type: ignore[misc]
    if problems:
        raise UsageError("files with times in them can't be compiled", problems=problems)
    return compilers


def _compiled(compiler: Callable[..., str], scale: float, path: Path, text: str) -> str:
    return compiler(text, scale, source=path.name)


def read_runbook_steps(topology: Topology) -> Steps:
    """The steps of the topology's runbook. Raises UsageError where it names none, or they have problems."""
    if topology.runbook is None or topology.steps is None:
        return Steps(source=str(topology.path), by_name={})
    return read_steps(topology.steps, read_runbook(topology.runbook))


@contextmanager
def open_run(settings: Settings, scenario: Scenario, progress: Progress) -> Iterator[Run]:
    """A run of `scenario` on a sandbox of its own, which ends with the block. Raises UsageError before anything is
    started where the settings can't work."""
    plan = prepare(settings)
    topology = plan.topology
    steps = read_runbook_steps(topology)
    if topology.users is None:
        raise UsageError(f"{topology.path} does not say who comes", hint="add `users: FILE` to its x-gameday")
    clock = SystemClock(settings.time_scale)
    folder = store.new_folder(settings.runs, scenario.name, clock.now())
    with processes.open_sandbox(topology, parts=plan.parts, render=plan.render, logs=folder / "logs") as sandbox:
        prometheus = sandbox.address(*_at(topology, "prometheus"))
        with (
            AlertWatch(
                prometheus.url,
                sandbox.address(*_at(topology, "receiver")).url,
                clock=clock,
                alertmanager=sandbox.address(*_at(topology, "alertmanager")).url,
            ) as alerts,
            RunbookOperator.at_work(topology, steps, sandbox, clock, prometheus) as operator,
        ):
            loads = LoadDriver(
                spawner=sandbox,
                users=str(topology.users),
                target=sandbox.address(*_at(topology, "entry")).url,
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
                journal=sandbox.journal,
                progress=progress,
                conclude=partial(_conclude, folder),
            )
            yield Run(cast, scenario=scenario, folder=folder, control=settings.control, seed=settings.seed)


def _at(topology: Topology, role: str) -> tuple[str, int]:
    endpoint = topology.role(role)  # type: ignore[arg-type]  # the roles are spelled out above
    return endpoint.service, endpoint.port


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


def up(settings: Settings, say: Callable[[str], None]) -> Sequence[processes.ServiceStatus]:
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


def status() -> Mapping[str, Sequence[processes.ServiceStatus]]:
    """Every service of every sandbox of this user on this machine, by the sandbox's name."""
    return {one.name: processes.attach(one.name).services() for one in processes.sandboxes()}


def table(services: Sequence[processes.ServiceStatus]) -> str:
    """The services as lines for a terminal."""
    rows = [
        (
            service.name,
            service.state,
            ", ".join(f"{port} at {address}" for port, address in service.addresses.items()),
            service.identity,
            service.version,
            service.detail,
        )
        for service in services
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(6)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
