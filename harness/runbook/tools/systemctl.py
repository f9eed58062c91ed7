"""systemctl: the service manager's verbs, acting on the sandbox's services under the runbook's unit names.

A restart comes back once the service is ready again, as systemd's does for a unit of Type=notify. Where a setting
comes from is systemd's own order (systemd.exec(5)): the manager's block (`set-environment`) comes first, the unit's
Environment= wins over it, and its EnvironmentFile= over both; each is read when the service is started. What is no
longer set anywhere goes back to the topology's own value, which is the one that the unit documents.

Not covered: drop-ins and `edit`, changes of a unit file, enable and mask, units by pattern, this machine's own units.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from harness.errors import HarnessError, SandboxError, Unsupported
from harness.runbook.screen import is_unsafe
from harness.runbook.tools.answer import Answer, refusal
from harness.runbook.tools.unit_file import read_environment_file, read_unit_file
from harness.sandbox.base import CanRestart, Sandbox, ServiceStatus

_QUIET = frozenset({"-q", "--quiet", "--no-pager", "--full", "-l", "--no-ask-password"})
_RUNNING = frozenset({"ready", "running", "starting", "paused"})
_SETTING = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
# Exit statuses of systemctl(1), from the LSB.
_NOT_RUNNING, _NO_SUCH_UNIT, _NOT_FOUND_TO_START = 3, 4, 5


class Unit(Protocol):
    """A unit: its service of the sandbox, its unit file, and the name of the file in the operator's shell that sets its
    environment (empty: there is none)."""

    @property
    def service(self) -> str: ...

    @property
    def file(self) -> Path | None: ...

    @property
    def environment_file(self) -> str: ...


class Systemctl:
    """`units` are those of `sandbox` by name; `directory` is where operators write environment files (which need not be
    there). It keeps the manager's environment for one operator session. Raises UsageError for a unit file that can't
    be read."""

    def __init__(self, sandbox: Sandbox, units: Mapping[str, Unit], *, directory: Path) -> None:
        self._sandbox = sandbox
        self._units = {_bare(name): unit for name, unit in units.items()}
        self._directory = directory
        self._files = {name: read_unit_file(unit.file) for name, unit in self._units.items() if unit.file}
        self._fixed = {name: frozenset(file.environment) for name, file in self._files.items()}
        self._environment: dict[str, str] = {}
        self._given: dict[str, set[str]] = {}  # the settings that each service was last started with

    def answer(self, arguments: Sequence[str]) -> Answer:
        words = [word for word in arguments if word not in _QUIET]
        quiet = "-q" in arguments or "--quiet" in arguments
        if not words or words[0].startswith("-"):
            return refusal("systemctl", f"{' '.join(arguments) or 'a call without a verb'} is not possible here")
        verb, names = words[0], words[1:]
        act = {"restart": self._restart, "start": self._start, "stop": self._stop}.get(verb)
        if act is not None:
            return self._act(verb, act, names)
        if verb == "is-active":
            return self._is_active(names, quiet=quiet)
        answer = {
            "show-environment": self._show_environment,
            "set-environment": self._set,
            "unset-environment": self._unset,
            "status": self._status,
            "show": self._show,
            "cat": self._cat,
            "daemon-reload": self._reload,
        }.get(verb)
        return answer(names) if answer else refusal("systemctl", f"{verb} is not possible here")

    # -- the manager's environment ---------------------------------------------------------------------------------

    def _show_environment(self, _: Sequence[str]) -> Answer:
        return Answer(out="".join(f"{name}={value}\n" for name, value in sorted(self._environment.items())))

    def _set(self, settings: Sequence[str]) -> Answer:
        pairs = [_SETTING.fullmatch(setting) for setting in settings]
        if not pairs or None in pairs:
            return Answer(err="Failed to set environment: Invalid environment assignments\n", status=1)
        asked = {pair[1]: pair[2] for pair in pairs if pair}
        try:
            _refuse_unsafe(asked)
        except Unsupported as problem:
            return refusal("systemctl", str(problem))
        self._environment |= asked
        fixed = sorted({f"{name} ({unit})" for unit, names in self._fixed.items() for name in names & set(asked)})
        note = f"systemctl: Environment= of the unit wins over the manager's {', '.join(fixed)}" if fixed else ""
        return Answer(note=note)

    def _unset(self, names: Sequence[str]) -> Answer:
        for name in names:
            self._environment.pop(name, None)
        return Answer()

    def _changes(self, unit: str, service: str) -> dict[str, str | None]:
        """What a start of `service` has to change in its environment: None gives a setting back to the topology.
        Raises HarnessError for a file that can't be read or must not be obeyed."""
        fixed = self._fixed.get(unit, frozenset())
        settings = {name: value for name, value in self._environment.items() if name not in fixed}
        if name := self._units[unit].environment_file:
            settings |= _read_settings(self._directory / name)
        gone = self._given.get(service, set()) - set(settings)
        self._given[service] = set(settings)
        return {**dict.fromkeys(gone), **settings}

    # -- units -----------------------------------------------------------------------------------------------------

    def _act(self, verb: str, act: Callable[[CanRestart, str, str], None], names: Sequence[str]) -> Answer:
        if not isinstance(self._sandbox, CanRestart):
            return refusal("systemctl", f"this sandbox ({self._sandbox.runtime}) can't {verb} services")
        if not names:
            return Answer(err="Too few arguments.\n", status=1)
        complaints, status = [], 0
        for name in names:
            unit, service = _bare(name), self._service(name)
            if service is None:
                complaints.append(f"Failed to {verb} {_unit(name)}: Unit {_unit(name)} not found.\n")
                status = _NOT_FOUND_TO_START
                continue
            try:
                act(self._sandbox, unit, service)
            except Unsupported as problem:
                return refusal("systemctl", str(problem))
            except HarnessError as problem:
                complaints.append(f"Job for {_unit(name)} failed: {problem}\n")
                status = status or 1
        return Answer(err="".join(complaints), status=status)

    def _restart(self, sandbox: CanRestart, unit: str, service: str) -> None:
        sandbox.restart(service, self._changes(unit, service))

    def _start(self, sandbox: CanRestart, unit: str, service: str) -> None:
        if self._is_running(service):
            return
        if changes := self._changes(unit, service):
            sandbox.restart(service, changes)  # start alone would not hand the environment over
        else:
            sandbox.start(service)

    def _stop(self, sandbox: CanRestart, _: str, service: str) -> None:
        sandbox.stop(service)

    # -- looking at them -------------------------------------------------------------------------------------------

    def _is_active(self, names: Sequence[str], *, quiet: bool) -> Answer:
        states = [self._active(name) for name in names]
        out = "" if quiet else "".join(f"{state}\n" for state in states)
        return Answer(out=out, status=0 if "active" in states else _NOT_RUNNING)

    def _status(self, names: Sequence[str]) -> Answer:
        if not names:
            return refusal("systemctl", "status without a unit would show this machine's")
        lines, status = [], 0
        for name in names:
            service = self._service(name)
            if service is None:
                return Answer(err=f"Unit {_unit(name)} could not be found.\n", status=_NO_SUCH_UNIT)
            found = self._found(service)
            state = self._active(name)
            lines.append(f"{_unit(name)}\n     Active: {state} ({found.state if found else 'dead'})\n")
            lines.append(f"   Main PID: {found.identity}\n" if found and found.identity else "")
            status = status or (0 if state == "active" else _NOT_RUNNING)
        return Answer(out="".join(lines), status=status)

    def _show(self, words: Sequence[str]) -> Answer:
        """`show UNIT… [-p NAME,…] [--value]`: what is known of the unit, and all that its file's [Service] says."""
        wanted, names, bare = _split_show(words)
        if not names or any(name.startswith("-") for name in names):
            return refusal("systemctl", f"show {' '.join(words)} is not possible here")
        paragraphs = []
        for name in names:
            properties = self._properties(name)
            shown = [(key, properties[key]) for key in wanted or properties if key in properties]
            paragraphs.append("".join(f"{value if bare else f'{key}={value}'}\n" for key, value in shown))
        return Answer(out="\n".join(paragraphs))

    def _properties(self, name: str) -> dict[str, str]:
        service, file = self._service(name), self._files.get(_bare(name))
        found = self._found(service) if service else None
        keys = [key for section, key, _ in file.entries if section == "Service"] if file else []
        said = {key: " ".join(file.values("Service", key)) for key in keys} if file else {}
        return {
            "Id": _unit(name),
            "LoadState": "loaded" if service else "not-found",
            "ActiveState": self._active(name),
            "SubState": found.state if found else "dead",
            "MainPID": found.identity if found and found.identity else "0",
            **({"FragmentPath": str(file.path)} if file else {}),
            **said,
        }

    def _cat(self, names: Sequence[str]) -> Answer:
        if not names:
            return Answer(err="Too few arguments.\n", status=1)
        texts: list[str] = []
        for name in names:
            file = self._files.get(_bare(name))
            if file is None:
                return Answer(out="\n".join(texts), err=f"No files found for {_unit(name)}.\n", status=1)
            texts.append(f"# {file.path}\n{file.text}")
        return Answer(out="\n".join(texts))

    def _reload(self, names: Sequence[str]) -> Answer:
        """`daemon-reload`: unit files are read again, though no command of this shell can have changed one."""
        if names:
            return Answer(err="Too many arguments.\n", status=1)
        try:
            self._files = {unit: read_unit_file(file.path) for unit, file in self._files.items()}
            self._fixed = {unit: frozenset(file.environment) for unit, file in self._files.items()}
        except HarnessError as problem:
            return Answer(err=f"Failed to reload daemon: {problem}\n", status=1)
        return Answer()

    def _active(self, name: str) -> str:
        service = self._service(name)
        found = self._found(service) if service else None
        if found is None:
            return "inactive"
        return "active" if found.state in _RUNNING else {"failed": "failed"}.get(found.state, "inactive")

    def _is_running(self, service: str) -> bool:
        found = self._found(service)
        return found is not None and found.state in _RUNNING

    def _found(self, service: str) -> ServiceStatus | None:
        return next((status for status in self._sandbox.services() if status.name == service), None)

    def _service(self, name: str) -> str | None:
        unit = self._units.get(_bare(name))
        return unit.service if unit else None


def _bare(name: str) -> str:
    return name.removesuffix(".service")


def _unit(name: str) -> str:
    return name if "." in name else f"{name}.service"


def _refuse_unsafe(names: Iterable[str]) -> None:
    """Raise Unsupported for settings that decide which programs, libraries and servers a process uses."""
    if unsafe := sorted(filter(is_unsafe, names)):
        raise Unsupported(f"{', '.join(unsafe)} would change which programs and servers a service uses")


def _read_settings(path: Path) -> dict[str, str]:
    """What the environment file at `path` sets now: nothing where it is not there, as with `EnvironmentFile=-`."""
    try:
        settings = read_environment_file(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as odd:
        raise SandboxError(f"the environment file {path.name} can't be read: {odd}") from odd
    _refuse_unsafe(settings)
    return settings


def _split_show(words: Sequence[str]) -> tuple[list[str], list[str], bool]:
    """The properties that are asked for (all, if none), the units, and whether values stand without their names."""
    wanted: list[str] = []
    names: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in ("-p", "--property") and rest:
            wanted += rest.pop(0).split(",")
        elif word.startswith("--property="):
            wanted += word.partition("=")[2].split(",")
        elif word.startswith("-p") and word != "-p":
            wanted += word[2:].split(",")
        elif word != "--value":
            names.append(word)
    return wanted, names, "--value" in words
