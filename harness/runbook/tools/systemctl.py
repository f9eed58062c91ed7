"""systemctl: the service manager's verbs, acting on the sandbox's services under the runbook's unit names.

A restart comes back once the service is ready again, as systemd's does for a unit of Type=notify. The manager's own
environment (`set-environment`) reaches a service at its next start, as in systemd; in the sandbox no unit fixes those
settings itself, so there it takes effect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from harness.errors import HarnessError
from harness.runbook.tools.answer import Answer, refusal
from harness.sandbox.base import CanRestart, Sandbox, ServiceStatus

_QUIET = frozenset({"-q", "--quiet", "--no-pager", "--full", "-l", "--no-ask-password"})
_RUNNING = frozenset({"ready", "running", "starting", "paused"})
_SETTING = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
# Exit statuses of systemctl(1), from the LSB.
_NOT_RUNNING, _NO_SUCH_UNIT, _NOT_FOUND_TO_START = 3, 4, 5


class Systemctl:
    """`units` maps unit names to services of `sandbox`. It keeps the manager's environment for one operator session."""

    def __init__(self, sandbox: Sandbox, units: Mapping[str, str]) -> None:
        self._sandbox = sandbox
        self._units = units
        self._environment: dict[str, str] = {}
        self._given: set[str] = set()  # settings that a service has been started with

    def answer(self, arguments: Sequence[str]) -> Answer:
        words = [word for word in arguments if word not in _QUIET]
        quiet = "-q" in arguments or "--quiet" in arguments
        if not words or words[0].startswith("-"):
            return refusal("systemctl", f"{' '.join(arguments) or 'a call without a verb'} is not possible here")
        verb, names = words[0], words[1:]
        if verb == "show-environment":
            return Answer(out="".join(f"{name}={value}\n" for name, value in sorted(self._environment.items())))
        if verb == "set-environment":
            return self._set(names)
        if verb == "unset-environment":
            return self._unset(names)
        act = {"restart": self._restart, "start": self._start, "stop": self._stop}.get(verb)
        if act is not None:
            return self._act(verb, act, names)
        if verb == "is-active":
            return self._is_active(names, quiet=quiet)
        if verb == "status":
            return self._status(names)
        return refusal("systemctl", f"{verb} is not possible here")

    # -- the manager's environment ---------------------------------------------------------------------------------

    def _set(self, settings: Sequence[str]) -> Answer:
        pairs = [_SETTING.fullmatch(setting) for setting in settings]
        if not pairs or None in pairs:
            return Answer(err="Failed to set environment: Invalid environment assignments\n", status=1)
        self._environment |= {pair[1]: pair[2] for pair in pairs if pair}
        return Answer()

    def _unset(self, names: Sequence[str]) -> Answer:
        if kept := sorted(set(names) & self._given):
            return refusal("systemctl", f"{', '.join(kept)} can't be taken from a service that was started with it")
        for name in names:
            self._environment.pop(name, None)
        return Answer()

    # -- units -----------------------------------------------------------------------------------------------------

    def _act(self, verb: str, act: Callable[[CanRestart, str], None], names: Sequence[str]) -> Answer:
        if not isinstance(self._sandbox, CanRestart):
            return refusal("systemctl", f"this sandbox ({self._sandbox.runtime}) can't {verb} services")
        if not names:
            return Answer(err="Too few arguments.\n", status=1)
        complaints, status = [], 0
        for name in names:
            service = self._service(name)
            if service is None:
                complaints.append(f"Failed to {verb} {_unit(name)}: Unit {_unit(name)} not found.\n")
                status = _NOT_FOUND_TO_START
                continue
            try:
                act(self._sandbox, service)
            except HarnessError as problem:
                complaints.append(f"Job for {_unit(name)} failed: {problem}\n")
                status = status or 1
        return Answer(err="".join(complaints), status=status)

    def _restart(self, sandbox: CanRestart, service: str) -> None:
        sandbox.restart(service, dict(self._environment))
        self._given |= set(self._environment)

    def _start(self, sandbox: CanRestart, service: str) -> None:
        if self._is_running(service):
            return
        if self._environment:
            self._restart(sandbox, service)  # start alone would not hand the environment over
        else:
            sandbox.start(service)

    def _stop(self, sandbox: CanRestart, service: str) -> None:
        sandbox.stop(service)

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
        return self._units.get(name.removesuffix(".service"), self._units.get(name))


def _unit(name: str) -> str:
    return name if "." in name else f"{name}.service"
