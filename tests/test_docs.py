"""The documents are executed: their commands are run, their code is compiled, and where it can be, run as well."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pytest
import yaml

from harness import Window, cli, minutes, store
from harness.alerts.configuration import scale_alertmanager, scale_prometheus
from harness.alerts.rules import scale_rules
from harness.faults import Fault
from harness.judge import encode_check, judge
from harness.model.check import Check
from harness.model.load import SAMPLES_COLUMNS, SAMPLES_HEADER, sample_line
from harness.runbook.parse import read_runbook
from harness.runbook.steps import read_steps
from harness.sandbox.topology import Role, read_topology
from harness.testing import FakeSandbox
from scenarios import test_llm_outage as llm_outage
from tests.documents import (
    ROOT,
    SHELL,
    Block,
    Command,
    block,
    blocks,
    commands,
    commands_in,
    read,
)
from tests.reports import outage

REFERENCE, VERDICT = "docs/reference/command-line.md", "docs/reference/verdict.md"
TUTORIAL, FAULT, STACK = (
    "docs/tutorial/first-game-day.md",
    "docs/how-to/write-a-fault.md",
    "docs/how-to/bring-your-own-stack.md",
)
LANGUAGES = SHELL | {"python", "yaml", "json", "text", "promql"}


# -- commands ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Here:
    """Run by `test_a_documented_command_does_what_it_says`: its exit status and something that it says."""

    status: int
    says: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Not run there: who runs it instead (`FILE::TEST`, or a step of CI), and why."""

    by: str
    why: str


BY_HAND = Elsewhere(f"{__name__}::test_breaking_something_by_hand", "starts a sandbox: integration")
THE_SHOP = Elsewhere(f"{__name__}::test_the_stack_of_the_how_to_is_understood", "its services are the reader's own")
CONTROLS = "tests.whole.test_controls"

COMMANDS: Mapping[str, Here | Elsewhere] = {
    "make drill": Elsewhere("CI", "two scenarios on real sandboxes: minutes"),
    "make test": Elsewhere("CI", "runs this very test"),
    "make bench": Elsewhere("tests.test_bench::test_the_quick_ones_measure", "the whole of it takes minutes"),
    ".venv/bin/pytest scenarios/": Elsewhere("CI make scenarios", "is what `make scenarios` calls"),
    ".venv/bin/gameday matrix": Here(0, "Root causes and alerts"),
    ".venv/bin/gameday doctor": Here(0, "this machine can run"),
    ".venv/bin/gameday list": Here(0, "last verdict: PASS"),
    ".venv/bin/gameday judge runs/llm_outage/latest": Here(0, "PASS llm_outage"),
    ".venv/bin/gameday report runs/llm_outage/latest --format md --output outage.md": Here(0, "outage.md"),
    ".venv/bin/gameday run llm_outage": Elsewhere(
        f"{__name__}::test_a_scenario_runs_as_documented", "drives load on a real sandbox: integration"
    ),
    ".venv/bin/gameday run llm_outage --control no-fault": Elsewhere(
        f"{CONTROLS}::test_without_the_fault_the_alert_claims_fail", "the same run without the command line around it"
    ),
    ".venv/bin/gameday run llm_outage --control no-mitigation": Elsewhere(
        f"{CONTROLS}::test_without_the_mitigation_users_stay_hit", "the same run without the command line around it"
    ),
    ".venv/bin/gameday run llm_outage --control each --missing": Elsewhere(
        "tests.test_controls::test_what_was_interrupted_goes_on", "three whole runs; the same on prepared ones"
    ),
    ".venv/bin/gameday controls runs/llm_outage/latest": Here(3, "What turns each claim red"),
    ".venv/bin/gameday run llm_outage --repeat 10": Elsewhere(
        "tests.test_running::test_repetitions_that_are_there_are_not_run_again", "ten whole runs; the same on fakes"
    ),
    ".venv/bin/gameday repeats runs/llm_outage/latest": Here(0, "Repeated runs"),
    "make controls": Elsewhere(
        "tests.test_controls::test_no_claim_of_the_page_is_vacuous", "an hour; its page is held"
    ),
    "make healthy": Elsewhere(
        "tests.test_healthy::test_the_page_publishes_a_count_that_adds_up", "half an hour; its page is held"
    ),
    ".venv/bin/gameday up": BY_HAND,
    ".venv/bin/gameday status": BY_HAND,
    ".venv/bin/gameday down": BY_HAND,
    "gameday runbook outline fixtures/runbook/503-error-spike.md": Here(0, "back-to-normal/"),
    "gameday runbook check fixtures/runbook/503-error-spike.md": Here(1, "redis-cli-misused"),
    "gameday runbook check fixtures/runbook/503-error-spike.md --compose docker-compose.yml": Here(
        1, "alert-without-step"
    ),
    "gameday runbook worth": Elsewhere(
        "tests.test_worth::test_only_what_is_missing_is_run", "runs each incident without each step: an hour"
    ),
    "gameday runbook findings": Here(0, "What each mitigation is worth"),
    "gameday runbook findings --format patch --output corrected.patch": Here(0, "corrected.patch"),
    "gameday runbook findings --format steps --output corrected.yml": Here(0, "corrected.yml"),
    "git apply --directory=fixtures/runbook corrected.patch": Elsewhere(
        "tests.test_correction::test_the_corrected_runbook_is_clean",
        "changes the folder for all others; done in one of its own",
    ),
    "mv corrected.yml fixtures/runbook/steps.yml": Elsewhere(
        "tests.test_correction::test_the_corrected_runbook_has_a_steps_file", "as above"
    ),
    ".venv/bin/python -m harness.sandbox.parts": Elsewhere("CI make setup", "may download; set-up calls it"),
    ".venv/bin/python -m harness.sandbox.parts redis": Here(0, "redis"),
    "python -m harness.faultproxy -host 127.0.0.1 -port 8474 -config fixtures/proxies.json -proxy-metrics": Elsewhere(
        "tests.faultproxy.test_program::test_it_ends_cleanly", "a server: it runs until it is told to end"
    ),
    "gameday list": THE_SHOP,
    "gameday runbook outline": THE_SHOP,
    "gameday run payments_outage --time-scale 60": THE_SHOP,
}


def who_runs(command: Command) -> Here | Elsewhere | None:
    """How a documented command is run; None where nobody does. What the tutorial does to the sandbox is one story."""
    if command.document == TUTORIAL and re.match(r"curl |[A-Z]+=", command.text):
        return BY_HAND
    return COMMANDS.get(command.text)


def test_somebody_runs_every_documented_command() -> None:
    """Each command line of each shell block is run by a test, or by whom the table says; the table has no other."""
    found = list(commands())
    assert len(found) > 20
    unknown = [str(command) for command in found if who_runs(command) is None]
    assert not unknown, "nobody runs these; run them here, or say in COMMANDS who does:\n" + "\n".join(unknown)
    assert set(COMMANDS) <= {command.text for command in found}, "in COMMANDS, and in no document"


def test_a_new_command_would_be_noticed() -> None:
    """A command that is put into a document, whichever way it is written, is one that nobody runs."""
    shell = Block("docs/x.md", 1, "# first\ngameday fly \\\n  --high  # with care\n", language="sh")
    console = Block("docs/x.md", 1, "$ gameday fly\nup and away\n$ make hay\n", language="console")
    found = [*commands_in(shell), *commands_in(console)]
    assert [command.text for command in found] == ["gameday fly    --high", "gameday fly", "make hay"]
    assert found[1].output == ("up and away",)
    assert not any(map(who_runs, found))


@pytest.mark.parametrize("other", sorted({how.by for how in COMMANDS.values() if isinstance(how, Elsewhere)}))
def test_whoever_else_runs_a_command_is_there(other: str) -> None:
    """A test that the table names is there; a step that CI is said to do is in CI's script."""
    if other.startswith("CI"):
        steps = re.findall(r"^step \d+ (make \w+)", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
        wanted = [other.removeprefix("CI").strip()] if other != "CI" else ["make drill", "make test"]
        assert set(wanted) <= set(steps)
        return
    module, _, name = other.partition("::")
    text = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    assert f"\ndef {name}(" in text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's working folder, its name with a space in it, in which llm_outage has been run."""
    copy = tmp_path_factory.mktemp("docs") / "the project"
    for name in ("fixtures", "scenarios", "loadtests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "docker-compose.yml", copy)
    (copy / ".venv").symlink_to(sys.prefix)
    keep_a_run(copy / "runs")
    return copy


def keep_a_run(runs: Path) -> None:
    """Save the synthetic outage as a run leaves it, with those claims of the shipped scenario that it can show."""
    spans = {name: Window(name) for name in ("calm", "on the fallback", "back to normal", "fallback-model")}
    fault = Window(outage.FAULT)
    recovered = llm_outage.RECOVERED
    checks: tuple[Check, ...] = (
        llm_outage.ALERT.delivered(),
        recovered.during(spans["calm"], spans["on the fallback"], spans["back to normal"]),
        recovered.within(minutes(5), of=spans["fallback-model"].end, by=fault.end),
    )
    record = outage.record()
    told = {step.window for step in record.steps}  # its restore step has a window and no account: fine for a picture
    windows = tuple(span for span in record.windows if span.kind != "step" or span.name in told)
    record = replace(record, windows=windows)
    place = store.new_folder(runs, "llm_outage", record.began)
    text = "\n".join([SAMPLES_HEADER, SAMPLES_COLUMNS, *map(sample_line, record.samples), ""])
    (place / "samples.csv").write_text(text, encoding="utf-8")
    load = replace(record.loads[0], sha256=hashlib.sha256(text.encode()).hexdigest())
    record = replace(record, run_id=place.name, loads=(load,), checks=tuple(map(encode_check, checks)))
    store.save_record(record, place)
    store.save_verdict(judge(record), place)


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of this test's own, so that no other sandbox of this user is seen."""
    with TemporaryDirectory(prefix="gd-") as own:
        monkeypatch.setenv("GAMEDAY_STATE_DIR", own)
        yield Path(own)


def shell(
    line: str, folder: Path, limit: float = 30, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `line` in bash, where `gameday` is on PATH."""
    path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": path, **(variables or {})},
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )


def run(line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Run a `gameday` command line in this process: a start of Python for each would take seconds in all."""
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    try:
        cli.main()
        status: object = 0
    except SystemExit as ended:
        status = ended.code or 0
    out, err = capsys.readouterr()
    assert isinstance(status, int)
    return status, out + err


@pytest.mark.parametrize("line", [line for line, how in COMMANDS.items() if isinstance(how, Here)])
def test_a_documented_command_does_what_it_says(
    line: str, folder: Path, state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command ends with its exit status and says what is expected of it; what a document shows is what it says."""
    monkeypatch.chdir(folder)
    expected = COMMANDS[line]
    assert isinstance(expected, Here)
    if Path(shlex.split(line)[0]).name == "gameday":
        status, said = run(line, capsys, monkeypatch)
    else:
        done = shell(line, folder)
        status, said = done.returncode, done.stdout + done.stderr
    assert status == expected.status, said
    words = " ".join(said.split())
    assert expected.says in words
    for command in commands():
        shown = command.output if command.text == line else ()
        assert all(" ".join(below.split()) in words for below in shown if below.strip() not in ("", "…")), command


def test_the_command_is_where_the_documents_call_it(folder: Path, state: Path) -> None:
    """`.venv/bin/gameday` is a program, and works in a folder whose name has a space."""
    done = shell(".venv/bin/gameday --help", folder)
    assert done.returncode == 0, done.stderr
    assert "Prove that an incident runbook works" in done.stdout


@pytest.mark.integration
@pytest.mark.timeout(120)
def test_breaking_something_by_hand(folder: Path, state: Path) -> None:
    """The tutorial's fourth section, line by line: up, a link cut, an error, the link mended, down; nothing is left."""
    lines = [each.text for each in commands() if each.document == TUTORIAL and who_runs(each) is BY_HAND]
    start, look, *acts, end = [line for line in lines if not re.match(r"[A-Z]+=", line)]
    try:
        assert shell(start, folder, 60).returncode == 0
        assert "toxiproxy" in shell(look, folder).stdout
        (services,) = json.loads(shell(f"{look} --json", folder).stdout).values()
        where: dict[str, Mapping[str, object]] = {
            each["name"]: next(iter(each["addresses"].values()), {}) for each in services
        }
        named = {name: where[name.lower()] for name in re.findall(r"^([A-Z]+)=", "\n".join(lines), re.MULTILINE)}
        variables = {name: f"{address['host']}:{address['port']}" for name, address in named.items()}
        well, cut, broken, mend = (partial(shell, act, folder, variables=variables) for act in acts)
        assert "a quiet morning" in well().stdout
        assert '"enabled":false' in cut().stdout
        assert broken().stdout.endswith("503\n")
        assert '"enabled":true' in mend().stdout
        deadline = time.monotonic() + 10
        while not (answer := broken().stdout).endswith("200\n"):
            assert time.monotonic() < deadline, answer
            time.sleep(0.2)
    finally:
        ended = shell(end, folder)
    assert ended.returncode == 0, ended.stderr
    assert not list(state.iterdir()), "something of the sandbox is left"


@pytest.mark.alone
@pytest.mark.integration
@pytest.mark.timeout(150)
def test_a_scenario_runs_as_documented(folder: Path, state: Path, tmp_path: Path) -> None:
    """`gameday run llm_outage` passes, says so, and `gameday judge` on its folder agrees."""
    done = shell(f".venv/bin/gameday run llm_outage --runs '{tmp_path}'", folder, 140)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All" in done.stdout
    assert shell(f".venv/bin/gameday judge '{tmp_path}/llm_outage/latest'", folder).returncode == 0


# -- code --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", list(blocks()), ids=lambda each: f"{each.document}:{each.line}")
def test_a_block_says_its_language_and_can_be_read(each: Block) -> None:
    """Each code block is fenced, names a language known here, and can be parsed as that."""
    assert each.language in LANGUAGES, f"{each}: say one of {sorted(LANGUAGES)} behind the fence"
    if each.language == "python":
        compile(each.text, f"{each.document}:{each.line}", "exec")
    if each.language == "yaml":
        yaml.safe_load(each.text)
    if each.language == "json":
        json.loads(each.text)


def executed(text: str, name: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A document's code as a module: dataclasses and pydantic look their names up in `sys.modules`."""
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(text, name, "exec"), module.__dict__)  # noqa: S102 - our own documents
    return module


def test_self_contained_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each Python block that imports what it needs runs; not the locustfile: importing Locust patches sockets."""
    whole = [
        each for each in blocks() if each.language == "python" and re.search("^(from|import) ", each.text, re.MULTILINE)
    ]
    ran = [each for each in whole if "locust" not in each.text]
    assert {each.document for each in ran} >= {"README.md", FAULT, STACK}
    for number, each in enumerate(ran):
        executed(each.text, f"document_{number}", monkeypatch)


def test_the_scenario_of_the_readme_is_the_shipped_one() -> None:
    """README shows scenarios/test_llm_outage.py as it is, blank lines apart."""
    shown = block("README.md", "def test_llm_outage")
    shipped = (ROOT / "scenarios/test_llm_outage.py").read_text(encoding="utf-8")
    assert [line for line in shown.splitlines() if line] == [line for line in shipped.splitlines() if line]


def test_the_protocol_of_a_fault_is_quoted_as_it_is() -> None:
    """The how-to shows the protocol of harness/faults/base.py word for word."""
    assert block(FAULT, "class Fault(Protocol)") == inspect.getsource(Fault)


def test_the_fault_of_the_how_to_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example cuts one caller's link and no other, is seen by its receipt, heals twice."""
    example = executed(block(FAULT, "class Partition"), "partition", monkeypatch)
    with FakeSandbox({"app-cache": "cache", "batch-cache": "cache"}) as sandbox:
        fault = example.Partition("app-cache")
        assert fault.problems(sandbox) == []
        assert "batch-cache" in example.Partition("app-cash").problems(sandbox)[0]
        assert fault.receipt(sandbox, 1.0).in_force is False
        fault.inject(sandbox)
        assert [link.enabled for link in sandbox.links()] == [False, True]
        assert fault.receipt(sandbox, 2.0).in_force is True
        fault.heal(sandbox)
        fault.heal(sandbox)
        assert fault.receipt(sandbox, 3.0).in_force is False
        assert fault.traffic(sandbox) > 0


# -- the stack of the how-to -------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of "How to bring your own stack", as a reader would have written them; the runbook is the reader's."""
    files = {
        "docker-compose.yml": block(STACK, "x-gameday:"),
        "proxies.json": block(STACK, '"upstream"'),
        "users.py": block(STACK, "FastHttpUser"),
        **{
            name: block(STACK, f"# {name}\n")
            for name in ("rules.yml", "prometheus.yml", "alertmanager.yml", "steps.yml")
        },
        "runbook.md": "# Shop\n\n## Payments are down\n\n```sh\ncurl -f -X POST http://localhost:8080/admin/pay-later/on\n"
        "```\n\n## Back to normal\n\n```sh\ncurl -f -X POST http://localhost:8080/admin/pay-later/off\n```\n",
        "scenarios/test_payments_outage.py": block(STACK, "def test_payments_outage"),
    }
    (tmp_path / "scenarios").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stack_of_the_how_to_is_understood(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its topology, rules, configuration and steps are accepted as they stand, at the time scale that the page uses."""
    topology = read_topology(shop / "docker-compose.yml", {})
    assert set(topology.roles) == set(get_args(Role))
    assert not (set(topology.parts) - {"toxiproxy", "prometheus", "alertmanager"})
    assert not read_steps(shop / "steps.yml", read_runbook(shop / "runbook.md")).problems(["pay-later"])
    scaled = scale_prometheus((shop / "prometheus.yml").read_text(), scale=60, source="prometheus.yml")
    assert "250ms" in scaled
    assert "[5s]" in scale_rules((shop / "rules.yml").read_text(), scale=60, source="rules.yml", scrape_interval=None)
    scale_alertmanager((shop / "alertmanager.yml").read_text(), scale=60, source="alertmanager.yml")
    orders = executed(block(STACK, "def test_payments_outage"), "orders", monkeypatch).ORDERS
    assert f"at least {orders.needs}" in " ".join(read(STACK).split())


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        ("gameday list", 0, "payments_outage"),
        ("gameday runbook outline", 0, "payments-are-down/1"),
        ("gameday run payments_outage --time-scale 0", 2, "between 1"),  # refused before a sandbox is started
    ],
)
def test_the_commands_of_the_how_to_find_its_files(
    line: str, status: int, says: str, shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder with these files the commands find the scenario and the runbook."""
    ended, said = run(line, capsys, monkeypatch)
    assert (ended, says in said) == (status, True), said
