"""UnitFile: what a systemd unit file says, and what a file that its EnvironmentFile= names adds to it.

Read of systemd.syntax(7) and systemd.exec(5): sections, comments, continued lines, quoted words, an empty value that
takes back what stood before. Not read: drop-ins, templates, specifiers but `%%`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFile:
    """`entries` are (section, key, value) in their order, `text` is the file as it stands."""

    path: Path
    text: str
    entries: tuple[tuple[str, str, str], ...]

    def values(self, section: str, key: str) -> tuple[str, ...]:
        """Every value that `key` is given in `section`; an empty one takes back those before it."""
        found: list[str] = []
        for where, name, value in self.entries:
            if (where, name) == (section, key):
                found = [*found, value] if value else []
        return tuple(found)

    @property
    def environment(self) -> dict[str, str]:
        """What its Environment= lines set. Raises UsageError for a line that is no list of assignments."""
        settings: dict[str, str] = {}
        for line in self.values("Service", "Environment"):
            for word in _words(line, self.path):
                assigned = _ASSIGNMENT.fullmatch(word)
                if assigned is None:
                    raise UsageError(f"{self.path}: Environment={line}: {word!r} is no assignment")
                settings[assigned[1]] = assigned[2].replace("%%", "%")
        return settings


def read_unit_file(path: Path) -> UnitFile:
    """Read the unit file at `path`. Raises UsageError where it can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as odd:
        raise UsageError(f"the unit file {path} can't be read: {odd}") from odd
    section = ""
    entries = []
    for line in _logical_lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if not section or not equals:
            raise UsageError(f"{path}: {line!r} is neither a section nor an assignment in one")
        entries.append((section, key.strip(), value.strip()))
    return UnitFile(path=path, text=text, entries=tuple(entries))


def read_environment_file(text: str) -> dict[str, str]:
    """The settings in the text of an EnvironmentFile=: `NAME=value` lines, quotes around a value taken off. As systemd
    does it, lines that are none are passed over, and nothing is expanded."""
    settings = {}
    for line in _logical_lines(text):
        if assigned := _ASSIGNMENT.fullmatch(line):
            value = assigned[2].strip()
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            settings[assigned[1]] = value[1:-1] if quoted else value
    return settings


def _words(line: str, path: Path) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as odd:
        raise UsageError(f"{path}: {line!r} can't be read: {odd}") from odd


def _logical_lines(text: str) -> Iterator[str]:
    """The lines that say something, each with those that a backslash at its end adds to it."""
    held = ""
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        if whole := (held + line).strip():
            yield whole
        held = ""
    if held.strip():
        yield held.strip()
