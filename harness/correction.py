"""Correction: a runbook with its corrections in place: its text, a patch for its owners, and the steps file that goes
with it."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.runbook.parse import Command, Runbook, parse_runbook
from harness.runbook.steps import Correction, Step, Steps

WAIT = "sleep "  # a line that only waits does what it says: its step's correction comes after it
_NOTE = "# Made by `gameday runbook findings --format steps`, for the runbook with its corrections in place.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A runbook with corrections in place. `moved` has the new lines of each old one (none where it is gone), `places`
    the new lines of each step whose correction is in; both count from 1."""

    runbook: Runbook
    text: str
    moved: Mapping[int, Sequence[int]]
    places: Mapping[str, Sequence[int]]

    @property
    def patch(self) -> str:
        """A unified diff, for `git apply` or `patch`; empty where nothing was corrected."""
        name, old = self.runbook.source, self.runbook.text.splitlines(keepends=True)
        new = self.text.splitlines(keepends=True)
        return "".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"))


@dataclass(slots=True)
class _Edits:
    """What comes before which line, and which lines are gone."""

    before: dict[int, list[str]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    own: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # step -> line, offset and height there
    put: dict[int, int] = field(default_factory=dict)  # an old line -> before which line its text comes now

    def add(self, line: int, fresh: Sequence[str], step: str = "") -> None:
        """Put `fresh` before `line`; what several steps say of the same line stands there once."""
        place = self.before.setdefault(line, [])
        at = next((n for n in range(len(place)) if place[n : n + len(fresh)] == list(fresh)), len(place))
        place += fresh if at == len(place) else []
        if step:
            self.own[step] = (line, at, len(fresh))


def corrected(runbook: Runbook, steps: Iterable[Step], corrections: Iterable[Correction] = ()) -> Corrected:
    """`runbook` with the corrections of `steps` in the place of their command lines, and `corrections` where no step's
    correction is. Waits stay."""
    edits = _Edits()
    for step in steps:
        acting = [command for command in step.commands if not command.text.startswith(WAIT)]
        numbers = [number for command in acting for number in lines_of(command)]
        fresh = textwrap.dedent(step.corrected).rstrip("\n").splitlines()
        edits.add(numbers[0] if numbers else step.after + 1, fresh, step.name)
        edits.gone |= set(numbers)
    for one in corrections:
        numbers = list(range(one.line, one.line + len(one.text.split("\n"))))
        if not edits.gone & set(numbers):
            edits.add(numbers[0], one.put.split("\n") if one.put else [])
            edits.gone |= set(numbers)
            edits.put |= dict.fromkeys(numbers, numbers[0])
    return _in_place(runbook, edits)


def _in_place(runbook: Runbook, edits: _Edits) -> Corrected:
    old = runbook.text.splitlines(keepends=True)
    new: list[str] = []
    begins: dict[int, int] = {}
    moved: dict[int, Sequence[int]] = {}
    for number, line in enumerate([*old, ""], 1):
        fresh = edits.before.get(number, ())
        begins[number] = len(new) + 1
        new += [f"{one}\n" for one in fresh]
        moved[number] = [] if number in edits.gone or not line else [len(new) + 1]
        new += [line] if moved[number] else []
    for number, place in edits.put.items():
        moved[number] = range(begins[place], begins[place] + len(edits.before[place]))
    places = {step: range(begins[line] + at, begins[line] + at + many) for step, (line, at, many) in edits.own.items()}
    return Corrected(runbook=runbook, text="".join(new), moved=moved, places=places)


def lines_of(command: Command) -> range:
    """The lines of the runbook that `command` takes."""
    return range(command.line, command.line + len(command.text.splitlines()))


def steps_file(found: Corrected, steps: Steps, written: Path) -> str:
    """The steps file `written`, read as `steps`, for the corrected runbook: each step runs what the runbook reads now,
    and what was accepted is gone where the correction is in place."""
    new = parse_runbook(found.text, source=found.runbook.source)
    plain: Mapping[str, Any] = yaml.safe_load(written.read_text(encoding="utf-8"))
    made = {name: _step(dict(plain["steps"][name]), step, found, new) for name, step in steps.by_name.items()}
    return _NOTE + yaml.dump({"steps": made}, Dumper=_Readable, sort_keys=False, allow_unicode=True, width=120)


def _step(plain: dict[str, Any], step: Step, found: Corrected, new: Runbook) -> dict[str, Any]:
    if step.missing and step.name not in found.places:
        behind = [line for number in range(1, step.after + 1) for line in found.moved[number]]
        nearest = [command for command in new.commands if command.line <= behind[-1]]
        return {**plain, "after": nearest[-1].id}
    if step.name in found.places:
        plain = {key: value for key, value in plain.items() if key not in ("corrected", "accepted", "missing", "after")}
    run = {command.id: command.text for command in _own(step, found, new)}
    return {"purpose": plain.pop("purpose"), "run": run, **{key: plain[key] for key in plain if key != "run"}}


def _own(step: Step, found: Corrected, new: Runbook) -> list[Command]:
    """The command lines of the corrected runbook that are this step's. A line may quote several commands."""
    lines = set(_lines(step, found))
    if all(command in found.runbook.quoted for command in step.commands) and step.name not in found.places:
        texts = {command.text for command in step.commands}
        return [one for one in _on(new.quoted, lines) if one.text in texts]
    return _on(new.commands, lines)


def _lines(step: Step, found: Corrected) -> Iterator[int]:
    """The lines of the corrected runbook that are this step's."""
    own = found.places.get(step.name)
    for command in step.commands:
        if own is None or command.text.startswith(WAIT):
            yield from (line for number in lines_of(command) for line in found.moved[number])
    yield from own or ()


def _on(commands: Iterable[Command], lines: Collection[int]) -> list[Command]:
    return [command for command in commands if any(line in lines for line in lines_of(command))]


class _Readable(yaml.SafeDumper):
    """YAML in which a text of several lines stands as it is, and nothing stands for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Readable, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_represent: Callable[[type[str], Callable[[_Readable, str], yaml.ScalarNode]], None] = _Readable.add_representer
_represent(str, _text)
