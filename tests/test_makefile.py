"""What people and CI type works as it stands: the targets, set-up, the lock file and the CI script."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def run(*argv: str, environment: dict[str, str] | None = None, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, cwd=folder, env=environment or dict(os.environ), capture_output=True, text=True, timeout=20, check=False
    )


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_make_lists_every_target() -> None:
    """`make` alone names each target with a line of help, and starts nothing."""
    done = run("make")
    targets = re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE)
    assert done.returncode == 0
    assert set(targets) >= {"setup", "drill", "test", "unit", "check", "torture", "bench", "clean"}
    for target in targets:
        assert re.search(rf"^  {target} +\w", done.stdout, flags=re.MULTILINE), f"{target} has no help"


@pytest.mark.parametrize("target", ["drill", "scenarios", "test", "unit", "check", "table", "torture", "bench"])
def test_every_command_sets_itself_up(target: str) -> None:
    """Each target that needs packages runs the set-up first, so that one command is enough in a fresh clone."""
    assert run("make", "--dry-run", target).stdout.splitlines()[0] == "scripts/set-up"


def test_settings_reach_their_commands() -> None:
    """COUNT and SCALE end up in the commands that they are for."""
    assert "tests.torture --count 3" in run("make", "--dry-run", "torture", "COUNT=3").stdout
    assert "--time-scale 30" in run("make", "--dry-run", "drill", "SCALE=30").stdout


def test_ci_runs_targets_that_exist() -> None:
    """The CI script calls make's own targets, and all of them are there."""
    called = re.findall(r"^step \d+ make (\w+)\b", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert called == ["setup", "check", "test", "drill", "scenarios"]
    assert all(f"\n{target}:" in MAKEFILE for target in called)


def test_ci_can_not_hang() -> None:
    """Each step has a limit, and all together end within 80 minutes even where each of them hangs."""
    limits = re.findall(r"^step (\d+) ", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(limits) == 5
    assert sum(map(int, limits)) <= 80 * 60


@pytest.mark.parametrize(("shell", "script"), [("sh", "scripts/set-up"), ("bash", ".ci/run")])
def test_scripts_can_be_parsed(shell: str, script: str) -> None:
    """The shell finds no syntax error, and the script may be executed."""
    done = run(shell, "-n", script)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.access(ROOT / script, os.X_OK)


# -- the lock file -------------------------------------------------------------------------------------------------


def test_the_lock_file_names_no_server() -> None:
    """Where packages come from is the reader's own business: the lock file has no address in it."""
    assert "://" not in LOCK
    assert "--index" not in LOCK


def test_everything_locked_has_a_hash() -> None:
    """Each package is followed by at least one hash."""
    blocks = re.split(r"^(?=\S)", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) > 50
    assert all("--hash=sha256:" in block for block in blocks)


def test_the_lock_file_has_all_that_the_project_asks_for() -> None:
    """Each dependency of pyproject.toml, extras included, is in the lock file; `make lock` renews it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    locked = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", LOCK, flags=re.MULTILINE)}
    wanted = {normal(re.split(r"[^A-Za-z0-9._-]", each, maxsplit=1)[0]) for each in asked}
    assert wanted | {"uv", "hatchling", "editables"} <= locked


def test_what_runs_here_is_what_is_locked() -> None:
    """The versions of this environment that the sandbox's evidence depends on are those of the lock file."""
    locked = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCK, flags=re.MULTILINE))
    for name in ("toxiproxy-python", "promql-parser", "locust"):
        assert importlib.metadata.version(name) == locked[name], f"`make setup` brings {name} up to date"


# -- set-up --------------------------------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A bare clone, as far as set-up is concerned, in a folder with a space in its name."""
    folder = tmp_path / "my clone"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "set-up", folder / "scripts")
    for name in ("requirements.lock", "pyproject.toml"):
        (folder / name).write_text("")
    return folder


def tools(tmp_path: Path, **programs: str) -> dict[str, str]:
    """An environment whose PATH has only the shell's usual tools and `programs`, each a shell script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cat", "cksum", "dirname", "head", "sed", "rm", "pwd"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return {"PATH": str(folder), "HOME": str(tmp_path)}


def test_an_old_python_is_one_clear_message(clone: Path, tmp_path: Path) -> None:
    """Where no Python will do, set-up says which were seen, what is needed and how to name another, and exits 2."""
    environment = tools(tmp_path, python3='[ "$1" = --version ] && { echo Python 3.9.2; exit; }; exit 1')
    done = run("/bin/sh", "scripts/set-up", environment=environment, folder=clone)
    assert done.returncode == 2
    assert "Python 3.11 or newer" in done.stderr
    assert "python3 is Python 3.9.2" in done.stderr
    assert "PYTHON=" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_names_the_package(clone: Path, tmp_path: Path) -> None:
    """Debian's Python without python3-venv is recognised before it fails half way."""
    environment = tools(tmp_path, python3='case "$*" in *ensurepip*) exit 1;; esac')
    done = run("/bin/sh", "scripts/set-up", environment=environment, folder=clone)
    assert done.returncode == 2
    assert "python3-venv" in done.stderr


def test_a_set_up_that_is_done_does_nothing(clone: Path, tmp_path: Path) -> None:
    """With the lock file as installed, in the same folder, set-up only looks whether the parts are there."""
    environment = tools(tmp_path)
    log = tmp_path / "log"
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\necho "$@" >>"{log}"\n')
    (clone / ".venv" / "bin" / "python").chmod(0o755)
    (clone / ".venv" / ".parts").write_text("")
    fingerprint = run(
        "/bin/sh",
        "-c",
        "cksum requirements.lock pyproject.toml scripts/set-up; pwd",
        environment=environment,
        folder=clone,
    )
    (clone / ".venv" / ".packages").write_text(fingerprint.stdout)
    done = run("/bin/sh", "scripts/set-up", environment=environment, folder=clone)
    assert (done.returncode, done.stderr) == (0, "")
    assert log.read_text() == "-m harness.sandbox.parts --check\n"
