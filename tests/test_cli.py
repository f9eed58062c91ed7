"""The command line as a contract: what it refuses, how it says so, and with which exit status."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from harness import cli

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
        (("run",), "names"),
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
        ("scenarios/test_llm_outage.py", '"fallback-model")', '"fallback-mode")', "fallback-model"),
    ],
    ids=["yaml", "a role of nobody", "promql", "unscalable", "steps", "a changed line", "an unknown step"],
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
