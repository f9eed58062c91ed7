"""Store: one run's folder under runs/<scenario>/<time>/, written so that it can be judged again anywhere.

record.json    what happened            samples.csv   every request
verdict.json   what we conclude         logs/         what the servers said
report.html, report.md, junit.xml       for people and for CI
postmortem.md, postmortem.html          what it cost, what helped, what follows
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import EvidenceMissing, UsageError
from harness.model.judgement import Judgement
from harness.model.load import Sample
from harness.model.record import FORMAT, LoadRecord, Record
from harness.model.verdict import Control

RECORD = "record.json"
VERDICT = "verdict.json"
LATEST = "latest"
_HEAD = 16 * 1024  # characters in which a record has said its name, its hypothesis and its control

ReadSamples = Callable[[Path], tuple[Sample, ...]]

_RECORD: TypeAdapter[Record] = TypeAdapter(Record)


def new_folder(runs: Path, scenario: str, now: float) -> Path:
    """Make `runs/<scenario>/<time>/` and point `latest` at it. Raises UsageError where it can't be written."""
    parent = runs / scenario
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
    for attempt in range(1000):
        folder = parent / (stamp if attempt == 0 else f"{stamp}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as cause:
            raise UsageError(
                f"can't write to {parent}: {cause.strerror}", hint="choose a folder with --runs"
            ) from cause
        _point(parent / LATEST, folder.name)
        return folder
    raise UsageError(f"{parent} holds a thousand runs of this second already")


def save_record(record: Record, folder: Path) -> None:
    """Write record.json whole or not at all. Samples are not in it: they have a file of their own."""
    plain = _RECORD.dump_python(replace(record, samples=()), mode="json")
    del plain["samples"]
    write_whole(folder / RECORD, _json(plain))


def save_verdict(judgement: Judgement, folder: Path) -> None:
    """Write verdict.json; the same record and the same version of gameday give the same bytes."""
    write_whole(folder / VERDICT, verdict_json(judgement))


def verdict_json(judgement: Judgement) -> str:
    """The verdict as JSON text: scenario, outcome, checks, times, findings."""
    return _json(
        {
            "scenario": judgement.scenario,
            "outcome": judgement.outcome.value,
            "checks": [
                {name: _plain(getattr(verdict, name)) for name in (field.name for field in fields(verdict))}
                for verdict in judgement.verdicts
            ],
            "times": {name: _plain(time) for name, time in judgement.times.items()},
            "findings": list(judgement.findings),
        }
    )


def load(folder: Path, read_samples: ReadSamples) -> Record:
    """The record in `folder`, samples included.

    Raises UsageError where it is not a run's folder or of another format. Samples that are missing, torn or not those
    that were recorded don't raise: their load is marked incomplete, so that no judge can take what is left for all.
    """
    path = folder / RECORD
    try:
        plain = json.loads(path.read_text(), parse_float=_number, parse_constant=_number)
    except (FileNotFoundError, NotADirectoryError) as cause:
        raise UsageError(
            f"{folder} is not a run's folder: it has no {RECORD}", hint="try runs/<scenario>/latest"
        ) from cause
    except (OSError, ValueError) as cause:
        raise UsageError(f"{path} can't be read: {cause}") from cause
    found = plain.get("format") if isinstance(plain, dict) else None
    if found != FORMAT:
        raise UsageError(
            f"{path} has format {found!r}, this version reads {FORMAT}", hint="use the version that wrote it"
        )
    try:
        record = _RECORD.validate_python(plain)
    except ValidationError as cause:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in cause.errors()[:10]]
        raise UsageError(f"{path} is damaged", problems=problems) from cause
    return with_samples(record, folder, read_samples)


def control_of(folder: Path) -> Control | None:
    """Under which control the run in `folder` was recorded, read from the head of its record alone; None where that is
    not to be seen."""
    try:
        with (folder / RECORD).open(encoding="utf-8") as file:
            found = re.search(r'^ "control": "([\w-]+)"', file.read(_HEAD), re.MULTILINE)
        return Control(found[1]) if found else None
    except (OSError, ValueError):
        return None


def _number(text: str) -> float:
    """A finite number. NaN is below every limit and above none, so it would pass where it must not."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number that a record can hold")
    return number


def with_samples(record: Record, folder: Path, read_samples: ReadSamples) -> Record:
    """`record` with the samples of all its loads, each checked against its recorded count and sha256."""
    samples: list[Sample] = []
    loads: list[LoadRecord] = []
    for part in record.loads:
        found, problem = _samples(part, folder, read_samples)
        samples += found
        loads.append(replace(part, complete=False, problem=problem) if problem else part)
    return replace(record, loads=tuple(loads), samples=tuple(samples))


def _samples(part: LoadRecord, folder: Path, read_samples: ReadSamples) -> tuple[tuple[Sample, ...], str]:
    if not part.samples_file:
        return (), part.problem or "no samples were recorded"
    path = folder / part.samples_file
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found = read_samples(path)
    except (OSError, EvidenceMissing) as problem:
        return (), f"{part.samples_file} can't be read: {problem}"
    if digest != part.sha256:
        return found, f"{part.samples_file} is not the file that was recorded (its sha256 differs)"
    if len(found) != part.samples_count:
        return found, f"{part.samples_file} has {len(found)} samples, {part.samples_count} were recorded"
    return found, ""


def write_whole(path: Path, text: str) -> None:
    """Write `text` to `path` by way of a temporary file beside it, so that no reader ever sees a part of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _point(link: Path, target: str) -> None:
    """Make `link` point to `target` in one step; a file system without links goes without `latest`."""
    beside = link.with_name(f".{LATEST}-{os.getpid()}")
    try:
        beside.symlink_to(target, target_is_directory=True)
        beside.replace(link)
    except OSError:
        beside.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    return TypeAdapter(type(value)).dump_python(value, mode="json")


def _json(plain: Any) -> str:
    return json.dumps(plain, indent=1, ensure_ascii=False, sort_keys=False) + "\n"
