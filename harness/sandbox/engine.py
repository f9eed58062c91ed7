"""Engine: the Docker engine that holds a sandbox's containers, as far as the harness speaks to it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import docker
import requests
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, NotFound

from harness.errors import SandboxError, UsageError
from harness.sandbox.state import ENGINE, write_atomically

LABEL = "gameday.sandbox"
"""The label of everything that a sandbox has the engine make; its value is the sandbox's folder."""

SERVICE = "com.docker.compose.service"  # Compose's own label
_OLDEST = (1, 41)  # the API of engine 20.10: what this was tried with
_PATIENCE = 20  # seconds for an answer; a stop has its own grace on top
_CLI_PATIENCE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container in one look. `state` is the engine's word (created, running, paused, restarting, exited, dead),
    `health` that of its health check (empty where it has none); `address` is its own in its network."""

    id: str
    service: str
    state: str
    health: str
    address: str


class Engine:
    """One engine on this machine. Holds a connection: close it, or use it as a context manager."""

    def __init__(self, host: str, *, api_version: str = "") -> None:
        """The engine at `host` (`unix:///…`). Without an `api_version` it is asked for its own: raises UsageError where
        nothing usable answers."""
        self.host = host
        _knock(host)
        api: Any = docker.APIClient(
            base_url=host, version=api_version or ".".join(map(str, _OLDEST)), timeout=_PATIENCE
        )
        self._api = api
        if not api_version:
            told = str(self.ask(self._api.version, api_version=False)["ApiVersion"])
            # What version="auto" does, which would leave a connection open where the engine breaks off.
            self._api._version = min(told, DEFAULT_DOCKER_API_VERSION, key=numbers)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._api.close()

    @property
    def version(self) -> str:
        return str(self.ask(self._api.version).get("Version", "unknown version"))

    @property
    def api_version(self) -> str:
        """That of its API which is spoken: `1.41`."""
        return str(self._api.api_version)

    def problems(self) -> list[str]:
        """What keeps sandboxes from running on it, in plain words; empty where nothing does."""
        info, about = self.ask(self._api.info), self.ask(self._api.version)
        found = []
        if numbers(self.api_version) < _OLDEST:
            found.append(f"the engine is {self.version}: too old, 20.10 or newer is needed")
        parts = {str(part.get("Name", "")) for part in about.get("Components") or ()}
        if any("podman" in part.lower() for part in parts):
            found.append("it is Podman, on which nothing of this was tried")
        if any("rootless" in str(option) for option in info.get("SecurityOptions") or ()):
            found.append("the engine is rootless: its containers' addresses can't be reached from outside of it")
        if "desktop" in str(info.get("OperatingSystem", "")).lower():
            found.append("it is Docker Desktop: its containers run in a virtual machine, where faults can't be seen")
        if info.get("OSType") != "linux":
            found.append(f"its containers are of {info.get('OSType')}, not of Linux")
        return found

    def ask(self, question: Any, *arguments: Any, **named: Any) -> Any:
        """Call a method of the SDK. Raises SandboxError where the engine says no, or does not answer."""
        try:
            return question(*arguments, **named)
        except NotFound as odd:
            raise SandboxError(f"the engine does not have it: {_said(odd)}", hint="`gameday status`") from odd
        except APIError as odd:
            raise SandboxError(f"the engine refused: {_said(odd)}", hint="`docker events` shows what it did") from odd
        except (DockerException, requests.RequestException, OSError) as odd:
            raise SandboxError(
                f"the Docker engine at {self.host} does not answer: {odd}",
                hint="is it running? `gameday rollback` removes what is left, once it is",
            ) from odd

    # -- containers --------------------------------------------------------------------------------------------------

    def containers(self, folder: Path) -> Sequence[Container]:
        """Those of the sandbox in `folder`, running or not."""
        filters = {"label": f"{LABEL}={folder}"}
        return [_container(raw) for raw in self.ask(self._api.containers, all=True, filters=filters)]

    def inspect(self, container: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.ask(self._api.inspect_container, container)
        return found

    def kill(self, container: str, signal: int) -> None:
        self.ask(self._api.kill, container, signal)

    def pause(self, container: str) -> None:
        self.ask(self._api.pause, container)

    def unpause(self, container: str) -> None:
        self.ask(self._api.unpause, container)

    def start(self, container: str) -> None:
        self.ask(self._api.start, container)

    def stop(self, container: str, grace: float) -> None:
        """Ask it to end, and kill it after `grace` seconds; its restart policy leaves it stopped."""
        self.ask(self._api.stop, container, timeout=round(grace))

    def update(self, container: str, settings: Mapping[str, Any]) -> None:
        """Change what it may use: fields of the engine's HostConfig, by their own names. The SDK's own method lacks
        some of them."""
        url = self._api._url("/containers/{0}/update", container)
        self.ask(lambda: self._api._result(self._api._post_json(url, data=dict(settings)), True))

    def log(self, container: str) -> str:
        """All that it has written to its output."""
        raw: bytes = self.ask(self._api.logs, container, stdout=True, stderr=True)
        return raw.decode("utf-8", errors="replace")

    # -- images ------------------------------------------------------------------------------------------------------

    def image(self, name: str) -> Mapping[str, Any] | None:
        """The image called `name`; None where it is not here."""
        with suppress(NotFound):
            found: Mapping[str, Any] = self._try(self._api.inspect_image, name)
            return found
        return None

    def _try(self, question: Any, *arguments: Any) -> Any:
        """The same as `ask`, and NotFound as it is."""

        def tried() -> Any:
            try:
                return True, question(*arguments)
            except NotFound as odd:
                return False, odd

        there, found = self.ask(tried)
        if not there:
            raise found
        return found

    def build(self, context: Any, dockerfile: str, tag: str) -> str:
        """Build an image from a tar file with the engine's own builder; what the builder said last where it failed,
        empty where it did not."""
        said: list[str] = []
        for line in self.ask(
            self._api.build, fileobj=context, custom_context=True, dockerfile=dockerfile, tag=tag, rm=True,
            decode=True, timeout=900,
        ):  # fmt: skip
            said.append(str(line.get("stream") or line.get("error") or "").strip())
            if "error" in line:
                return "\n".join(filter(None, said[-6:]))
        return ""

    # -- the end -----------------------------------------------------------------------------------------------------

    def remove_container(self, container: str) -> None:
        """Kill and remove it with its unnamed volumes; no error where it is gone."""
        with suppress(NotFound):
            self._try(lambda name: self._api.remove_container(name, v=True, force=True), container)

    def networks(self, folder: Path) -> Sequence[str]:
        found = self.ask(self._api.networks, filters={"label": f"{LABEL}={folder}"})
        return [str(one["Id"]) for one in found]

    def remove_network(self, network: str) -> None:
        with suppress(NotFound):
            self._try(self._api.remove_network, network)

    def volumes(self, folder: Path) -> Sequence[str]:
        found = self.ask(self._api.volumes, filters={"label": f"{LABEL}={folder}"})
        return [str(one["Name"]) for one in found.get("Volumes") or ()]

    def remove_volume(self, volume: str) -> None:
        with suppress(NotFound):
            self._try(lambda name: self._api.remove_volume(name, force=True), volume)


def numbers(version: str) -> tuple[int, ...]:
    """`1.41` as numbers that can be compared."""
    return tuple(int(piece) for piece in version.split(".") if piece.isdigit())


def _container(raw: Mapping[str, Any]) -> Container:
    status, networks = str(raw.get("Status", "")), raw.get("NetworkSettings", {}).get("Networks") or {}
    health = next((word for word in ("healthy", "unhealthy") if f"({word})" in status), "")
    return Container(
        id=str(raw["Id"]),
        service=str((raw.get("Labels") or {}).get(SERVICE, "")),
        state=str(raw.get("State", "")),
        health=health or ("starting" if "health: starting" in status else ""),
        address=next((str(one["IPAddress"]) for one in networks.values() if one.get("IPAddress")), ""),
    )


def _said(odd: APIError) -> str:
    return " ".join(str(odd.explanation or odd).split())


def _knock(host: str) -> None:
    """Whether somebody listens at a unix socket. The SDK would leave a socket open where nobody does."""
    path = host.removeprefix("unix://")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(_PATIENCE)
            door.connect(path)
    except PermissionError as odd:
        raise UsageError(
            f"no permission for the Docker engine's socket {path}",
            hint="join the group `docker` (then log in again), or use --runtime processes",
        ) from odd
    except OSError as odd:
        raise UsageError(
            f"no Docker engine answers at {path}: {odd.strerror or odd}",
            hint="start it, set DOCKER_HOST, or use --runtime processes",
        ) from odd


# -- finding it ----------------------------------------------------------------------------------------------------


def docker_cli() -> str:
    """The program `docker`. Raises UsageError where there is none."""
    found = shutil.which("docker")
    if found is None:
        raise UsageError("no docker on PATH", hint="install Docker, or use --runtime processes")
    return found


def cli_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What `docker` needs of the caller's environment: where the engine is, and its own configuration."""
    wanted = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY")
    return {name: environ[name] for name in wanted if name in environ}


def run_docker(
    *arguments: str, environ: Mapping[str, str], directory: Path | None = None, patience: float = _CLI_PATIENCE
) -> str:
    """What a `docker` command prints. Raises UsageError with the command's own words where it fails."""
    argv = [docker_cli(), *arguments]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=patience, check=False, cwd=directory,
            env=dict(environ), stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as odd:
        raise UsageError(f"`docker {arguments[0]}` can't be run: {odd}", hint="use --runtime processes") from odd
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:600]
        raise UsageError(f"`docker {' '.join(arguments[:2])}` fails: {said}", hint="use --runtime processes")
    return done.stdout


def connect(environ: Mapping[str, str] = os.environ) -> Engine:
    """The engine that `docker` itself would use. Raises UsageError, with the reason, where it can't hold a sandbox."""
    said = run_docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}", environ=cli_environment(environ))
    host = said.strip()
    if not host.startswith("unix://"):
        raise UsageError(
            f"the Docker engine at {host} is not on this machine, where load and probes run",
            hint="run gameday on that machine, or unset DOCKER_HOST",
        )
    engine = Engine(host)
    try:
        if problems := engine.problems():
            raise UsageError("this Docker engine can't hold a sandbox", problems=problems, hint="--runtime processes")
    except BaseException:
        engine.close()
        raise
    return engine


# -- what is written down ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Which engine has the containers of a sandbox, under which project name, and how it is spoken to."""

    host: str
    project: str
    api_version: str

    def save(self, folder: Path) -> None:
        """Raises OSError."""
        write_atomically(folder / ENGINE, json.dumps(asdict(self)))

    @staticmethod
    def load(folder: Path) -> Whereabouts | None:
        """What is written in `folder`; None where the sandbox has no containers."""
        try:
            raw = json.loads((folder / ENGINE).read_text(encoding="utf-8"))
            return Whereabouts(**{name: str(raw[name]) for name in ("host", "project", "api_version")})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as odd:
            raise SandboxError(f"{folder / ENGINE} can't be read: {odd}", hint="see `docker ps`") from odd
