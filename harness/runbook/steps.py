"""Steps: what the steps of a runbook are for, read from the small file beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ConfigDict, Field, ValidationError

from harness.errors import UsageError
from harness.runbook.effect import (
    INCREASED,
    MATCHES,
    PRINTED,
    CommandAnswer,
    CommandNumber,
    CommandOutput,
    Effect,
    HostFiles,
    HostText,
    JsonAnswer,
    Metric,
    PromQuery,
    RedisAnswer,
    Source,
    Start,
)
from harness.runbook.parse import Command, Runbook
from harness.runbook.written import Duration, OnceOnly, Strict, Text

Purpose = Literal["mitigate", "restore", "look"]
_SELECTOR = re.compile(r"\s*([a-zA-Z_:][\w:]*)\s*(?:\{(.*)\})?\s*", re.DOTALL)
_LABEL = re.compile(r'\s*([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|\Z)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Improves:
    """What a mitigation claims to improve: an alert that is to go, or the `requests` of users, by their name in samples
    (empty: all of them)."""

    alert: str = ""
    requests: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A correction that no run can show: lines `text` of the runbook, which stand there once, are to read `put`. Prose,
    what a reader has to fill in, lines that act on somebody's host."""

    text: str
    put: str
    because: str
    line: int  # where `text` begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a runbook: its command lines as written, the effects that they must have, and what is known to be
    wrong with them. `deadline` is real time from the start of the step to its effect. `undo` names the steps that
    take it back, `no_undo` says that the runbook should have some and has none, `nothing_to_undo` why it needs none.
    `accepted` is the reason for a known finding, which must contain `accepted_finding`. `not_here` is why none of its
    lines can be run in this system's operations shell. One that looks (diagnosis, monitoring) changes nothing.

    A step that the runbook lacks has no commands: `missing` says what of it the runbook does not say, and its
    correction belongs behind line `after` of the runbook."""

    name: str
    purpose: Purpose
    source: str  # "503-error-spike.md:123"
    commands: tuple[Command, ...]
    effects: tuple[Effect, ...]
    deadline: timedelta | None = None
    corrected: str = ""
    accepted: str = ""
    accepted_finding: str = ""
    undo: tuple[str, ...] = ()
    no_undo: str = ""
    nothing_to_undo: str = ""
    not_here: str = ""
    missing: str = ""
    after: int = 0
    improves: Improves = Improves()

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """All steps of one runbook, by name."""

    source: str
    by_name: Mapping[str, Step]
    corrections: tuple[Correction, ...] = ()

    def step(self, name: str) -> Step:
        """The step called `name`. Raises UsageError that names the nearest."""
        if problems := self.problems([name]):
            raise UsageError(problems[0], hint=f"steps: {', '.join(self.by_name)}")
        return self.by_name[name]

    def problems(self, names: Iterable[str]) -> list[str]:
        """What is wrong with asking for `names`: one line for each that is not there, with the nearest one."""
        return [
            f"{self.source} has no step {name!r}{_nearest(name, self.by_name)}"
            for name in names
            if name not in self.by_name
        ]

    def taking_back(self, name: str) -> tuple[Step, ...]:
        """The steps that take `name` back, in the runbook's order; a restore step is one itself.

        Raises UsageError where the runbook has no way back, or none is needed.
        """
        step = self.step(name)
        if step.purpose == "restore":
            return (step,)
        if step.nothing_to_undo:
            raise UsageError(f"{self.source}: {name} leaves nothing to take back", hint=step.nothing_to_undo)
        if not step.undo:
            raise UsageError(f"{self.source}: nothing takes {name} back", hint=step.no_undo)
        return tuple(self.by_name[undo] for undo in step.undo)

    def gaps(self) -> tuple[str, ...]:
        """What the runbook does not say at all: mitigations that no line of it takes back."""
        return tuple(f"{step.name}: {step.no_undo}" for step in self.by_name.values() if step.no_undo)


def read_steps(path: Path, runbook: Runbook) -> Steps:
    """Read the steps file at `path`, whose ids refer to `runbook`. Raises UsageError with all its problems."""
    try:
        plain = yaml.load(path.read_text(encoding="utf-8"), Loader=OnceOnly)  # noqa: S506 - a SafeLoader
        written = _File.model_validate(plain)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as cause:
        raise UsageError(f"{path}: the steps can't be read: {cause}") from cause
    except ValidationError as cause:
        problems = [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in cause.errors()]
        raise UsageError(f"{path}: the steps have problems", problems=problems, hint=_HINT) from cause
    problems = []
    steps = {name: _step(name, step, runbook, problems) for name, step in written.steps.items()}
    for step in steps.values():
        problems += _problems_of_undo(step, steps)
    corrections = tuple(_corrections(written.corrections, runbook, problems))
    if problems:
        raise UsageError(f"{path}: the steps have problems", problems=problems, hint=_HINT)
    return Steps(
        source=path.name,
        by_name={name: _with_gaps(step, steps) for name, step in steps.items()},
        corrections=corrections,
    )


def join_steps(read: Sequence[Steps]) -> Steps:
    """The steps of several runbooks as one. Raises UsageError where two of them have a step of the same name."""
    names = [name for steps in read for name in steps.by_name]
    source = " and ".join(steps.source for steps in read)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{source} both have a step {', '.join(map(repr, twice))}", hint="give one another name")
    return Steps(
        source=source,
        by_name={name: step for steps in read for name, step in steps.by_name.items()},
        corrections=tuple(one for steps in read for one in steps.corrections),
    )


_HINT = "`gameday runbook outline` prints the ids of all command lines"


# -- the file as written -------------------------------------------------------------------------------------------


class _Effect(Strict):
    metric: Text | None = None
    of: Text | None = None
    get: Text | None = None
    pointer: str = ""
    promql: Text | None = None
    answer: Text | None = None
    prints: Text | None = None
    number: Text | None = None
    redis: Text | None = None
    ask: Text | None = None
    start: Text | None = None
    files: Text | None = None
    file: Text | None = None
    becomes: Text | None = None
    within: Duration | None = None


class _Accepted(Strict):
    finding: Text
    because: Text


class _Improves(Strict):
    alert: str = ""
    requests: str = ""


class _Correction(Strict):
    # As it stands in the file: what is to be found in the runbook may begin with a blank.
    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=False)
    text: Text
    put: str
    because: Text


class _Step(Strict):
    purpose: Purpose
    deadline: Duration | None = None
    run: dict[str, Text] = Field(default={})
    missing: str = ""
    after: str = ""
    improves: _Improves | None = None
    effects: list[_Effect] = Field(default=[])
    corrected: str = ""
    accepted: _Accepted | None = None
    undo: list[str] = Field(default=[])
    no_undo: str = ""
    nothing_to_undo: str = ""
    not_here: str = ""


class _File(Strict):
    steps: dict[str, _Step] = Field(min_length=1)
    corrections: list[_Correction] = Field(default=[])


# -- from what is written to what is meant -------------------------------------------------------------------------


def _step(name: str, written: _Step, runbook: Runbook, problems: list[str]) -> Step:
    commands = tuple(_commands(name, written.run, runbook, problems))
    effects = tuple(_effects(name, written.effects, problems))
    if bool(written.effects) == bool(written.not_here):
        problems.append(f"{name}: say either its effects or, where it can't be run in this system, not_here and why")
    after = _after(name, written, runbook, problems)
    improves = written.improves or _Improves()
    if written.improves and (written.purpose != "mitigate" or bool(improves.alert) == bool(improves.requests)):
        problems.append(f"{name}: improves: a mitigation says one of alert and requests (neither: all requests)")
    return Step(
        name=name,
        purpose=written.purpose,
        source=f"{runbook.source}:{commands[0].line if commands else after}",
        commands=commands,
        effects=effects,
        deadline=written.deadline,
        corrected=written.corrected,
        accepted=written.accepted.because if written.accepted else "",
        accepted_finding=written.accepted.finding if written.accepted else "",
        undo=tuple(written.undo),
        no_undo=written.no_undo,
        nothing_to_undo=written.nothing_to_undo,
        not_here=written.not_here,
        missing=written.missing,
        after=after,
        improves=Improves(alert=improves.alert, requests=improves.requests),
    )


def _after(name: str, written: _Step, runbook: Runbook, problems: list[str]) -> int:
    """The last line of the command behind which a step that the runbook lacks belongs; 0 for one that it has."""
    if not written.missing:
        if not written.run or written.after:
            problems.append(
                f"{name}.run: its command lines are missing; where the runbook has none, say missing and after"
            )
        return 0
    if written.run or written.accepted or not written.corrected or not written.after:
        problems.append(f"{name}: what is missing has corrected and after, and neither run nor accepted")
        return 0
    last = next(reversed(list(_commands(name, {written.after: ""}, runbook, problems))), None)
    return last.line + len(last.text.splitlines()) - 1 if last else 0


def _corrections(written: Sequence[_Correction], runbook: Runbook, problems: list[str]) -> Iterator[Correction]:
    lines = runbook.text.splitlines()
    for number, one in enumerate(written, 1):
        text = one.text.rstrip("\n").split("\n")
        at = [n for n in range(len(lines)) if lines[n : n + len(text)] == text]
        if len(at) == 1:
            yield Correction(text=one.text.rstrip("\n"), put=one.put.rstrip("\n"), because=one.because, line=at[0] + 1)
        else:
            problems.append(f"corrections: {number}: {text[0]!r} stands in {runbook.source} {len(at)} times, not once")


def _with_gaps(step: Step, steps: Mapping[str, Step]) -> Step:
    """`step` with what the runbook lacks of its way back."""
    lacking = [steps[undo].missing for undo in step.undo if steps[undo].missing]
    return replace(step, no_undo="; ".join(lacking)) if lacking else step


def _commands(name: str, run: Mapping[str, str], runbook: Runbook, problems: list[str]) -> Iterator[Command]:
    for reference, text in run.items():
        try:
            found = runbook.find(reference)
        except UsageError as problem:
            problems.append(f"{name}: {problem}".replace("\n  hint: ", "; "))
            continue
        if text and _squeezed("\n".join(command.text for command in found)) != _squeezed(text):
            elsewhere = [other.id for other in runbook.commands if _squeezed(other.text) == _squeezed(text)]
            moved = f"; that text is now {', '.join(elsewhere)}" if elsewhere else ""
            now = found[0].text.splitlines()[0]
            problems.append(
                f"{name}: {reference} (line {found[0].line}) now reads {now!r}, not what is expected{moved}"
            )
        yield from found


def _squeezed(text: str) -> str:
    return " ".join(text.replace("\\\n", " ").split())


def _effects(name: str, effects: Sequence[_Effect], problems: list[str]) -> Iterator[Effect]:
    for number, written in enumerate(effects, 1):
        try:
            source = _source(written)
        except ValueError as problem:
            problems.append(f"{name}: effect {number}: {problem}")
            continue
        # What a command has printed does not change any more; all else gets a moment to come about.
        usual = timedelta(0) if isinstance(source, PRINTED) else timedelta(seconds=2)
        within = usual if written.within is None else written.within
        becomes = f"{MATCHES}{written.prints}" if written.prints else written.becomes or ""
        effect = Effect(source=source, becomes=becomes, within=within)
        if problem_of_becomes := effect.problem():
            problems.append(f"{name}: effect {number}: {problem_of_becomes}")
        yield effect


def _source(written: _Effect) -> Source:
    kinds = list(_SOURCES)
    asked = [kind for kind in kinds if getattr(written, kind)]
    if len(asked) != 1:
        raise ValueError(f"say one of {', '.join(kinds[:-1])} and {kinds[-1]}")
    if stray := _stray(written):
        raise ValueError(stray)
    return _SOURCES[asked[0]](written)


def _number(pattern: str) -> CommandNumber:
    number = CommandNumber(pattern)
    if problem := number.problem():
        raise ValueError(f"number: {problem}")
    return number


def _json_answer(get: str, pointer: str) -> JsonAnswer:
    match = re.fullmatch(r"([\w.-]+):(\d+)(/\S*)", get)
    if not match:
        raise ValueError(f"get: {get!r} is not of the form service:port/path")
    return JsonAnswer(match[1], int(match[2]), match[3], _pointer("pointer", pointer) if pointer else "")


def _metric(written: _Effect) -> Metric:
    where = re.fullmatch(r"([\w.-]+):(\d+)", written.of or "")
    if not where:
        raise ValueError(f"of: {written.of!r} is not of the form service:port (whose /metrics is read)")
    return Metric(where[1], int(where[2]), *_selector(written.metric or ""))


def read_source(written: object) -> Source:
    """What a mapping of `metric` and `of`, `get` and `pointer`, `redis` and `ask`, `start`, `files`, `file` or `promql`
    says, outside of any step. Raises ValueError in plain words."""
    if not isinstance(written, dict) or written.keys() & {"answer", "prints", "number"}:
        raise ValueError(f"{written!r} is not a metric, a get, a redis, a start, files, a file or a promql")
    try:
        return _source(_Effect.model_validate({**written, "becomes": INCREASED}))
    except ValidationError as cause:
        raise ValueError("; ".join(f"{error['loc'][0]}: {error['msg']}" for error in cause.errors())) from cause


def _stray(written: _Effect) -> str:
    """What stands beside a source that it does not belong to, or is missing there; empty if nothing is."""
    if written.pointer and not written.get:
        return "pointer: it belongs to a get"
    if written.of and not written.metric:
        return "of: it belongs to a metric"
    if bool(written.ask) != bool(written.redis):
        return "ask: it belongs to a redis, and a redis needs one"
    if bool(written.prints) == bool(written.becomes):
        return "becomes: all but `prints` needs one, and `prints` says it itself"
    return ""


def _redis(where: str, ask: str) -> RedisAnswer:
    place = re.fullmatch(r"([\w.-]+):(\d+)/(\d+)", where)
    if not place:
        raise ValueError(f"redis: {where!r} is not of the form service:port/database")
    return RedisAnswer(place[1], int(place[2]), int(place[3]), ask)


def _on_host(written: _Effect) -> HostFiles | HostText:
    path = written.files or written.file or ""
    if not path.startswith("/") or ".." in path:
        raise ValueError(f"{path!r} is no absolute path of the laid-out host")
    return HostFiles(path) if written.files else HostText(path)


_SOURCES: Mapping[str, Callable[[_Effect], Source]] = {
    "metric": _metric,
    "get": lambda written: _json_answer(written.get or "", written.pointer),
    "promql": lambda written: PromQuery(written.promql or ""),
    "redis": lambda written: _redis(written.redis or "", written.ask or ""),
    "start": lambda written: Start(written.start or ""),
    "files": _on_host,
    "file": _on_host,
    "answer": lambda written: CommandAnswer(_pointer("answer", written.answer or "")),
    "prints": lambda _: CommandOutput(),
    "number": lambda written: _number(written.number or ""),
}


def _pointer(key: str, written: str) -> str:
    if not written.startswith("/"):
        raise ValueError(f"{key}: {written!r} is no JSON pointer: it begins with /")
    return written


def _selector(written: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    match = _SELECTOR.fullmatch(written)
    labels = match[2] or "" if match else ""
    found = list(_LABEL.finditer(labels))
    if not match or "".join(label[0] for label in found) != labels:
        raise ValueError(f'metric: {written!r} is not of the form name{{label="value"}}')
    return match[1], tuple((label[1], label[2]) for label in found)


def _problems_of_undo(step: Step, steps: Mapping[str, Step]) -> Iterator[str]:
    for name in step.undo:
        if name not in steps:
            yield f"{step.name}: undo: there is no step {name!r}{_nearest(name, steps)}"
        elif steps[name].purpose != "restore":
            yield f"{step.name}: undo: {name} is no restore step"
    said = [key for key in (step.undo, step.no_undo, step.nothing_to_undo) if key]
    if step.purpose != "mitigate" and said:
        yield f"{step.name}: a {step.purpose} step has no undo"
    if step.purpose == "mitigate" and len(said) != 1:
        yield (
            f"{step.name}: say either undo (the steps that take it back), no_undo (what the runbook leaves out) or "
            "nothing_to_undo (why there is nothing to take back)"
        )


def _nearest(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else ""
