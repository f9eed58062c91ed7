"""Account: what the load engine says it did, held against what it left behind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness.errors import EvidenceMissing
from harness.load.samples import cut_torn_end, read_samples
from harness.model.load import Arrivals, Sample
from harness.model.record import LoadRecord

SIGN_OFF_FORMAT = 1
ORDERLY = ("asked to stop", "the plan ended")
CLOCKS_AGREE = 0.5  # wall seconds by which the engine's clock and ours may seem to differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where one load's files are."""

    folder: Path

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def samples(self) -> Path:
        return self.folder / "samples.csv"

    @property
    def progress(self) -> Path:
        return self.folder / "progress.json"

    @property
    def sign_off(self) -> Path:
        return self.folder / "sign-off.json"

    @property
    def log(self) -> Path:
        return self.folder / "engine.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the engine was asked for: `plan` as the author wrote it (runbook time), the rest in wall time.

    It was spawned at `spawned` and seen ready at `ready`, by our clock.
    """

    window: str
    plan: Arrivals
    time_scale: float
    seed: int
    target: str
    spawned: float
    ready: float

    @property
    def wall_plan(self) -> Arrivals:
        return self.plan.scaled(self.time_scale)

    def planned(self, elapsed: float) -> int:
        """Arrivals that the plan calls for in the first `elapsed` wall seconds."""
        return self.wall_plan.count(timedelta(seconds=max(0.0, elapsed)), self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The engine's own figures. Instants are wall seconds since the epoch; `reason` is why it stopped, empty where it
    did not say. At the end `sent = finished + in_flight`."""

    reason: str
    began: float
    ended: float | None  # when arrivals stopped; answers to what was open were still taken for a while
    planned: int
    sent: int
    finished: int
    in_flight: int
    dropped: int
    samples: int
    sha256: str
    lateness_p99: float | None
    lateness_max: float | None
    cpu: float | None


def read_json(path: Path) -> Mapping[str, Any] | None:
    """A JSON object that the engine wrote, or None where it is not there or not whole."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def read_sign_off(path: Path) -> Figures | None:
    """The engine's last word, or None where it has not come to it or can't be read."""
    said = read_json(path)
    if said is None or said.get("format") != SIGN_OFF_FORMAT:
        return None
    try:
        lasted = float(said["ended"]) - float(said["began"])
        return Figures(
            reason=str(said["reason"]),
            began=float(said["began"]),
            ended=float(said["stopped"]),
            planned=int(said["planned"]),
            sent=int(said["sent"]),
            finished=int(said["finished"]),
            in_flight=int(said["in_flight"]),
            dropped=int(said["dropped"]),
            samples=int(said["samples"]),
            sha256=str(said["sha256"]),
            lateness_p99=None if said["lateness"]["p99"] is None else float(said["lateness"]["p99"]),
            lateness_max=float(said["lateness"]["max"]),
            cpu=float(said["cpu_seconds"]) / lasted if lasted > 0 else None,
        )
    except (KeyError, TypeError, ValueError):
        return None


def settle(
    order: Order, files: Files, *, status: int | None, now: float, run_folder: Path
) -> tuple[LoadRecord, tuple[Sample, ...]]:
    """The record of a load whose engine has ended with exit `status`, and its samples.

    Never raises: what is missing or does not add up leaves `complete` false and says why in `problem`.
    """
    signed = read_sign_off(files.sign_off)
    problems = [] if signed else list(_unsigned_problems(files, status))
    try:
        samples = read_samples(files.samples)
        digest = hashlib.sha256(files.samples.read_bytes()).hexdigest()
    except (EvidenceMissing, OSError) as problem:
        samples, digest = (), ""
        problems.append(str(problem))
    figures = signed or _last_seen(order, files, samples, now)
    if signed:
        problems += _contradictions(order, signed, samples, digest)
    record = LoadRecord(
        window=order.window,
        plan=str(order.plan),
        target=order.target,
        began=figures.began,
        ended=figures.ended,
        planned=figures.planned,
        sent=figures.sent,
        finished=figures.finished,
        in_flight=figures.in_flight,
        dropped=figures.dropped,
        complete=not problems,
        lateness_p99=figures.lateness_p99,
        lateness_max=figures.lateness_max,
        generator_cpu=figures.cpu,
        samples_file=files.samples.relative_to(run_folder).as_posix(),
        samples_count=len(samples),
        sha256=digest,
        problem="; ".join(problems),
    )
    return record, samples


def _unsigned_problems(files: Files, status: int | None) -> Iterator[str]:
    """What is wrong where the engine has not signed off; a torn last line is cut off here, and said."""
    how = "is still there" if status is None else f"ended with exit status {status}"
    yield f"the load generator did not sign off: it {how}"
    if files.samples.is_file() and (torn := cut_torn_end(files.samples)):
        yield f"{torn} bytes of a torn last sample were cut off"


def _last_seen(order: Order, files: Files, samples: Sequence[Sample], now: float) -> Figures:
    """What is known of an engine that did not sign off, from the last that it told and what it left."""
    told = read_json(files.progress) or {}
    last = max((sample.at_least + sample.planned for sample in samples), default=order.ready)
    seen = max(last, float(told.get("at", last)))
    finished = int(told.get("finished", len(samples)))
    sent = max(int(told.get("sent", 0)), finished)
    began = float(told.get("began", order.ready))
    return Figures(
        reason="",
        began=began,
        ended=min(seen, now),
        planned=order.planned(seen - began),
        sent=sent,
        finished=finished,
        in_flight=sent - finished,
        dropped=int(told.get("dropped", 0)),
        samples=len(samples),
        sha256="",
        lateness_p99=None,
        lateness_max=None,
        cpu=None,
    )


def _contradictions(order: Order, signed: Figures, samples: Sequence[Sample], digest: str) -> Iterator[str]:
    """Where the sign-off does not agree with the samples, with the plan, with our clock or with itself."""
    if signed.reason not in ORDERLY:
        yield f"the load generator stopped by itself: {signed.reason}"
    if signed.samples != len(samples):
        yield f"it signed off {signed.samples} samples, {len(samples)} are there"
    elif signed.sha256 != digest:
        yield "the samples are not those that it signed off (their sha256 differs)"
    if signed.sent != signed.finished + signed.in_flight or signed.sent > len(samples):
        yield (
            f"its figures do not add up: {signed.sent} sent, {signed.finished} finished, {signed.in_flight} open, "
            f"{len(samples)} samples"
        )
    if signed.ended is not None and abs(order.planned(signed.ended - signed.began) - signed.planned) > 1:
        yield f"it says that {signed.planned} arrivals were planned, by the plan it is another number"
    if not order.spawned - CLOCKS_AGREE <= signed.began <= order.ready + CLOCKS_AGREE:
        yield "its clock and ours do not agree on when the load began"
    if any(sample.planned < signed.began - 0.001 for sample in samples):
        yield "some samples are older than the load"
