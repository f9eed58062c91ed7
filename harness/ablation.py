"""Ablation: runs a scenario without each of its steps, with each alone and in other orders, and says what they are
good for."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from harness import store
from harness.catalogue import find
from harness.errors import UsageError
from harness.judge import judge, objectives
from harness.load.driver import read_samples
from harness.model.ablation import Ablation, Finding, Share, Trial, Variant
from harness.model.evidence import load_problem
from harness.model.record import Record
from harness.model.verdict import Control, Outcome, worst
from harness.running import run_scenarios
from harness.session import prepare_run
from harness.settings import Settings
from harness.slo.limits import answered_rightly
from harness.slo.statistics import mean_interval
from reports import ablation as report

FORMS: Mapping[str, Callable[[Ablation], str]] = {"md": report.markdown, "html": report.html}
AS_WRITTEN = "as written"
# With more steps than that, orders are not all tried: only the reverse one is.
ALL_ORDERS_UP_TO = 3

Performs = Callable[[Settings], Sequence[Record]]  # runs the scenario so


def variants(steps: Sequence[str]) -> tuple[Variant, ...]:
    """All that is tried of `steps`, each once: all as written, none, each left out, each alone, other orders."""
    if not steps:
        return ()
    subsets = [("no step", ()), *((f"without {step}", _but(steps, step)) for step in steps)]
    subsets += [(f"only {step}", (step,)) for step in steps]
    orders = list(itertools.permutations(steps)) if len(steps) <= ALL_ORDERS_UP_TO else [tuple(reversed(steps))]
    found = {tuple(steps): Variant(name=AS_WRITTEN)}
    for name, kept in subsets:
        found.setdefault(kept, Variant(name=name, left_out=tuple(step for step in steps if step not in kept)))
    for order in orders:
        found.setdefault(order, Variant(name=", then ".join(order), order=order))
    return tuple(found.values())


def of_scenario(name: str, settings: Settings, repeat: int) -> Ablation:
    """Perform the scenario called `name`, each variant `repeat` times. Raises UsageError before anything is started
    where that can't work."""
    entry = find(Path("scenarios"), [name])[0]
    prepare_run(settings, entry.steps)

    def perform(chosen: Settings) -> Sequence[Record]:
        done = run_scenarios([entry], chosen, repeat=repeat, quiet=True)
        if done.unusable:
            raise UsageError(f"{entry.name} can't be run", problems=done.unusable)
        return [store.load(folder, read_samples) for _, folder in done.judged]

    return ablate(entry.name, settings, perform)


def ablate(scenario: str, settings: Settings, perform: Performs) -> Ablation:
    """Perform the scenario as it is, then in every other variant of the mitigating steps that it was seen to perform.

    Raises UsageError where it performs none: there is nothing to leave out.
    """
    began = time.monotonic()
    first = perform(settings)
    steps = tuple(dict.fromkeys(step.name for record in first for step in record.steps if step.purpose == "mitigate"))
    if not steps:
        raise UsageError(f"{scenario} performs no mitigating step", hint="an ablation needs one to leave out")
    as_written, *others = variants(steps)
    trials = [trial(as_written, first)]
    for variant in others:
        chosen = replace(settings, control=Control.ABLATION, without=variant.left_out, order=variant.order)
        trials.append(trial(variant, perform(chosen)))
    return conclude(scenario, steps, trials, time.monotonic() - began)


def conclude(scenario: str, steps: Sequence[str], trials: Sequence[Trial], wall_seconds: float) -> Ablation:
    """What follows from `trials`, which may lack some of the variants."""
    by_kept = {_kept(one.variant, steps): one for one in trials}
    enough = [kept for kept, one in by_kept.items() if one.met and not one.variant.order]
    return Ablation(
        scenario=scenario,
        steps=tuple(steps),
        trials=tuple(trials),
        findings=tuple(_finding(step, steps, by_kept) for step in steps),
        shortest=min(enough, key=len, default=None),
        wall_seconds=wall_seconds,
    )


def trial(variant: Variant, records: Sequence[Record]) -> Trial:
    """What came of `variant` in the runs recorded."""
    spoilt = next((why for record in records if (why := _spoilt(record))), "" if records else "it was never performed")
    judged = [verdict for record in records for verdict in objectives(record)]
    claims = dict.fromkeys(verdict.claim for verdict in judged)
    hits = None if spoilt else [failed for record in records for failed in _failures(record)]
    recoveries = [judge(record).times.get("recovery") for record in records] if not spoilt else []
    known = [one.value_seconds_runbook for one in recoveries if one is not None]
    return Trial(
        variant=variant,
        runs=tuple(record.run_id for record in records),
        objectives={claim: worst(one.outcome for one in judged if one.claim == claim) for claim in claims},
        failed=_share(hits) if hits else None,
        recovery=max(known) if known and len(known) == len(records) else None,
        spoilt=spoilt,
    )


def write(ablation: Ablation, form: str) -> str:
    """The ablation as md, html or json."""
    if form == "json":
        return TypeAdapter(Ablation).dump_json(ablation, indent=1).decode() + "\n"
    return FORMS[form](ablation)


def check_form(form: str) -> None:
    """Raises UsageError where `form` is none of those that can be written."""
    if form != "json" and form not in FORMS:
        raise UsageError(f"--format {form}: choose one of {', '.join([*FORMS, 'json'])}")


def _but(steps: Sequence[str], left_out: str) -> tuple[str, ...]:
    return tuple(step for step in steps if step != left_out)


def _kept(variant: Variant, steps: Sequence[str]) -> tuple[str, ...]:
    return variant.order or tuple(step for step in steps if step not in variant.left_out)


def _spoilt(record: Record) -> str:
    """Why a run proves nothing of its steps, whatever users got: no fault in force, or we broke. A claim that is
    UNKNOWN for lack of samples is not that."""
    bad = [verdict for verdict in judge(record).verdicts if verdict.outcome in (Outcome.INVALID, Outcome.ERROR)]
    if bad:
        return f"{bad[0].outcome}: {bad[0].claim}: {bad[0].observed}"
    return load_problem(record)


def _failures(record: Record) -> list[bool]:
    """Of each request planned from the first mitigating step to the end of the last fault, whether it failed."""
    steps = [record.window(step.window) for step in record.steps if step.purpose == "mitigate"]
    began = min((span.began for span in steps if span is not None), default=None)
    ended = max((fault.healed_at for fault in record.faults if fault.healed_at is not None), default=record.ended)
    if began is None:
        return []
    samples = sorted((s for s in record.samples if began <= s.planned < ended), key=lambda sample: sample.planned)
    return [not answered_rightly(sample) for sample in samples]


def _share(failures: Sequence[bool]) -> Share | None:
    """Bounds from batch means: failures come in clusters, which those of a binomial share don't know of."""
    interval = mean_interval([float(failed) for failed in failures])
    if interval is None:
        return None
    return Share(
        hits=sum(failures),
        count=len(failures),
        lower=max(0.0, interval.lower),
        upper=min(1.0, interval.upper),
    )


def _finding(step: str, steps: Sequence[str], trials: Mapping[tuple[str, ...], Trial]) -> Finding:
    beside = (trials.get(tuple(steps)), trials.get(_but(steps, step)))
    alone = (trials.get((step,)), trials.get(()))
    difference = compare(*beside)
    if difference is None:
        said = next((one.spoilt for one in beside if one is not None and one.spoilt), "too little was seen")
        return Finding(step=step, worth="unknown", why=said)
    worth, why = difference
    if worth == "none" and len(steps) > 1:
        by_itself = compare(*alone)
        if by_itself is not None and by_itself[0] in ("matters", "helps"):
            return Finding(step=step, worth="redundant", why=f"by itself: {by_itself[1]}; beside the others: {why}")
    return Finding(step=step, worth="placebo" if worth == "none" else worth, why=why)  # type: ignore[arg-type]  # the rest


def compare(with_it: Trial | None, without: Trial | None) -> tuple[str, str] | None:
    """What a step does, by a run with it and one without it, and why: matters, helps, harms or none; None where the
    runs don't tell."""
    if with_it is None or without is None or with_it.spoilt or without.spoilt:
        return None
    lost = _turned(with_it, without)
    won = _turned(without, with_it)
    if lost and not won:
        return "matters", f"without it: {_claims(lost)}"
    if won and not lost:
        return "harms", f"only without it: {_claims(won, holds=True)}"
    a, b = with_it.failed, without.failed
    if lost or a is None or b is None:
        return None
    said = f"{_percent(a)} of the requests failed with it, {_percent(b)} without it"
    if a.upper < b.lower:
        return "helps", said
    if a.lower > b.upper:
        return "harms", said
    undecided = Outcome.UNKNOWN in {*with_it.objectives.values(), *without.objectives.values()}
    return None if undecided else ("none", said)


def _turned(good: Trial, bad: Trial) -> list[str]:
    """The claims that hold in `good` and are refuted in `bad`."""
    return [
        claim
        for claim, outcome in good.objectives.items()
        if outcome is Outcome.PASS and bad.objectives.get(claim) is Outcome.FAIL
    ]


def _claims(claims: Iterable[str], *, holds: bool = False) -> str:
    return "; ".join(f"“{claim}” {'holds' if holds else 'does not hold'}" for claim in claims)


def _percent(share: Share) -> str:
    return f"{share.hits / share.count:.1%} ({share.lower:.1%} to {share.upper:.1%})"
