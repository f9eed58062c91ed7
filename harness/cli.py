"""The command line. Thin: each command says what to do, prints what came of it, and chooses the exit status.

Exit status: 0 PASS, 1 FAIL, 2 usage or configuration, 3 UNKNOWN, 4 INVALID, 5 ERROR; of several scenarios the worst.
With --json, standard output is JSON alone; prose goes to standard error.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from harness.errors import HarnessError, UsageError
from harness.model.verdict import Control
from harness.settings import CONTROLS, DEFAULT_SCALE, EACH, Settings, control_of, problems_of, problems_of_many

if TYPE_CHECKING:
    from harness.catalogue import Entry


class _Commands(TyperGroup):
    """Commands whose every end is said in our words: Typer takes an interrupt and a closed pipe for failures."""

    def invoke(self, ctx: Any) -> Any:
        with _said_plainly():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Prove that an incident runbook works, by experiment.",
)
runbook_app = typer.Typer(no_args_is_help=True, help="Look into a runbook.")
app.add_typer(runbook_app, name="runbook")
alerts_app = typer.Typer(no_args_is_help=True, help="Look into alerting rules.")
app.add_typer(alerts_app, name="alerts")

JsonOption = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]
ComposeOption = Annotated[Path, typer.Option("--compose", "-f", help="The topology: a compose file.")]
RuntimeOption = Annotated[str, typer.Option("--runtime", help="auto, compose or processes.")]
ScaleOption = Annotated[float, typer.Option("--time-scale", help="Divide observation time by this; 1 is real time.")]
RunsOption = Annotated[Path, typer.Option("--runs", help="The folder of run folders.")]
COMPOSE = Path("docker-compose.yml")
RUNS = Path("runs")


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Show each part: found where, which version, or how to get it; and what this machine can run."""
    from harness.doctor import diagnose

    found = diagnose()
    _show(json.loads(found.as_json()) if as_json else str(found), as_json)


@app.command()
def up(
    compose: ComposeOption = COMPOSE,
    runtime: RuntimeOption = "auto",
    time_scale: ScaleOption = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Start the sandbox by itself, to explore it; it stays until `gameday down`."""
    from harness import session

    _check(runtime=runtime, time_scale=time_scale)
    settings = Settings(compose=compose, runtime=runtime, time_scale=time_scale)  # type: ignore[arg-type]  # checked
    status = session.up(settings, say=_say)
    _show([_plain(service) for service in status] if as_json else session.table(status), as_json)


@app.command()
def down(name: Annotated[str, typer.Argument(help="Which sandbox; all that `up` started if left out.")] = "") -> None:
    """End a sandbox that `gameday up` started, and remove all it left."""
    from harness import session

    ended = session.down(name)
    _say("\n".join(f"{one}: ended" for one in ended) or "no sandbox is up")


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Name every service of every sandbox on this machine: address, pid or container, state."""
    from harness import session

    found = session.status()
    if as_json:
        _show({name: [_plain(service) for service in services] for name, services in found.items()}, as_json)
    else:
        _show("\n\n".join(f"{name}\n{session.table(s)}" for name, s in found.items()) or "no sandbox is up", False)


@app.command(name="list")
def list_scenarios(runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """List the scenarios: hypothesis, what they need, last verdict."""
    from harness.catalogue import scenarios

    found = scenarios(Path("scenarios"), runs)
    if as_json:
        _show([_plain(entry) for entry in found], True)
    else:
        _show("\n\n".join(map(str, found)) or "no scenarios here: there is no scenarios/test_*.py", False)


@app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(help="Scenarios, as `gameday list` names them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All scenarios.")] = False,
    compose: ComposeOption = COMPOSE,
    runtime: RuntimeOption = "auto",
    time_scale: ScaleOption = DEFAULT_SCALE,
    control: Annotated[
        str, typer.Option(help="Leave something out: none, no-fault, no-mitigation; each: all, and the matrix.")
    ] = "none",
    without: Annotated[list[str] | None, typer.Option(help="Leave this step of the runbook out.")] = None,
    order: Annotated[str, typer.Option(help="Perform these steps in this order: A,B,C.")] = "",
    repeat: Annotated[int, typer.Option(min=1, max=1000, help="Run each this often.")] = 1,
    missing: Annotated[bool, typer.Option("--missing", help="Run only what is not recorded yet.")] = False,
    seed: Annotated[int, typer.Option(help="Makes load and draws repeatable.")] = 1,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Run scenarios, and say by the exit status what they came to."""
    from harness import session
    from harness.catalogue import chosen

    left_out, ordered = tuple(without or ()), tuple(filter(None, order.split(",")))
    many = {"control": control, "names": names or (), "every": every, "repeat": repeat, "missing": missing}
    asked = {"runtime": runtime, "time_scale": time_scale, "without": left_out, "order": ordered}
    problems = problems_of(control=control, controls=(*CONTROLS, EACH), **asked) + problems_of_many(**many)  # type: ignore[arg-type]  # each by its own name
    if problems:
        raise UsageError("these options can't be used", problems=problems)
    settings = Settings(
        compose=compose,
        runtime=runtime,  # type: ignore[arg-type]  # one of them, as was just checked
        time_scale=time_scale,
        control=control_of("none" if control == EACH else control, left_out, ordered),
        seed=seed,
        runs=runs,
        without=left_out,
        order=ordered,
    )
    entries = chosen(Path("scenarios"), names or (), every=every)
    plan, _ = session.prepare_run(settings, {step for entry in entries for step in entry.steps})
    settings = dataclasses.replace(settings, runtime=plan.choice.runtime)  # the same for all of them
    if control == EACH:
        _run_each(entries, settings, missing=missing, as_json=as_json)
    _run_repeated(entries, settings, repeat=repeat, missing=missing, as_json=as_json)


def _run_each(entries: Sequence[Entry], settings: Settings, *, missing: bool, as_json: bool) -> NoReturn:
    from harness import controls

    matrix = controls.run_each(entries, settings, missing=missing, quiet=as_json, say=_say)
    sys.stdout.write(controls.write(matrix, "json" if as_json else "md"))
    raise typer.Exit(matrix.outcome.exit_code)


def _run_repeated(
    entries: Sequence[Entry], settings: Settings, *, repeat: int, missing: bool, as_json: bool
) -> NoReturn:
    from harness import repeats
    from harness.running import run_scenarios

    have = repeats.recorded(entries, settings, repeat) if missing else {}
    done = run_scenarios(entries, settings, repeat=repeat, quiet=as_json, have=have)
    for problem in (*done.unusable, *done.broken):
        _say(f"gameday: {problem}")
    if as_json:
        _show(done.as_json(), True)
    elif repeat > 1 and done.judged:
        sys.stdout.write(repeats.write([folder for _, folder in done.judged], "md"))
    raise typer.Exit(done.exit_code)


@app.command()
def judge(
    folder: Annotated[Path, typer.Argument(help="A run's folder, such as runs/llm_outage/latest.")],
    as_json: JsonOption = False,
) -> None:
    """Judge a recorded run again, offline, on any machine."""
    from harness.rejudge import judge_folder

    judgement, text = judge_folder(folder)
    if as_json:
        sys.stdout.write(text)
    else:
        from reports.console import summary

        _show(summary(judgement, folder, sys.stdout.isatty()), False)
    raise typer.Exit(judgement.outcome.exit_code)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="Run folders.")],
    form: Annotated[str, typer.Option("--format", "-f", help="html, md, json, junit, postmortem, …-html.")] = "html",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file, or a folder for several runs.")] = None,
) -> None:
    """Write the report of recorded runs."""
    from harness.rejudge import write_reports

    for path in write_reports(folders, form, output):
        _show(str(path), False)


@app.command()
def ablate(
    name: Annotated[str, typer.Argument(help="A scenario, as `gameday list` names it.")],
    compose: ComposeOption = COMPOSE,
    runtime: RuntimeOption = "auto",
    time_scale: ScaleOption = DEFAULT_SCALE,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="Perform each variant this often.")] = 1,
    seed: Annotated[int, typer.Option(help="Makes load and draws repeatable.")] = 1,
    runs: RunsOption = RUNS,
    form: Annotated[str, typer.Option("--format", help="md, html or json.")] = "md",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file.")] = None,
) -> None:
    """Say what each step of a scenario is good for: run it without each, with each alone, in other orders."""
    from harness import ablation

    ablation.check_form(form)
    _check(runtime=runtime, time_scale=time_scale)
    settings = Settings(compose=compose, runtime=runtime, time_scale=time_scale, seed=seed, runs=runs)  # type: ignore[arg-type]  # checked
    text = ablation.write(ablation.of_scenario(name, settings, repeat), form)
    _write(text, output)


@app.command()
def matrix(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Run folders; each scenario's latest run if left out.")
    ] = None,
    form: Annotated[str, typer.Option("--format", "-f", help="md, html or json.")] = "md",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file.")] = None,
    runs: RunsOption = RUNS,
) -> None:
    """Hold root causes against alerts: which fire for which, what they can't tell apart, what none of them sees."""
    from harness.matrix import write

    _write(write(folders or [], runs, form), output)


@app.command(name="controls")
def controls_of(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Run folders; each scenario's latest runs if left out.")
    ] = None,
    form: Annotated[str, typer.Option("--format", "-f", help="md, html or json.")] = "md",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file.")] = None,
    runs: RunsOption = RUNS,
) -> None:
    """Say for each claim what turns it red: runs with something left out, and evidence moved or made up."""
    from harness import controls
    from harness.catalogue import scenarios

    controls.check_form(form)
    now = {entry.name: entry.fingerprint for entry in scenarios(Path("scenarios"), runs)}
    matrix = controls.of_folders(folders) if folders else controls.of_runs(runs, now)
    _write(controls.write(matrix, form), output)
    raise typer.Exit(matrix.outcome.exit_code)


@app.command(name="repeats")
def repeats_of(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Run folders; all that --repeat made if left out.")
    ] = None,
    form: Annotated[str, typer.Option("--format", "-f", help="md, html or json.")] = "md",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file.")] = None,
    runs: RunsOption = RUNS,
) -> None:
    """Say how times and claims of repeated runs spread: medians with intervals, what never came, what is flaky."""
    from harness import repeats

    _write(repeats.write(folders or repeats.repeated(runs), form), output)


@app.command()
def mutate(
    rules: Annotated[list[Path] | None, typer.Argument(help="Files of rules; the topology's own if left out.")] = None,
    alert: Annotated[str, typer.Option(help="This alert alone.")] = "",
    tests: Annotated[list[Path] | None, typer.Option(help="A file of rule tests, as promtool has them.")] = None,
    compose: ComposeOption = COMPOSE,
    runs: RunsOption = RUNS,
    live: Annotated[bool, typer.Option("--live", help="Run what nothing kills, each in a sandbox.")] = False,
    most: Annotated[int, typer.Option(min=1, max=1000, help="With --live: this many runs at most.")] = 10,
    form: Annotated[str, typer.Option("--format", help="md, html or json.")] = "md",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the alert rules wrongly in every way, and say which the rule tests and recorded runs would have noticed."""
    from harness.mutate import Asked, write

    files, by = tuple(rules or ()), tuple(tests or ())
    asked = Asked(files=files, alert=alert, tests=by, compose=compose, runs=runs, live=most if live else 0)
    _write(write(asked, "json" if as_json else form, _say), output)


@runbook_app.command()
def outline(
    file: Annotated[Path | None, typer.Argument(help="A Markdown runbook; the topology's own if left out.")] = None,
    compose: ComposeOption = COMPOSE,
    as_json: JsonOption = False,
) -> None:
    """Print the stable id of each command of a runbook: what scenarios and steps.yml refer to."""
    from harness.rejudge import outline_of

    text, plain = outline_of(file, compose)
    _show(plain if as_json else text, as_json)


@runbook_app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A Markdown runbook.")],
    rules: Annotated[list[Path] | None, typer.Option(help="A file of alert rules to hold it against.")] = None,
    openapi: Annotated[list[str] | None, typer.Option(help="An OpenAPI file, as FILE or HOST:PORT=FILE.")] = None,
    compose: Annotated[
        Path | None, typer.Option(help="A compose file: its rules, and the operators' settings.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text, json or sarif.")] = "text",
    as_json: JsonOption = False,
    off: Annotated[list[str] | None, typer.Option(help="Switch a rule off: RULE=REASON.")] = None,
) -> None:
    """Say what is wrong with any runbook, by reading it alone; nothing is started, run or fetched."""
    from harness.lint import show
    from harness.lint.check import check_file

    form = show.checked_format("json" if as_json else form)
    found = check_file(file, rules=rules or (), openapi=openapi or (), compose=compose, off=off or ())
    _show(getattr(show, form)(found), form != "text")
    raise typer.Exit(found.exit_code)


@alerts_app.command(name="blind-spots")
def blind_spots(
    rules: Annotated[list[Path] | None, typer.Argument(help="Files of rules; the topology's own if left out.")] = None,
    alert: Annotated[str, typer.Option(help="This alert alone.")] = "",
    compose: ComposeOption = COMPOSE,
    traffic: Annotated[float, typer.Option(help="How many requests users make in a second.")] = 60.0,
    runs: Annotated[Path | None, typer.Option("--runs", help="Hold it against the latest runs in this folder.")] = None,
    form: Annotated[str, typer.Option("--format", help="md, html, svg (the picture alone) or json.")] = "md",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compute which outages a rule misses or sees late: traffic, spread over series, length, flapping."""
    from harness.blind_spots import write
    from harness.rejudge import save

    text = write(rules or [], alert, compose, "json" if as_json else form, traffic=traffic, runs=runs)
    if output is None:
        sys.stdout.write(text)
    else:
        save(output, text)
        _say(str(output))


@runbook_app.command()
def findings(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Run folders; each scenario's latest run if left out.")
    ] = None,
    compose: ComposeOption = COMPOSE,
    runs: RunsOption = RUNS,
    form: Annotated[str, typer.Option("--format", help="md, json; patch or steps for the corrected runbook.")] = "md",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file.")] = None,
) -> None:
    """Say what each command line of the runbook does, by recorded runs, and what it should read instead."""
    from harness.findings import write

    _write(write(folders or [], runs, compose, form), output)


@runbook_app.command()
def worth(
    names: Annotated[list[str] | None, typer.Argument(help="Scenarios to compare in; all if left out.")] = None,
    compose: ComposeOption = COMPOSE,
    runtime: RuntimeOption = "auto",
    time_scale: ScaleOption = DEFAULT_SCALE,
    seed: Annotated[int, typer.Option(help="Makes load and draws repeatable.")] = 1,
    most: Annotated[int, typer.Option(min=0, max=1000, help="This many runs at most.")] = 1000,
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Say what users get from each mitigation: run the incident without it, where no such run is recorded."""
    from harness.worth_runs import fill, table

    _check(runtime=runtime, time_scale=time_scale)
    settings = Settings(compose=compose, runtime=runtime, time_scale=time_scale, seed=seed, runs=runs)  # type: ignore[arg-type]  # checked
    told = fill(names or (), settings, _say, most)
    _show([_plain(one) for one in told] if as_json else table(told), as_json)


@app.command()
def rollback() -> None:
    """Undo whatever a dead run left: heal its faults, end its processes, remove its files."""
    from harness.rollback import rollback as undo

    done = undo()
    _say(str(done))
    raise typer.Exit(0 if done.clean else 5)


def main() -> None:
    """The entry point: one clear message and the exit status of the error, never a traceback."""
    try:
        app(standalone_mode=True)
    except Exception as defect:  # ours, not the system's: it must not end with the status of a FAIL
        where = traceback.extract_tb(defect.__traceback__)[-1]
        _say(f"gameday broke: {type(defect).__name__}: {defect} ({Path(where.filename).name}:{where.lineno})")
        raise SystemExit(HarnessError.exit_code) from None


@contextmanager
def _said_plainly() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()  # now, while a reader that has gone can still be told from a defect
    except HarnessError as problem:
        sys.stderr.write(f"gameday: {problem}\n")
        raise SystemExit(problem.exit_code) from None
    except KeyboardInterrupt:
        sys.stderr.write("gameday: interrupted; everything it started is ended\n")
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output has gone: nothing to tell anyone
        with suppress(OSError, ValueError):  # what is still unwritten must not fail again when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None


def _check(*, control: str = Control.NONE, **options: Any) -> None:
    """Raise UsageError where options can't be used."""
    if problems := problems_of(control=control, **options):
        raise UsageError("these options can't be used", problems=problems)


def _show(what: Any, as_json: bool) -> None:
    sys.stdout.write(json.dumps(what, indent=1, ensure_ascii=False) + "\n" if as_json else f"{what}\n")


def _write(text: str, output: Path | None) -> None:
    """A document to `output`, whose name is then shown, or to standard output."""
    from harness.rejudge import save

    if output is None:
        sys.stdout.write(text)
    else:
        save(output, text)
        _show(str(output), False)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _plain(value: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(type(value)).dump_python(value, mode="json")


if __name__ == "__main__":
    main()
