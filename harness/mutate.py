"""Mutate: the deployed alert rules, each written wrongly in every way, held against rule tests and recorded runs, or
tried live."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from pydantic import TypeAdapter

from harness import session, store
from harness.alerts.configuration import job_names
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
from harness.mutation.operators import every
from harness.mutation.shadow import rewritten, shadow
from harness.mutation.suite import Suite, read_suite
from harness.mutation.tally import Tally, tally
from harness.mutation.trial import Trials, tried
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
    """What is to be tried: the rules in `files` (those of the topology, if none), or of `alert` alone, by the rule
    tests in `tests` (those of the topology, if neither is given), and on each scenario's latest run below `runs`; and
    on up to `live` runs of their own those that neither kills."""

    files: Sequence[Path] = ()
    tests: Sequence[Path] = ()
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
    deployed = _deployed(asked)
    rules = [rule for source, path in deployed.files.items() for rule in read_rules(_text(path), source)]
    names = dict.fromkeys(rule.name for rule in rules if rule.kind == "alert")
    if not names or (asked.alert and asked.alert not in names):
        raise UsageError(f"there is no alert {asked.alert or 'in these files'}", hint=f"there are: {', '.join(names)}")
    suites = _suites(deployed.tests)
    records = list(latest(asked.runs))
    if not records and not suites:
        raise UsageError(
            f"there are no recorded runs below {asked.runs}, and no rule tests",
            hint="`gameday run` makes one; --tests names a file of rule tests",
        )
    recorded = (one.labels["job"] for record in records for one in record.alerts.up if "job" in one.labels)
    jobs = sorted({*recorded, *deployed.jobs})
    try:
        mutants = every((rule for rule in rules if rule.kind == "alert" and asked.alert in ("", rule.name)), jobs)
        promtool = _promtool()
        trials = tried(suites, deployed.files, mutants, promtool, say)
        _refuse_nothing(records, trials, asked.runs)
        found = tally(rules, mutants, records, promtool, trials=trials, say=say)
    except ValueError as problem:
        raise UsageError(f"a rule can't be taken apart: {problem}") from problem
    lived = dict(_live(found, asked, deployed.files, say)) if asked.live else {}
    return found.mutation(began, lived)


def _suites(paths: Sequence[Path]) -> list[Suite]:
    """The rule tests in the files. Raises UsageError with what is wrong with any of them."""
    found, problems = list[Suite](), list[str]()
    for path in paths:
        try:
            found.append(read_suite(path))
        except UsageError as problem:
            problems += problem.problems
    if problems:
        raise UsageError("these rule tests can't be used", problems=problems, hint="`promtool test rules` shows more")
    return found


def _refuse_nothing(records: Sequence[Record], trials: Trials, runs: Path) -> None:
    """Raise UsageError where no run was recorded and no rule test can be used: that is no score of zero."""
    if not records and not trials.any:
        raise UsageError(
            f"there are no recorded runs below {runs}, and none of the rule tests can be used",
            problems=[f"{one.file}: {one.why}" for one in trials.tests],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployed:
    """The files of rules by the name that they go by, those of rule tests, and the jobs that Prometheus scrapes."""

    files: Mapping[str, Path]
    tests: Sequence[Path]
    jobs: Sequence[str] = ()


def _deployed(asked: Asked) -> _Deployed:
    if asked.files:
        return _Deployed(files=_named(asked.files), tests=asked.tests)
    topology = read_topology(asked.compose, os.environ)
    prometheus = topology.time.prometheus
    return _Deployed(
        files=_named(topology.time.rules),
        tests=asked.tests or topology.rule_tests,
        jobs=() if prometheus is None else job_names(_text(prometheus), source=prometheus.name),
    )


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """The files by their names, or by all of their paths where two have the same name."""
    often = Counter(path.name for path in paths)
    return {path.name if often[path.name] == 1 else str(path): path for path in paths}


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
    """Run what nothing has killed, each in the shortest scenario of which replaying can't tell the end. Gives the name
    and the fortunes of those that live."""
    until = time.monotonic() + LIVE_FOR
    candidates = ((mutant, record) for mutant, record in _untold(found))
    for mutant, record in islice(candidates, asked.live):
        if time.monotonic() > until:
            say(f"no further run is started after {LIVE_FOR:g} s")
            return
        scenario = record.scenario.name
        say(f"{mutant.name}: live in {scenario}")
        try:
            kill = _killed(mutant, record, asked, files[mutant.rule.source])
        except HarnessError as problem:
            say(f"{mutant.name}: {problem}")
            continue
        if kill is not None:
            found.kills[mutant.name] = kill
        else:
            yield mutant.name, f"it lived through {scenario} with the changed rule loaded"


def _untold(found: Tally) -> Iterator[tuple[Mutant, Record]]:
    for mutant in found.survivors():
        results = found.tried.get(mutant.name, [])
        open_in = {one.scenario for one in results if one.parted or one.why}
        record = next((one for one in found.records if one.scenario.name in open_in), None)
        if record is not None:
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
