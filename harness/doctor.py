"""Doctor: what this machine can run and what it can't, and why."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from harness.sandbox.parts import NAMES, FoundPart, Result, part, survey
from harness.sandbox.parts.base import Unavailable, version_of
from harness.sandbox.parts.cache import users_cache
from harness.sandbox.parts.go import go_on_path

DISTRIBUTION = "gameday-harness"
_DOCKER_SECONDS = 1.2  # a healthy engine answers in 50 ms; the whole diagnosis is to take less than 1.5 s


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked for. `where` is its path or command, or why it is not there; `purpose` what for."""

    name: str
    there: bool
    version: str = ""
    how: str = ""
    where: str = ""
    purpose: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """Something that one may want to run here. `why` names what is missing, or what it will use."""

    name: str
    possible: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found; `str` is for people, `as_json` for programs."""

    platform: str
    python: str
    cache: str
    parts: tuple[Finding, ...]
    tools: tuple[Finding, ...]
    capabilities: tuple[Capability, ...]

    @property
    def healthy(self) -> bool:
        """Whether a sandbox can be started here at all."""
        return any(each.possible for each in self.capabilities if each.name in ("processes", "containers"))

    def as_json(self) -> str:
        """The same as a JSON object."""
        return json.dumps({**dataclasses.asdict(self), "healthy": self.healthy}, indent=2)

    def __str__(self) -> str:
        lines = [f"{self.platform}, Python {self.python}", f"cache: {self.cache}", "", "parts"]
        lines += [_line(each) for each in self.parts]
        lines += ["", "tools"]
        lines += [_line(each) for each in self.tools]
        lines += ["", "this machine can run"]
        lines += [f"  {'yes' if each.possible else 'no':4}{each.name:14}{each.why}" for each in self.capabilities]
        return "\n".join(lines)


def diagnose() -> Diagnosis:
    """Look at everything, side by side; changes nothing and asks nothing of the network but the Docker engine."""
    with ThreadPoolExecutor() as pool:
        parts_later = pool.submit(survey, NAMES)
        later = [pool.submit(look) for look in (_bash, _curl, _jq, _go, _docker_engine, _docker_compose)]
        surveyed = parts_later.result()
        tools = tuple(each.result() for each in later)
    parts = tuple(_of_part(name, result) for name, result in surveyed.items())
    return Diagnosis(
        platform=f"{platform.system()} {platform.machine()}",
        python=f"{platform.python_version()} at {sys.executable}",
        cache=str(users_cache(os.environ).root),
        parts=parts,
        tools=tools,
        capabilities=_capabilities(parts, tools, surveyed),
    )


# -- what is there -------------------------------------------------------------------------------------------------


def _of_part(name: str, result: Result) -> Finding:
    if not isinstance(result, FoundPart):
        where = f"{'; '.join(result)}; `make setup` gets it, or {part(name).advice}"
        return Finding(name=name, there=False, where=where)
    where = " ".join(result.argv)
    if result == part(name).stand_in:
        where += f" (ours, in its place; `make setup` tries to get {name} itself)"
    return Finding(name=name, there=True, version=result.version, how=result.how, where=where)


def _tool(name: str, purpose: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name=name, there=False, where=f"not on PATH: install the package {name}", purpose=purpose)
    try:
        version = version_of((path, "--version"))
    except Unavailable as problem:
        return Finding(name=name, there=False, where=f"{path} {problem}", purpose=purpose)
    return Finding(name=name, there=True, version=version, how="PATH", where=path, purpose=purpose)


def _bash() -> Finding:
    return _tool("bash", "runs the runbook's commands")


def _curl() -> Finding:
    return _tool("curl", "most of the runbook's commands")


def _jq() -> Finding:
    return _tool("jq", "the runbook's commands that read JSON")


def _go() -> Finding:
    purpose = "compiles parts that can't be downloaded; optional"
    try:
        path, version = go_on_path()
    except Unavailable as problem:
        return Finding(name="go", there=False, where=str(problem), purpose=purpose)
    return Finding(name="go", there=True, version=version, how="PATH", where=path, purpose=purpose)


def _docker_engine() -> Finding:
    return _docker("docker engine", ("version", "--format", "{{.Server.Version}}"))


def _docker_compose() -> Finding:
    return _docker("docker compose", ("compose", "version", "--short"))


def _docker(name: str, arguments: Sequence[str]) -> Finding:
    purpose = "the sandbox in containers; optional"
    path = shutil.which("docker")
    if path is None:
        return Finding(name=name, there=False, where="no docker on PATH", purpose=purpose)
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=_DOCKER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Finding(name=name, there=False, where=f"no answer within {_DOCKER_SECONDS:g} s", purpose=purpose)
    except OSError as problem:
        return Finding(name=name, there=False, where=f"{path} does not run: {problem.strerror}", purpose=purpose)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["nothing"])[0]
        command = f"`docker {arguments[0]}`"
        return Finding(name=name, there=False, where=f"{command} fails and says: {said}", purpose=purpose)
    return Finding(name=name, there=True, version=done.stdout.strip(), how="PATH", where=path, purpose=purpose)


# -- what follows --------------------------------------------------------------------------------------------------


def _capabilities(
    parts: Sequence[Finding], tools: Sequence[Finding], surveyed: Mapping[str, Result]
) -> tuple[Capability, ...]:
    here = {each.name: each.there for each in (*parts, *tools)}
    sandbox, load = _packages_missing("sandbox"), _packages_missing("load")
    prometheus = surveyed["prometheus"]
    promtool = isinstance(prometheus, FoundPart) and "promtool" in prometheus.tools
    return (
        _capability("processes", [*_absent(here, *NAMES, "bash", "curl"), *sandbox], "the sandbox without containers"),
        _capability("containers", _absent(here, "docker engine", "docker compose"), "the sandbox in containers"),
        _capability("load", load, "Locust, in a process of its own"),
        _capability("rule tests", [] if promtool else ["promtool"], "promtool, on the scaled alerting rules"),
        _capability("JSON steps", _absent(here, "jq"), "the runbook's steps that use jq"),
    )


def _capability(name: str, missing: Sequence[str], use: str) -> Capability:
    return Capability(name=name, possible=not missing, why=f"missing: {', '.join(missing)}" if missing else use)


def _absent(here: Mapping[str, bool], *names: str) -> list[str]:
    return [name for name in names if not here[name]]


def _packages_missing(extra: str) -> list[str]:
    """The Python packages of the extra `extra` that are not installed."""
    try:
        requirements: Iterable[str] = importlib.metadata.requires(DISTRIBUTION) or ()
    except importlib.metadata.PackageNotFoundError:
        return [f"the Python package {DISTRIBUTION}"]
    missing = []
    for requirement in requirements:
        if re.search(rf"""extra\s*==\s*['"]{extra}['"]""", requirement) is None:
            continue
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(f"the Python package {name}")
    return missing


def _line(finding: Finding) -> str:
    if not finding.there:
        return f"  --  {finding.name:15} {finding.where}" + (f"  [{finding.purpose}]" if finding.purpose else "")
    return f"  ok  {finding.name:15} {finding.version:12} {finding.how}: {finding.where}"
