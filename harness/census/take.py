"""Take: count all that a story might leave behind: settings, limits, toxics, processes, open files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.errors import HarnessError
from harness.model.record import CommandRecord
from harness.runbook.effect import Source
from harness.sandbox.base import CanLimit, HasLinks, HasProcesses, Limits, Sandbox

UNREAD = "could not be read: "
OPEN_FILES = "open files of "

Entry = tuple[str, str]


class Reader(Protocol):
    """Reads one value on the sandbox, as text. Raises EvidenceMissing."""

    def read(self, source: Source) -> str: ...


class CommandLine(Protocol):
    """The operations shell."""

    def run(self, text: str) -> CommandRecord: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CensusTaker:
    """Counts `sandbox` itself as far as it has the abilities, and what the topology names besides: `sources` are read
    as a step's effects are, each of `commands` is run in the operations shell for what it prints."""

    sandbox: Sandbox
    reader: Reader
    shell: CommandLine
    sources: Sequence[Source] = ()
    commands: Sequence[str] = ()

    def take(self) -> Mapping[str, str]:
        """Everything counted, by name, in words. What can't be read is an entry that says so. Never raises."""
        found: dict[str, str] = {}
        for part in (self._states, self._links, self._processes, self._limits, self._settings, self._answers):
            try:
                found.update(part())
            except HarnessError as problem:
                found[part.__name__.strip("_")] = f"{UNREAD}{problem}"
        return found

    def _states(self) -> Iterator[Entry]:
        for service in self.sandbox.services():
            yield f"state of {service.name}", service.state

    def _links(self) -> Iterator[Entry]:
        sandbox = self.sandbox
        for link in sandbox.links() if isinstance(sandbox, HasLinks) else ():
            status = link.status()
            toxics = ", ".join(sorted(str(toxic.get("name")) for toxic in status.toxics)) or "no toxics"
            yield f"link {link.name}", f"{'enabled' if status.enabled else 'disabled'}, {toxics}"

    def _processes(self) -> Iterator[Entry]:
        sandbox = self.sandbox
        if not isinstance(sandbox, HasProcesses):
            return
        for service in self._running():
            running = sandbox.processes(service)
            yield f"processes of {service}", str(len(running))
            held = [process.open_files for process in running if process.open_files is not None]
            if held:
                yield f"{OPEN_FILES}{service}", str(sum(held))

    def _limits(self) -> Iterator[Entry]:
        sandbox = self.sandbox
        if not isinstance(sandbox, CanLimit):
            return
        for service in self._running():
            yield f"limits of {service}", _say(sandbox.limits(service))

    def _running(self) -> list[str]:
        return [service.name for service in self.sandbox.services() if service.state in ("ready", "running")]

    def _settings(self) -> Iterator[Entry]:
        for source in self.sources:
            try:
                yield str(source), self.reader.read(source)
            except HarnessError as problem:
                yield str(source), f"{UNREAD}{problem}"

    def _answers(self) -> Iterator[Entry]:
        for line in self.commands:
            done = self.shell.run(line)
            said = " ".join(done.output.split())
            yield f"`{line}`", said if done.exit_status == 0 else f"{UNREAD}{done.refused or said}"


def _say(limits: Limits) -> str:
    cores = "any" if limits.cores is None else ", ".join(map(str, sorted(limits.cores)))
    files = "any" if limits.open_files is None else str(limits.open_files)
    return f"cores: {cores}; open files: {files}"
