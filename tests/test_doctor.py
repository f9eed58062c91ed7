"""The doctor says what a machine can run and what it can't, and changes nothing by looking."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from harness import doctor
from harness.doctor import Diagnosis, diagnose


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and bash and curl on PATH. Returns the folder on its PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "curl"):
        program(folder, name, f"{name} 8.1.2")
    for variable in [name for name in os.environ if name.startswith("GAMEDAY_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("GAMEDAY_CACHE", str(tmp_path / "cache"))
    return folder


def program(folder: Path, name: str, says: str, body: str = "") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\necho '{says}'\n")
    path.chmod(0o755)
    return path


def can(diagnosis: Diagnosis, name: str) -> tuple[bool, str]:
    """Whether `name` is possible, and why."""
    return next((each.possible, each.why) for each in diagnosis.capabilities if each.name == name)


def where(diagnosis: Diagnosis, name: str) -> str:
    return next(each.where for each in (*diagnosis.parts, *diagnosis.tools) if each.name == name)


def test_looking_leaves_no_trace(machine: Path, tmp_path: Path) -> None:
    """A diagnosis does not create the cache folder, nor anything else beside it."""
    before = sorted(tmp_path.rglob("*"))
    diagnose()
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_missing_is_named_with_a_remedy(machine: Path) -> None:
    """Parts that are not there say where they were looked for and how to get them, and the sandbox is impossible."""
    diagnosis = diagnose()
    possible, why = can(diagnosis, "processes")
    assert not possible
    assert "prometheus" in why
    assert "alertmanager" in why
    assert "redis" not in why  # it is in a wheel
    assert not diagnosis.healthy
    assert "make setup" in where(diagnosis, "prometheus")
    assert "GAMEDAY_PROMETHEUS=" in where(diagnosis, "prometheus")


def test_with_all_parts_the_sandbox_can_run(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every part and bash and curl, the sandbox can run without containers; the tool promtool is told apart."""
    for name, says in (("prometheus", "version 3.1.0"), ("alertmanager", "version 0.28.1"), ("chroma", "chroma 1.4.4")):
        program(machine, name, says)
    diagnosis = diagnose()
    assert can(diagnosis, "processes")[0]
    assert diagnosis.healthy
    assert can(diagnosis, "rule tests") == (False, "missing: promtool")
    assert can(diagnosis, "JSON steps") == (False, "missing: jq")


def test_without_curl_the_runbook_cannot_run(machine: Path) -> None:
    """A tool that the runbook needs is part of the answer."""
    (machine / "curl").unlink()
    diagnosis = diagnose()
    assert "curl" in can(diagnosis, "processes")[1]
    assert "install the package curl" in where(diagnosis, "curl")


def test_a_stand_in_is_not_passed_off_as_the_real_server(machine: Path) -> None:
    """Where our own fault proxy stands in for Toxiproxy, the doctor says so."""
    assert "ours, in its place" in where(diagnose(), "toxiproxy")


def test_a_broken_choice_is_shown(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that names a program that is not there appears as the reason."""
    monkeypatch.setenv("GAMEDAY_NGINX", "/nowhere/nginx")
    assert "GAMEDAY_NGINX=/nowhere/nginx: there is no such file" in where(diagnose(), "nginx")


def test_an_engine_that_can_be_reached_allows_containers(machine: Path) -> None:
    """With Docker's engine and its compose plugin, the sandbox can run in containers."""
    program(machine, "docker", "27.1.0")
    assert can(diagnose(), "containers")[0]


def test_an_engine_that_is_down_is_quoted(machine: Path) -> None:
    """A docker command without an engine is no engine, and its own words say why."""
    program(machine, "docker", "", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    diagnosis = diagnose()
    assert not can(diagnosis, "containers")[0]
    assert "Cannot connect to the Docker daemon" in where(diagnosis, "docker engine")


def test_an_engine_that_hangs_does_not_hang_the_doctor(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that never answers costs a bounded time."""
    program(machine, "docker", "", "exec /bin/sleep 60")
    monkeypatch.setattr(doctor, "_DOCKER_SECONDS", 0.2)
    assert "no answer within 0.2 s" in where(diagnose(), "docker engine")


def test_missing_packages_are_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional packages of the sandbox, the sandbox cannot run, and the packages are named."""
    monkeypatch.setattr(importlib.metadata, "requires", lambda _name: ["no-such-package>=1; extra == 'sandbox'"])
    assert "the Python package no-such-package" in can(diagnose(), "processes")[1]


def test_text_and_json_say_the_same(machine: Path) -> None:
    """Every name in the text is in the JSON, which has its fields by name."""
    diagnosis = diagnose()
    data = json.loads(diagnosis.as_json())
    assert data["healthy"] is diagnosis.healthy
    for kind in ("parts", "tools", "capabilities"):
        assert [each["name"] for each in data[kind]] == [each.name for each in getattr(diagnosis, kind)]
        assert all(each["name"] in str(diagnosis) for each in data[kind])


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs a usual machine")
def test_a_real_diagnosis_waits_for_nothing() -> None:
    """On the machine as it is, whatever it has or lacks, a diagnosis comes to its end."""
    began = time.monotonic()
    diagnose()
    assert time.monotonic() - began < 15
