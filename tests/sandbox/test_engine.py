"""An engine is used, or refused with the reason."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from docker.errors import APIError, NotFound

from harness.errors import SandboxError, UsageError
from harness.sandbox.engine import Engine, Whereabouts, connect, numbers

FINE_INFO = {"OSType": "linux", "OperatingSystem": "Debian", "SecurityOptions": ["name=seccomp,profile=default"]}
FINE = {"Version": "20.10.24", "Components": [{"Name": "Engine"}]}


class Api:
    """An SDK client that says what it was told to."""

    def __init__(self, info: dict[str, Any] | None = None, version: dict[str, Any] | None = None) -> None:
        self._info, self._said = {**FINE_INFO, **(info or {})}, {**FINE, **(version or {})}
        self.api_version = str((version or {}).get("ApiVersion", "1.41"))

    def info(self) -> dict[str, Any]:
        return self._info

    def version(self) -> dict[str, Any]:
        return self._said

    def close(self) -> None:
        pass


def of(api: Any) -> Engine:
    made = Engine.__new__(Engine)
    made.host, made._api = "unix:///s", api
    return made


@pytest.mark.parametrize(
    ("info", "version", "said"),
    [
        ({}, {"ApiVersion": "1.40", "Version": "19.03"}, "19.03: too old"),
        ({}, {"Components": [{"Name": "Podman Engine"}]}, "Podman"),
        ({"SecurityOptions": ["name=rootless"]}, {}, "rootless"),
        ({"OperatingSystem": "Docker Desktop"}, {}, "Desktop"),
        ({"OSType": "windows"}, {}, "windows"),
    ],
)
def test_an_engine_that_can_not_hold_a_sandbox_says_why(
    info: dict[str, Any], version: dict[str, Any], said: str
) -> None:
    """Too old, Podman, rootless, Docker Desktop, Windows: each is one problem."""
    [problem] = of(Api(info, version)).problems()
    assert said in problem


def test_a_fine_engine_has_no_problems() -> None:
    """The oldest engine that will do is taken."""
    assert of(Api()).problems() == []


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (requests.ConnectionError("refused"), "does not answer"),
        (requests.ReadTimeout("late"), "does not answer"),
        (NotFound("no such container"), "does not have it"),
        (APIError("conflict"), "refused"),
    ],
)
def test_every_trouble_of_the_engine_is_a_sandbox_error(odd: Exception, said: str) -> None:
    """Nothing of the SDK's own errors gets out."""

    def question() -> None:
        raise odd

    with pytest.raises(SandboxError, match=said):
        of(Api()).ask(question)


def test_removing_what_is_gone_is_no_error() -> None:
    """A container that somebody else has removed meanwhile is as good as removed."""
    api = Api()

    def gone(name: str, **_: Any) -> None:
        raise NotFound(f"no such container: {name}")

    api.remove_container = gone  # type: ignore[attr-defined]  # the stub has what the test needs
    of(api).remove_container("c1")


def docker_that_says(folder: Path, words: str, status: int = 0) -> dict[str, str]:
    """An environment whose `docker` prints `words`."""
    script = folder / "docker"
    script.write_text(f"#!/bin/sh\necho '{words}'\nexit {status}\n")
    script.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:2375", "ssh://them@there", "npipe:////./pipe/docker"])
def test_an_engine_on_another_machine_is_refused(path: Path, host: str) -> None:
    """Load and probes run here, so containers must too."""
    with pytest.raises(UsageError, match="not on this machine"):
        connect(docker_that_says(path, host))


def test_no_docker_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the program there is nothing to ask."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no docker on PATH"):
        connect({})


def test_no_engine_is_said(path: Path) -> None:
    """A socket that is not there is named."""
    with pytest.raises(UsageError, match="no Docker engine answers at /nowhere/s"):
        connect(docker_that_says(path, "unix:///nowhere/s"))


def test_a_socket_without_permission_is_said(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """It is another thing than an engine that is not there."""

    def closed(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", type("S", (socket.socket,), {"connect": closed}))
    with pytest.raises(UsageError, match="no permission for the Docker engine's socket"):
        Engine(f"unix://{path}/s")


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[str]:
    """A socket that hangs up on everybody."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/s")
        listening.listen()
        over = threading.Event()

        def serve() -> None:
            listening.settimeout(0.1)
            while not over.is_set():
                try:
                    listening.accept()[0].close()
                except TimeoutError:
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"unix://{tmp_path}/s"
        over.set()
        thread.join()


def test_an_engine_that_hangs_up_is_an_error_of_ours(silent: str) -> None:
    """Something that listens and is no engine."""
    with pytest.raises(SandboxError, match="does not answer"):
        Engine(silent)


def test_where_the_containers_are_is_read_back(tmp_path: Path) -> None:
    """A sandbox without containers has none; what is damaged is said."""
    assert Whereabouts.load(tmp_path) is None
    where = Whereabouts(host="unix:///s", project="p", api_version="1.41")
    where.save(tmp_path)
    assert Whereabouts.load(tmp_path) == where
    (tmp_path / "engine.json").write_text("{")
    with pytest.raises(SandboxError, match="can't be read"):
        Whereabouts.load(tmp_path)


def test_versions_compare_as_numbers() -> None:
    """1.9 is older than 1.41."""
    assert numbers("1.9") < numbers("1.41") < numbers("1.44")
