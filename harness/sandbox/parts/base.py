"""Part: a server somebody else wrote, and the ways in which it can be had."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from harness.errors import HarnessError
from harness.sandbox.parts.cache import Cache, Installed
from harness.sandbox.parts.workshop import Workshop

PROBE_SECONDS = 5.0  # asking a program for its version takes 10 ms to 2 s


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPart:
    """A part that is on this machine. `argv` starts it (its own options are appended); `how` says where it came from,
    fit for a report: `PATH`, `Debian package`, `go build v0.28.1`. `tools` are programs that came with it."""

    name: str
    argv: tuple[str, ...]
    version: str
    how: str
    tools: Mapping[str, Path] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.how})"


class Unavailable(HarnessError):
    """One way to have a part does not work here; it becomes one line of a PartMissing."""


class Way(Protocol):
    """One way to have a part."""

    @property
    def label(self) -> str:
        """What it is, in a few words: `Debian package`."""
        ...

    def look(self) -> FoundPart:
        """The part, where this way has it already; quick, changes nothing. Raises Unavailable."""
        ...

    def get(self, shop: Workshop) -> FoundPart:
        """Have the part this way, into the cache. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What we need of one part: `commands` are its names on PATH, the best first; a version below `at_least` lacks
    something that the sandbox uses, which `because` names. `ways` are tried in order, after the environment and PATH.
    `stand_in` is for where no way works."""

    name: str
    commands: tuple[str, ...]
    version_flag: str
    at_least: str
    because: str
    ways: tuple[Way, ...]
    tools: tuple[str, ...] = ()
    stand_in: FoundPart | None = None
    elsewhere: str = ""  # how its users usually install it

    @property
    def variable(self) -> str:
        """The environment variable that names its program."""
        return f"GAMEDAY_{self.name.upper()}"

    @property
    def advice(self) -> str:
        """How to have it by hand."""
        return f"to use your own, set {self.variable}=/path/to/{self.commands[0]} (it comes with {self.elsewhere})"

    def chosen(self, environment: Mapping[str, str]) -> FoundPart | None:
        """The one that the environment names; None where it names none. Raises Unavailable for one that can't work."""
        value = environment.get(self.variable, "").strip()
        if not value:
            return None
        if value == "builtin" and self.stand_in is not None:
            return replace(self.stand_in, how=f"{self.stand_in.how}, by {self.variable}")
        path = Path(value).expanduser().absolute()
        try:
            version = self.checked_version((str(path),))
        except Unavailable as problem:
            raise Unavailable(f"{self.variable}={value}: {problem}") from problem
        return FoundPart(
            name=self.name, argv=(str(path),), version=version, how=self.variable, tools=self.tools_beside(path)
        )

    def on_path(self) -> FoundPart:
        """The first one on PATH that will do. Raises Unavailable with the reason for each that will not."""
        reasons = []
        for command in self.commands:
            found = shutil.which(command)
            if found is None:
                continue
            path = str(Path(found).absolute())  # PATH may have relative entries, and a part runs in a folder of its own
            try:
                version = self.checked_version((path,), known=True)
            except Unavailable as problem:
                reasons.append(f"{path} on PATH: {problem}")
                continue
            return FoundPart(
                name=self.name, argv=(path,), version=version, how="PATH", tools=self.tools_beside(Path(path))
            )
        raise Unavailable("; ".join(reasons) or f"no {' or '.join(self.commands)} on PATH")

    def checked_version(self, argv: Sequence[str], *, known: bool = False) -> str:
        """What the program at `argv` says its version is. Raises Unavailable where it does not run or is too old, or,
        if it must be `known`, where it does not say."""
        version = version_of((*argv, self.version_flag))
        if not version and known:
            raise Unavailable("does not say its version")
        if version and not at_least(version, self.at_least):
            raise Unavailable(f"is {version}; {self.at_least} or newer is needed ({self.because})")
        return version or "unknown version"

    def tools_beside(self, executable: Path) -> dict[str, Path]:
        """The tools that stand beside `executable`, or else on PATH."""
        found = {}
        for tool in self.tools:
            path = shutil.which(tool, path=str(executable.parent)) or shutil.which(tool)
            if path is not None:
                found[tool] = Path(path)
        return found


def version_of(argv: Sequence[str]) -> str:
    """The first `1.2` or `1.2.3` that the program prints; empty where it prints none. Raises Unavailable where it
    does not run, or fails."""
    program = Path(argv[0])
    if not program.exists():
        raise Unavailable("there is no such file")
    if not program.is_file() or not os.access(program, os.X_OK):
        raise Unavailable("is not an executable file")
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise Unavailable(f"did not answer {argv[-1]} within {PROBE_SECONDS:g} s") from problem
    except OSError as problem:
        raise Unavailable(f"does not run: {problem.strerror}") from problem
    output = done.stdout.decode(errors="replace").strip()
    if done.returncode != 0:
        last = output.splitlines()[-1] if output else "no output"
        raise Unavailable(f"fails with status {done.returncode}: {last}")
    match = re.search(r"(?<![\w.])v?=?(\d+\.\d+(?:\.\d+)?)", output.splitlines()[0] if output else "")
    return match.group(1) if match else ""


def at_least(version: str, least: str) -> bool:
    """Whether `version` is `least` or newer, compared number by number."""

    def numbers(text: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", text)][:3]

    return numbers(version) >= numbers(least)


def go_platform() -> tuple[str, str]:
    """This machine as upstream releases name it: (`linux`, `amd64`)."""
    machine = platform.machine().lower()
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return platform.system().lower(), architecture


def part_of(name: str, installed: Installed) -> FoundPart:
    """The part whose program is the file called `name`; the other files are its tools."""
    tools = {tool: path for tool, path in installed.files.items() if tool != name}
    program = str(installed.files[name])
    return FoundPart(name=name, argv=(program,), version=installed.version, how=installed.how, tools=tools)


def cached_part(name: str, cache: Cache, key: str, label: str) -> FoundPart:
    """The part that is in the cache under `key`. Raises Unavailable."""
    installed = cache.load(key)
    if installed is None:
        raise Unavailable(f"no {label} in the cache")
    return part_of(name, installed)
