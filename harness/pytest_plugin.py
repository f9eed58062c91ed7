"""The pytest plugin: gameday's options, and the fixture `run` with which a test becomes a scenario."""

from __future__ import annotations

import argparse
import ast
import inspect
import textwrap
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:  # the harness itself is imported when a scenario asks for it: every other test run stays light
    from harness.model.judgement import Judgement
    from harness.run import Run
    from harness.settings import Settings


@dataclass(slots=True)
class Results:
    """What this test session's scenarios came to: judgements with their folders, and configuration problems."""

    judged: list[tuple[Judgement, Path]] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


RESULTS = pytest.StashKey[Results]()
ALONE = "alone"
# Under which name a worker of pytest-xdist hands its results over.
HANDED_OVER = "gameday"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gameday", "gameday: incident runbooks, proven by experiment")
    group.addoption("--runtime", default="auto", help="where the sandbox runs: auto, compose or processes")
    group.addoption("--time-scale", type=float, default=None, metavar="N", help="divide observation time by N (60)")
    group.addoption("--control", default="none", help="leave something out: no-fault or no-mitigation")
    group.addoption("--without", action="append", default=[], metavar="STEP", help="leave this runbook step out")
    group.addoption("--order", default="", metavar="A,B,C", help="perform these runbook steps in this order")
    group.addoption("--seed", type=int, default=1, help="makes load and draws repeatable (1)")
    group.addoption(
        "--repetition", type=int, default=0, metavar="K", help="the K-th run of a series, with its own draws"
    )
    group.addoption("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where run folders go (runs)")
    group.addoption(
        "--compose", type=Path, default=Path("docker-compose.yml"), metavar="FILE", help="the sandbox's topology"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = Results()
    config.addinivalue_line("markers", f"{ALONE}: needs the machine to itself, so no other run goes on beside it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that need the machine to themselves come last: until then nobody has to wait."""
    items.sort(key=_needs_the_machine)  # stable


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """One run of this test's scenario, on a sandbox of its own."""
    from harness.catalogue import fingerprint_of, steps_named
    from harness.errors import UsageError
    from harness.model.record import Scenario
    from harness.sandbox.turn import turn
    from harness.session import open_run

    results = request.config.stash[RESULTS]
    function = cast("pytest.Function", request.node)
    scenario = Scenario(
        name=scenario_name(function.originalname),
        hypothesis=" ".join((function.obj.__doc__ or "").split()),
        source=_relative(function.path, request.config.rootpath),
        fingerprint=fingerprint_of(function.path.read_text(encoding="utf-8")),
    )
    try:
        module = ast.parse(inspect.getsource(function.module))
        named = steps_named(ast.parse(textwrap.dedent(inspect.getsource(function.obj))), module)
        settings = _settings(request.config)
        progress = _progress(request, scenario.name, settings.time_scale)
        with turn(alone=_needs_the_machine(function)), open_run(settings, scenario, progress, named) as live:
            yield live
            if live.judgement is not None:
                results.judged.append((live.judgement, live.folder))
    except UsageError as problem:
        if str(problem) not in results.unusable:
            results.unusable.append(str(problem))
        raise


def _needs_the_machine(item: pytest.Item) -> bool:
    return "run" in getattr(item, "fixturenames", ()) and item.get_closest_marker(ALONE) is not None


def scenario_name(function: str) -> str:
    """`test_llm_outage` -> `llm_outage`: the name used on the command line and for the run's folder."""
    return function.removeprefix("test_")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A scenario that breaks off is judged as well, on what it recorded until then: its outcome is ERROR. One that ends
    without a word is judged too, and red unless it passed, whatever it caught."""
    try:
        result = yield
        _insist_on_a_pass(item)
    except BaseException as problem:
        _conclude_broken(item, problem)
        raise
    return result


def _live(item: pytest.Item) -> Run | None:
    """The run of this test, if it is a scenario of ours."""
    live: Run | None = getattr(item, "funcargs", {}).get("run")
    return live if hasattr(live, "conclude") else None


def _insist_on_a_pass(item: pytest.Item) -> None:
    live = _live(item)
    if live is None:
        return
    from harness.model.verdict import Outcome
    from harness.run import NotProven

    judgement = live.judgement or live.conclude(checks=[])
    if judgement.outcome is not Outcome.PASS:
        raise NotProven.by(judgement)


def _conclude_broken(item: pytest.Item, problem: BaseException) -> None:
    """Judge what broke off before its verdict, and again what broke after a PASS: that one no longer stands."""
    live = _live(item)
    if live is None:
        return
    from harness.errors import UsageError
    from harness.model.verdict import Outcome

    unusable = isinstance(problem, UsageError)
    if unusable:
        item.config.stash[RESULTS].unusable.append(str(problem))
    passed = live.judgement is not None and live.judgement.outcome is Outcome.PASS
    if passed or (live.judgement is None and not unusable):
        interrupted = isinstance(problem, KeyboardInterrupt)
        error = "interrupted" if interrupted else f"{type(problem).__name__}: {problem}"
        live.conclude(checks=live.claimed, error=error)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a reader needs of a failed scenario is the verdict or the hint, not where in our code it was raised."""
    report = yield
    if call.excinfo is not None and "run" in getattr(item, "fixturenames", ()):
        from harness.errors import HarnessError
        from harness.run import NotProven

        if isinstance(call.excinfo.value, NotProven | HarnessError):
            report.longrepr = str(call.excinfo.value)
            if isinstance(call.excinfo.value, HarnessError):
                item.config.stash[RESULTS].broken.append(str(call.excinfo.value))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands over what it has; run folders say the rest."""
    handed_over: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if handed_over is not None:
        results = session.config.stash[RESULTS]
        folders = [str(folder.absolute()) for _, folder in results.judged]
        handed_over[HANDED_OVER] = (folders, results.unusable, results.broken)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of pytest-xdist has handed over; one that crashed has handed over nothing."""
    from harness.rejudge import judge_folder

    folders, unusable, broken = getattr(node, "workeroutput", {}).get(HANDED_OVER, ((), (), ()))
    results = node.config.stash[RESULTS]
    results.judged += [(judge_folder(Path(folder))[0], Path(folder)) for folder in folders]
    results.unusable += [text for text in unusable if text not in results.unusable]
    results.broken += broken


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    results = config.stash[RESULTS]
    if not results.judged:
        return
    from reports.console import summary

    for judgement, folder in results.judged:
        terminalreporter.write_line("")
        for line in summary(judgement, folder, terminalreporter.isatty).splitlines():
            terminalreporter.write_line(line)


def _settings(config: pytest.Config) -> Settings:
    from harness.errors import UsageError
    from harness.settings import DEFAULT_SCALE, Settings, control_of, problems_of

    option: argparse.Namespace = config.option
    scale = DEFAULT_SCALE if option.time_scale is None else option.time_scale
    without, order = tuple(option.without), tuple(filter(None, option.order.split(",")))
    if problems := problems_of(
        runtime=option.runtime, control=option.control, time_scale=scale, without=without, order=order
    ):
        raise UsageError("these options can't be used", problems=problems)
    return Settings(
        compose=option.compose,
        runtime=option.runtime,
        time_scale=scale,
        control=control_of(option.control, without, order),
        seed=option.seed,
        repetition=option.repetition,
        runs=option.runs,
        without=without,
        order=order,
    )


def _progress(request: pytest.FixtureRequest, scenario: str, scale: float) -> Any:
    """Where this run's progress goes; the workers of pytest-xdist write to one stream, each line with its scenario."""
    from harness.progress import ConsoleProgress

    label = scenario if hasattr(request.config, "workerinput") else ""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def around(write: Callable[[], None]) -> None:
        if capture is None:
            write()
            return
        with capture.global_and_fixture_disabled():
            write()

    return ConsoleProgress(scale, around=around, label=label)


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
