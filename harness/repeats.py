"""Repeats: recorded runs of one scenario in, how their times and their claims spread out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from harness import store
from harness.alerts.detection import Detection, detections
from harness.catalogue import Entry
from harness.errors import UsageError
from harness.judge import judge, recoveries
from harness.load.driver import read_samples
from harness.mitigations.checks import final_effects
from harness.model.judgement import Judgement, Time
from harness.model.record import FaultRecord, Record
from harness.model.repeats import Bound, Flaky, Repeats, Series, Spread
from harness.model.verdict import Outcome
from harness.run import PHASE
from harness.settings import Settings
from harness.slo.statistics import CONFIDENCE, lower_bound, upper_bound
from harness.slo.survival import LEAST, Lasted, median, median_interval
from reports import repeats as report

FORMS: Mapping[str, Callable[[Repeats], str]] = {"md": report.markdown, "html": report.html}
Key = tuple[str, str, str, float, int]  # a scenario, its version, the control, the time scale, the seed
TAIL = 1 - (1 - CONFIDENCE) / 2  # of each of two bounds that hold together


@dataclass(frozen=True, slots=True)
class Measured:
    """One time in one run: how long it took, or longer than it was watched for; None where nobody can say."""

    said: str
    lasted: Lasted | None
    resolution: float = 0.0


@dataclass(frozen=True, slots=True)
class Told:
    """What is kept of one run: its samples are too many for a thousand of them."""

    key: Key
    run_id: str
    outcome: Outcome
    claims: Mapping[str, Outcome]
    times: Mapping[str, Measured]
    phase: float | None


# -- recorded runs -------------------------------------------------------------------------------------------------


def recorded(entries: Sequence[Entry], settings: Settings, repeat: int) -> Mapping[str, Mapping[int, Path]]:
    """Of each scenario the repetitions up to `repeat` that `settings.runs` has, by their number: of the scenario as it
    is now, under the same control, scale and seed, and not broken off by somebody. Whatever they came to they count,
    else a series would be of those alone that people like."""
    found: dict[str, dict[int, Path]] = {}
    for entry in entries:
        for folder, record in _below(settings.runs / entry.name):
            same = (record.control, record.time_scale, record.seed) == (
                settings.control,
                settings.time_scale,
                settings.seed,
            )
            if (
                same
                and 1 <= record.repetition <= repeat
                and record.scenario.fingerprint == entry.fingerprint
                and record.error != "interrupted"
            ):
                found.setdefault(entry.name, {}).setdefault(record.repetition, folder)
    return found


def repeated(runs: Path) -> Sequence[Path]:
    """The folders of all runs below `runs` that are one of a series. Raises UsageError where there is none."""
    scenarios = sorted(path for path in runs.glob("*") if path.is_dir())
    found = [folder for path in scenarios for folder, record in _below(path) if record.repetition]
    if not found:
        raise UsageError(f"there are no repeated runs below {runs}", hint="`gameday run NAME --repeat 10` makes some")
    return found


def _below(folder: Path) -> Iterator[tuple[Path, Record]]:
    for path in sorted(path for path in folder.glob("*") if not path.is_symlink()):
        if (path / store.RECORD).is_file():
            yield path, store.load(path, lambda _: ())


def write(folders: Sequence[Path], form: str) -> str:
    """How the runs in `folders` spread, as md, html or json. Raises UsageError where a folder holds none."""
    if form != "json" and form not in FORMS:
        raise UsageError(f"--format {form}: choose one of {', '.join([*FORMS, 'json'])}")
    found = of_records(store.load(folder, read_samples) for folder in folders)
    if form == "json":
        return TypeAdapter(Repeats).dump_json(found, indent=1).decode() + "\n"
    return FORMS[form](found)


# -- what they say -------------------------------------------------------------------------------------------------


def of_records(records: Iterable[Record]) -> Repeats:
    """One series for each scenario and version of it, control, time scale and seed; `records` are taken one by one."""
    series: dict[Key, list[Told]] = defaultdict(list)
    for record in records:
        one = _told(record)
        series[one.key].append(one)
    return Repeats(series=tuple(_series(key, told) for key, told in sorted(series.items())))


def _told(record: Record) -> Told:
    judgement = judge(record)
    claims: dict[str, Outcome] = {}
    for verdict in judgement.verdicts:
        claims.setdefault(verdict.claim, verdict.outcome)
    phases = (event.details.get("share") for event in record.events if event.kind == PHASE)
    phase = next(phases, None)
    return Told(
        key=(
            record.scenario.name,
            record.scenario.fingerprint,
            record.control.value,
            record.time_scale,
            record.seed,
        ),
        run_id=record.run_id,
        outcome=judgement.outcome,
        claims=claims,
        times=dict(measured(record, judgement)),
        phase=phase if isinstance(phase, float) else None,
    )


def _series(key: Key, told: Sequence[Told]) -> Series:
    outcomes = Counter(one.outcome for one in told)
    counted = [one for one in told if one.outcome not in (Outcome.INVALID, Outcome.ERROR)]
    names = dict.fromkeys(name for one in counted for name in one.times)
    claims = dict.fromkeys(claim for one in told for claim in one.claims)
    by_claim = {claim: Counter(one.claims[claim] for one in told if claim in one.claims) for claim in claims}
    scenario, fingerprint, control, time_scale, seed = key
    return Series(
        scenario=scenario,
        fingerprint=fingerprint,
        control=control,
        time_scale=time_scale,
        seed=seed,
        runs=tuple(one.run_id for one in told),
        outcomes={outcome: outcomes[outcome] for outcome in Outcome if outcomes[outcome]},
        times=tuple(_spread(name, [one.times.get(name) for one in counted]) for name in names),
        flaky=tuple(
            Flaky(claim=claim, outcomes={outcome: seen[outcome] for outcome in Outcome if seen[outcome]})
            for claim, seen in by_claim.items()
            if len(seen) > 1
        ),
        uncounted=len(told) - len(counted),
        phases=tuple(one.phase for one in told if one.phase is not None),
        failed=bound(outcomes[Outcome.FAIL], outcomes[Outcome.FAIL] + outcomes[Outcome.PASS]),
        red=bound(len(told) - outcomes[Outcome.PASS], len(told)),
    )


def bound(hits: int, count: int) -> Bound:
    """`hits` of `count`, with two bounds that hold together with 95 %."""
    return Bound(hits=hits, count=count, lower=lower_bound(hits, count, TAIL), upper=upper_bound(hits, count, TAIL))


def _spread(name: str, values: Sequence[Measured | None]) -> Spread:
    known = [one for one in values if one is not None and one.lasted is not None]
    lasted = [one.lasted for one in known if one.lasted is not None]
    said = next((one.said for one in values if one is not None and one.said), "")
    middle = median(lasted) if lasted else math.inf
    lower, upper = median_interval(lasted) if len(lasted) >= LEAST else (math.inf, math.inf)
    return Spread(
        name=name,
        said=said,
        reached=tuple(one.value for one in lasted if one.reached),
        censored=tuple(one.value for one in lasted if not one.reached),
        unknown=len(values) - len(known),
        median=_finite(middle),
        lower=_finite(lower),
        upper=_finite(upper),
        resolution=max((one.resolution for one in known), default=0.0),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# -- one run -------------------------------------------------------------------------------------------------------


def measured(record: Record, judgement: Judgement) -> Iterator[tuple[str, Measured]]:
    """The times of one run by name: what its judgement has of the chain, and what did not come while it was watched."""
    yield from _detected(record)
    yield from _mitigated(record, judgement)
    yield from _recovered(record)


def _detected(record: Record) -> Iterator[tuple[str, Measured]]:
    found = detections(record)
    faults = {fault.window: fault for fault in record.faults}
    for detection in found:
        prefix = "detection" if len(found) == 1 else f"detection by {detection.alert}"
        times, until = detection.times(prefix), _watched(record, faults[detection.fault])
        names = [prefix, *(f"{prefix}/{stage}" for stage in detection.chain())]
        told = names[-1] in times  # an alert that fires and reaches nobody has told nobody
        for at, name in enumerate(names):
            if name in times and (told or name != prefix):
                yield name, _reached(times[name])
            elif any(later in times for later in names[at + 1 :]) and at:
                yield name, Measured("", None)  # what came after it was seen: only nobody saw when this was
            else:
                yield name, Measured("", Lasted(_since(detection, until), reached=False))


def _watched(record: Record, fault: FaultRecord) -> float:
    """Until when the fault might still have been detected as it was: people responded, or it was healed."""
    injected = fault.injected_at or record.began
    steps = (record.window(step.window) for step in record.steps if step.purpose == "mitigate" and not step.skipped)
    began = [span.began for span in steps if span is not None and span.began > injected]
    return min([record.ended, *began, *([fault.healed_at] if fault.healed_at is not None else [])])


def _since(detection: Detection, until: float) -> float:
    return (until - detection.injected_at) * detection.time_scale


def _mitigated(record: Record, judgement: Judgement) -> Iterator[tuple[str, Measured]]:
    mitigating = [step for step in record.steps if step.purpose == "mitigate"]
    held = {step.name: [effect.held for effect in final_effects(step)] for step in mitigating}
    for name, time in judgement.times.items():
        whole, _, step = name.partition("/")
        if whole != "mitigation":
            continue
        effects = held.get(step, []) if step else [one for several in held.values() for one in several]
        if False in effects:
            yield name, Measured(time.said, Lasted(time.value_seconds_runbook, reached=False))
        elif None in effects:
            yield name, Measured(time.said, None)
        else:
            yield name, _reached(time)


def _recovered(record: Record) -> Iterator[tuple[str, Measured]]:
    for number, recovery in enumerate(recoveries(record)):
        name = "recovery" if number == 0 else recovery.claim
        time, longer = recovery.time(record), recovery.longer_than(record)
        if time is not None:
            yield name, _reached(time)
        else:
            yield name, Measured("", None if longer is None else Lasted(longer, reached=False))


def _reached(time: Time) -> Measured:
    return Measured(time.said, Lasted(time.value_seconds_runbook), time.resolution_seconds)
