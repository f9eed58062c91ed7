"""Mutate: the deployed alert rules, each written wrongly in every way, held against recorded runs or tried live."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from pydantic import TypeAdapter

from harness import session, store
from harness.alerts.rules import read_rules
from harness.catalogue import find
from harness.errors import HarnessError, UsageError
from harness.judge import verdict_on
from harness.load.driver import read_samples
from harness.matrix import latest
from harness.model.mutation import Kill, Mutation
from harness.model.record import Record
from harness.model.verdict import Outcome
from harness.mutation.mutant import Mutant
from harness.mutation.shadow import rewritten, shadow
from harness.mutation.tally import Tally, tally
from harness.rejudge import save
from harness.running import run_scenarios
from harness.sandbox import parts
from harness.sandbox.topology import read_topology
from harness.settings import Settings
from reports import mutation as report

FORMS = {"md": report.markdown, "html": report.html}
LIVE_FOR = 1200.0  # wall seconds, after which no further run is started


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be tried: the rules in `files` (those of the topology, if none), or of `alert` alone, on each
    scenario's latest run below `runs`; and on up to `live` runs of their own those that replaying does not kill."""

    files: Sequence[Path] = ()
    alert: str = ""
    compose: Path = Path("docker-compose.yml")
    runs: Path = Path("runs")
    live: int = 0


def write(asked: Asked, form: str, say: Callable[[str], None] = lambda _: None) -> str:
    """The mutation score as md, html or json. Raises UsageError where there is nothing to try it on, PartMissing
    without promtool."""
    if form != "json" and form not in FORMS:
        raise UsageError(f"--format {form}: choose one of {', '.join([*FORMS, 'json'])}")
    found = mutate(asked, say)
    if form == "json":
        return TypeAdapter(Mutation).dump_json(found, indent=1).decode() + "\n"
    return FORMS[form](found)


def mutate(asked: Asked, say: Callable[[str], None] = lambda _: None) -> Mutation:
    """The same as values; `say` is told how far it is."""
    began = time.monotonic()
    paths = list(asked.files or read_topology(asked.compose, os.environ).time.rules)
    written = {path: read_rules(_text(path), path.name) for path in paths}
    rules = [rule for found in written.values() for rule in found]
    names = dict.fromkeys(rule.name for rule in rules if rule.kind == "alert")
    if not names or (asked.alert and asked.alert not in names):
        raise UsageError(f"there is no alert {asked.alert or 'in these files'}", hint=f"there are: {', '.join(names)}")
    records = list(latest(asked.runs))
    if not records:
        raise UsageError(f"there are no recorded runs below {asked.runs}", hint="`gameday run` makes one")
    try:
        found = tally(rules, records, _promtool(), alert=asked.alert, say=say)
    except ValueError as problem:
        raise UsageError(f"a rule can't be taken apart: {problem}") from problem
    files = {rule.name: path for path, some in written.items() for rule in some}
    lived = dict(_live(found, asked, files, say)) if asked.live else {}
    return found.mutation(began, lived)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise UsageError(f"{path} can't be read: {cause}") from cause


def _promtool() -> str:
    try:
        return str(parts.find("prometheus").tools["promtool"])
    except KeyError as cause:
        raise UsageError("there is no promtool beside this Prometheus", hint=parts.HINT) from cause


# -- live ----------------------------------------------------------------------------------------------------------


def _live(
    found: Tally, asked: Asked, files: Mapping[str, Path], say: Callable[[str], None]
) -> Iterator[tuple[str, str]]:
    """Run what replaying did not kill, each in the shortest scenario of which replaying can't tell the end. Gives the
    name and the fortunes of those that live."""
    until = time.monotonic() + LIVE_FOR
    candidates = ((mutant, record) for mutant, record in _untold(found))
    for mutant, record in islice(candidates, asked.live):
        if time.monotonic() > until:
            say(f"no further run is started after {LIVE_FOR:g} s")
            return
        scenario = record.scenario.name
        say(f"{mutant.name}: live in {scenario}")
        try:
            kill = _killed(mutant, record, asked, files[mutant.rule.name])
        except HarnessError as problem:
            say(f"{mutant.name}: {problem}")
            continue
        if kill is not None:
            found.kills[mutant.name] = kill
        else:
            yield mutant.name, f"it lived through {scenario} with the changed rule loaded"


def _untold(found: Tally) -> Iterator[tuple[Mutant, Record]]:
    for mutant in found.mutants:
        results = found.tried.get(mutant.name, [])
        open_in = {one.scenario for one in results if one.parted or one.why}
        record = next((one for one in found.records if one.scenario.name in open_in), None)
        if mutant.name not in found.kills and not mutant.equivalent and record is not None:
            yield mutant, record


def _killed(mutant: Mutant, before: Record, asked: Asked, file: Path) -> Kill | None:
    """The claim on the alert that fails in a run with the changed rule. Raises HarnessError where there is no run."""
    text = rewritten(_text(file), mutant.rule, mutant.changed)
    (entry,) = find(Path("scenarios"), [before.scenario.name])
    with shadow(asked.compose.parent, file, text) as project:
        settings = Settings(
            compose=project / asked.compose.name, time_scale=before.time_scale, runs=project / "mutated runs"
        )
        session.prepare_run(settings, set(entry.steps))
        done = run_scenarios([entry], settings, quiet=True)
        if not done.judged:
            raise HarnessError("; ".join((*done.unusable, *done.broken)) or "it was not judged")
        judgement, folder = done.judged[0]
        record = store.load(folder, read_samples)
    if judgement.outcome in (Outcome.INVALID, Outcome.ERROR):
        raise HarnessError(f"the run is {judgement.outcome}")
    for plain in record.checks:
        if plain.get("name") == mutant.rule.name and str(plain.get("kind")).startswith("alert."):
            verdict = verdict_on(plain, record)
            if verdict.outcome is Outcome.FAIL:
                return Kill(
                    scenario=record.scenario.name,
                    run_id=record.run_id,
                    claim=verdict.claim,
                    observed=verdict.observed,
                    live=True,
                )
    return None


def main() -> None:
    """`python -m harness.mutate FILE`: write the page of the rules that are deployed here."""
    (file,) = sys.argv[1:]
    save(Path(file), write(Asked(), "md", partial(print, file=sys.stderr)))


if __name__ == "__main__":
    main()
