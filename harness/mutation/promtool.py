"""Promtool: Prometheus' own engine, asked when each of many rules would have been active over recorded series."""

from __future__ import annotations

import json
import math
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.alerts import durations
from harness.errors import EvidenceMissing
from harness.model.record import AlertSample
from harness.mutation.series import Track

TIMEOUT = 120.0  # seconds for one call
_ALERT = re.compile(r'\{__name__="ALERTS"((?:, [a-zA-Z_]\w*="(?:\\.|[^"\\])*")*)\}')
_LABEL = re.compile(r', ([a-zA-Z_]\w*)=("(?:\\.|[^"\\])*")')
_AT = re.compile(r"^ *expr: \"ALERTS\", time: (\w+),\s*$", re.MULTILINE)
_SICK = re.compile(r"rule: (\w+), time: \w+, err: (.*)")
# Each call can only name the first rule that its engine refuses to evaluate.
_MOST_SICK = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Rules (as a rules file has them, by a name of ours; `recording` ones come first) over the series `tracks`, which
    are looked at every `step` wall seconds from `began` to `ended`. `phase`: an instant of such a look."""

    tracks: Sequence[Track]
    rules: Mapping[str, Mapping[str, Any]]
    recording: Sequence[Mapping[str, Any]]
    began: float
    ended: float
    step: float
    phase: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The samples of each rule's alerts, whose names are ours; `sick` says which rules could not be evaluated, why."""

    samples: Mapping[str, tuple[AlertSample, ...]]
    sick: Mapping[str, str]


def ask(promtool: str, question: Question) -> Answer:
    """What the rules do. Raises EvidenceMissing where promtool can't say."""
    sick: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="gd-") as folder:
        for _ in range(_MOST_SICK):
            rules = {name: rule for name, rule in question.rules.items() if name not in sick}
            said = _run(promtool, Path(folder), _files(question, rules)) if rules else ""
            found = {name: problem for name, problem in _SICK.findall(said) if name in rules}
            if not found:
                return Answer(_samples(said, question, rules), sick)
            sick |= found
    raise EvidenceMissing(f"promtool could not evaluate {len(sick)} rules", hint="; ".join(sorted(set(sick.values()))))


def _run(promtool: str, folder: Path, files: Mapping[str, Any]) -> str:
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))  # JSON is YAML too, and quicker to read and write
    command = [promtool, "test", "rules", "test.yml"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise EvidenceMissing(f"promtool: {cause}", hint="`gameday doctor` shows where it is") from cause
    said = done.stdout + "\n" + done.stderr
    if done.returncode not in (0, 1) or (done.returncode == 1 and not _AT.search(said) and not _SICK.search(said)):
        raise EvidenceMissing("promtool could not test the rules", hint=" ".join(said.split())[:500])
    return said


def _origin(question: Question) -> float:
    """An instant in step with the looks, at or before everything."""
    first = min([question.began, *(at for track in question.tracks for at, _ in track.points[:1])])
    return question.phase - math.ceil((question.phase - first) / question.step + 1) * question.step


def _grid(question: Question) -> int:
    """What promtool rounds the instants of samples to, in ms: fine enough that no scrape meets a look at another."""
    return max(1, round(question.step * 1000 / 50))


def _files(question: Question, rules: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    step, origin = durations.say(round(question.step * 1000)), _origin(question)
    groups: list[dict[str, Any]] = [{"name": "recording", "rules": list(question.recording)}]
    groups += [{"name": name, "rules": [{**rule, "alert": name}]} for name, rule in rules.items()]
    first = math.ceil((question.began - origin) / question.step - 1e-6)
    last = math.floor((question.ended - origin) / question.step + 1e-6)
    looks = [durations.say(round(number * question.step * 1000)) for number in range(max(first, 0), last + 1)]
    grid = _grid(question)
    test = {
        "interval": durations.say(grid),
        "input_series": [
            {"series": _series(track.labels), "values": values}
            for track in question.tracks
            if (values := _values(track, origin, grid, question.ended))
        ],
        "promql_expr_test": [{"expr": "ALERTS", "eval_time": look} for look in looks],
    }
    names = [group["name"] for group in groups]
    return {
        "rules.yml": {"groups": groups},
        "test.yml": {
            "rule_files": ["rules.yml"],
            "evaluation_interval": step,
            "group_eval_order": names,
            "tests": [test],
        },
    }


def _series(labels: Mapping[str, str]) -> str:
    inside = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items())
    return f"{{{inside}}}"


def _values(track: Track, origin: float, grid: int, ended: float) -> str:
    """`track` in promtool's notation: one place for each `grid` ms, `_xN` for N places without a sample. What comes
    after `ended` is left out."""
    parts: list[str] = []
    place = 0
    for at, value in track.points:
        if at > ended:
            break
        here = max(place, math.ceil((at - origin) * 1000 / grid - 1e-3))
        if here > place:
            parts.append(f"_x{here - place}")
        parts.append("stale" if value is None else repr(value))
        place = here + 1
    return " ".join(parts)


def _samples(
    said: str, question: Question, rules: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[AlertSample, ...]]:
    """We expected no alert at any look, so promtool tells of each one that there was."""
    found: dict[str, list[AlertSample]] = {name: [] for name in rules}
    origin, pieces = _origin(question), _AT.split(said)
    for look, text in zip(pieces[1::2], pieces[2::2], strict=True):
        at = origin + durations.milliseconds(look) / 1000
        for inside in _ALERT.findall(text):
            labels = {name: str(json.loads(value)) for name, value in _LABEL.findall(inside)}
            name, state = labels.pop("alertname", ""), labels.pop("alertstate", "")
            if name in found:
                sample = AlertSample(
                    at=at, name=name, state="firing" if state == "firing" else "pending", labels=labels
                )
                found[name].append(sample)
    return {name: tuple(samples) for name, samples in found.items()}
