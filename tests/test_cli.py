"""The command line as a contract: what it refuses, how it says so, and with which exit status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli, session, store
from harness.model.record import Record, Scenario
from harness.model.verdict import Control

ROOT = Path(__file__).parent.parent
BASIC = ("doctor", "up", "down", "status", "list", "run", "judge", "report", "rollback")


def gameday(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command in this process: exit status, standard output, standard error."""
    before = sys.argv
    sys.argv = ["gameday", *map(str, arguments)]
    try:
        cli.main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.argv = before
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sandbox's description that a test may break, as the working folder."""
    for name in ("fixtures", "scenarios", "loadtests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} no longer has {old!r}"
    path.write_text(text.replace(old, new))


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`gameday --help` lists the commands, and exits with 0."""
    status, out, _ = gameday(capsys, "--help")
    assert status == 0
    assert all(command in out for command in (*BASIC, "runbook"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "lm_outage"), "did you mean llm_outage"),
        (("run", "llm_outage", "--time-scale", "0"), "between 1"),
        (("run", "llm_outage", "--control", "no-luck"), "no-mitigation"),
        (("run", "llm_outage", "--runtime", "cloud"), "processes"),
        (("run", "llm_outage", "--runtime", "compose"), "--runtime processes"),
        (("run", "llm_outage", "--compose", "nowhere.yml"), "nowhere.yml"),
        (("up", "--time-scale", "0"), "between 1"),
        (("up", "--compose", "nowhere.yml"), "nowhere.yml"),
        (("judge", "nowhere"), "not a run's folder"),
        (("report", "nowhere"), "not a run's folder"),
        (("report", "nowhere", "--format", "pdf"), "html"),
        (("down", "nothing-of-that-name"), "gameday status"),
        (("runbook", "outline", "nowhere.md"), "nowhere.md"),
        (("run",), "name the scenarios"),
        (("run", "llm_outage", "--all"), "not both"),
        (("run", "llm_outage", "--missing"), "nothing to go on with"),
        (("run", "llm_outage", "--control", "each", "--repeat", "3"), "goes without --repeat"),
        (("run", "llm_outage", "--control", "each", "--without", "fallback-model"), "--without"),
        (("controls", "nowhere"), "not a run's folder"),
        (("controls", "--format", "pdf"), "html"),
        (("repeats",), "--repeat"),
        (("repeats", "nowhere", "--format", "pdf"), "html"),
        (("play",), "play"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_can_not_work_is_refused_with_one_message(
    capsys: pytest.CaptureFixture[str], project: Path, arguments: tuple[str, ...], said: str
) -> None:
    """Exit 2, one clear message with what to do next, no traceback, and no run's folder."""
    status, out, err = gameday(capsys, *arguments)
    assert status == 2, out + err
    assert said in " ".join((out + err).replace("│", " ").split())
    assert "Traceback" not in out + err
    assert not (project / "runs").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("docker-compose.yml", "services:\n", "services: [", "YAML"),
        ("docker-compose.yml", "prometheus: prometheus:9090", "prometheus: prometeus:9090", "prometeus"),
        ("fixtures/prometheus/rules.yml", "rate(http", "rate(((http", "rules.yml"),
        ("fixtures/prometheus/rules.yml", "> 20", "> time() - 20", "HTTP503ErrorSpike"),
        ("fixtures/runbook/steps.yml", "becomes:", "becoms:", "steps.yml"),
        ("fixtures/runbook/503-error-spike.md", "circuit-breaker/openai/enable", "circuit-breaker/openai/on", "1.2"),
        ("scenarios/test_quiet_when_healthy.py", "import", "import import", "test_quiet_when_healthy.py, line"),
        ("docker-compose.yml", "x-gameday:", "x-games:", "has no x-gameday"),
        ("scenarios/test_llm_outage.py", '"fallback-model")', '"fallback-mode")', "fallback-model"),
    ],
    ids=[
        "yaml",
        "a role of nobody",
        "promql",
        "unscalable",
        "steps",
        "a changed line",
        "python",
        "no cast",
        "an unknown step",
    ],
)
def test_a_broken_file_is_named(
    capsys: pytest.CaptureFixture[str], project: Path, file: str, old: str, new: str, said: str
) -> None:
    """A configuration that can't work is found before anything is started, with the file or the name at fault."""
    edit(project / file, old, new)
    status, out, err = gameday(capsys, "run", "llm_outage")
    assert status == 2, out + err
    assert said in out + err
    assert "Traceback" not in out + err


def test_a_missing_part_is_named_with_how_to_get_it(
    capsys: pytest.CaptureFixture[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Prometheus to be had: exit 2, and where it was looked for."""
    monkeypatch.setenv("GAMEDAY_PROMETHEUS", "/nowhere/prometheus")
    status, out, err = gameday(capsys, "run", "llm_outage")
    assert status == 2, out + err
    assert "GAMEDAY_PROMETHEUS" in out + err


def test_all_problems_are_reported_at_once(
    capsys: pytest.CaptureFixture[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing part and a rule that can't be compiled are both in the one message."""
    monkeypatch.setenv("GAMEDAY_PROMETHEUS", "/nowhere/prometheus")
    edit(project / "fixtures/prometheus/rules.yml", "rate(http", "rate(((http")
    edit(project / "fixtures/runbook/steps.yml", "becomes:", "becoms:")
    _, out, err = gameday(capsys, "run", "llm_outage")
    assert "GAMEDAY_PROMETHEUS" in out + err
    assert "HTTP503ErrorSpike" in out + err
    assert "becoms" in out + err


def test_json_stands_alone_on_standard_output(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    """With --json there is nothing but JSON on standard output."""
    for command in (("list",), ("status",), ("doctor",), ("runbook", "outline")):
        status, out, _ = gameday(capsys, *command, "--json")
        assert status == 0
        assert isinstance(json.loads(out), dict | list)


def test_list_tells_what_each_scenario_claims_and_needs(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    """Each scenario with its hypothesis, the abilities it needs, and its last verdict."""
    folder = project / "runs" / "llm_outage" / "latest"
    folder.mkdir(parents=True)
    (folder / "verdict.json").write_text('{"outcome": "PASS"}')
    _, out, _ = gameday(capsys, "list", "--json")
    entries = {entry["name"]: entry for entry in json.loads(out)}
    assert entries["llm_outage"]["last"] == "PASS"
    assert "HasLinks" in entries["llm_outage"]["needs"]
    assert entries["quiet_when_healthy"]["last"] == "never run"
    assert "no alert" in entries["quiet_when_healthy"]["hypothesis"]


@pytest.mark.parametrize(
    ("trouble", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
        (KeyError("lost"), 5, "gameday broke: KeyError: 'lost' (test_cli.py:"),
        (OSError(28, "No space left on device"), 5, "No space left on device"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_happens_has_its_exit_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, trouble: BaseException, status: int, said: str
) -> None:
    """An interrupt, a reader that has gone, a defect of ours: none is taken for a FAIL, and none shows a traceback."""

    def broken() -> None:
        raise trouble

    monkeypatch.setattr(session, "status", broken)
    ended, out, err = gameday(capsys, "status")
    assert ended == status
    assert said in err
    assert "Traceback" not in out + err


def test_a_closed_pipe_is_no_failure() -> None:
    """`gameday list | true` ends with 141 and in silence, however little was written."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "harness.cli", "list"], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that recorded nothing."""
    record = Record(
        run_id="1",
        scenario=Scenario(name="outage", hypothesis="It holds.", source="scenarios/test_outage.py"),
        control=Control.NONE,
        time_scale=1.0,
        seed=1,
        runtime="processes",
        began=0.0,
        ended=1.0,
    )
    monkeypatch.chdir(tmp_path)
    store.save_record(record, tmp_path)
    return tmp_path


def test_a_report_goes_where_it_was_told_to(capsys: pytest.CaptureFixture[str], recorded: Path) -> None:
    """The folders of `--output` are made where there are none."""
    status, out, err = gameday(capsys, "report", recorded, "-f", "junit", "-o", "ci/reports/junit.xml")
    assert (status, out.strip()) == (0, "ci/reports/junit.xml"), err
    assert (recorded / "ci/reports/junit.xml").read_text().startswith("<?xml")


@pytest.mark.parametrize("arguments", [(".", "-o", "record.json/x.md"), (".", ".", "-o", "record.json")], ids=str)
def test_a_report_that_can_not_be_written_is_refused(
    capsys: pytest.CaptureFixture[str], recorded: Path, arguments: tuple[str, ...]
) -> None:
    """Exit 2, and the place at fault."""
    status, _, err = gameday(capsys, "report", *arguments)
    assert status == 2
    assert "record.json" in err
    assert "--output" in err
