"""Replay: what a changed rule would have done in a recorded run, and which of the run's claims would have noticed.

The run is followed for as long as the changed rule would have left it the same. Where people waited for the alert and
it would have come sooner, nothing is known of what they had done then: what comes later counts for nothing. Where it
would have come later, the incident is supposed to go on as it was, up to the limits of the claims.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from harness.alerts.rules import WrittenRule
from harness.alerts.selectors import Selector, reads
from harness.alerts.whole import complete
from harness.errors import EvidenceMissing
from harness.judge import judge, verdict_on
from harness.model.mutation import Kill, Replayed
from harness.model.record import AlertSample, Record, Rule, Series
from harness.model.units import say_duration
from harness.model.verdict import Outcome
from harness.mutation.mutant import Mutant
from harness.mutation.promtool import Answer, Question, ask
from harness.mutation.scaled import as_rule, counters, is_loaded, loaded, looks_back, scaled
from harness.mutation.series import Track, as_series, tracks, went_on
from harness.mutation.story import SLACK, Wait, alike, retold, waits

ORIGINAL = "original"
# Of these a FAIL stands however the story would have gone on; of the others it may be that the story was cut short.
_SURE = ("alert.fires", "alert.stays_quiet")
_LEAST_SCRAPES = 8  # what a supposition goes by
_DURATION = TypeAdapter(timedelta)
_LATER = 3  # evaluations after a limit until which one is made


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run says of one mutant: the claim that noticed, or why it can't tell; neither: nothing noticed.
    `parted`: the run would have gone on differently, and how is not known."""

    mutant: Mutant
    scenario: str
    kill: Kill | None = None
    why: str = ""
    parted: bool = False


@dataclass(slots=True, kw_only=True)
class Replay:
    """One recorded run, on which changed rules are tried with the program `promtool`. `rules` are all deployed ones."""

    record: Record
    rules: Sequence[WrittenRule]
    promtool: str
    tracks: tuple[Track, ...] = field(init=False)
    held: Mapping[str, Sequence[Mapping[str, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        self.tracks = tracks(self.record)
        self.held = self._held()

    def claims(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """The claims that held, by the alert that they speak of; none of a run that proves nothing."""
        return self.held

    def _held(self) -> dict[str, list[Mapping[str, Any]]]:
        found: dict[str, list[Mapping[str, Any]]] = {}
        if judge(self.record).outcome not in (Outcome.PASS, Outcome.FAIL):
            return found
        for plain in self.record.checks:
            spoken = str(plain.get("kind")).startswith("alert.")
            if spoken and verdict_on(plain, self.record).outcome is Outcome.PASS:
                found.setdefault(str(plain["name"]), []).append(plain)
        return found

    def of(self, alert: str, mutants: Sequence[Mutant]) -> tuple[Replayed, list[Result]]:
        """What the run says of `mutants`, all of `alert`. Nothing where it does not bear out the rule itself."""
        scenario, run_id = self.record.scenario.name, self.record.run_id
        try:
            results = list(_Trial(self, alert, self.claims()[alert]).results(mutants))
        except (EvidenceMissing, ValueError) as problem:
            said = str(problem)
            return Replayed(scenario=scenario, run_id=run_id, alert=alert, usable=False, why=said), []
        return Replayed(scenario=scenario, run_id=run_id, alert=alert, usable=True), results

    def recording(self) -> list[dict[str, Any]]:
        return [scaled(rule, self.record.time_scale) for rule in self.rules if rule.kind == "record"]


@dataclass(slots=True)
class _Trial:
    """One alert in one run. Raises ValueError where the run can't be used for it."""

    replay: Replay
    alert: str
    claims: Sequence[Mapping[str, Any]]
    rule: WrittenRule = field(init=False)
    waits: tuple[Wait, ...] = field(init=False)
    known: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        deployed = [rule for rule in self.replay.rules if rule.kind == "alert" and rule.name == self.alert]
        found = [rule for rule in self.record.alerts.rules or () if rule.name == self.alert]
        if len(deployed) != 1 or len(found) != 1:
            raise ValueError(f"{len(found)} rules of this name were loaded, {len(deployed)} are deployed")
        self.rule = deployed[0]
        if not is_loaded(self.rule, found[0], self.record.time_scale):
            raise ValueError("the rule that was loaded is not the one that is deployed")
        self.waits = waits(self.record, self.alert)
        self.known = complete(self.record.alerts.whole, {rule.name: rule.expr for rule in self._read()})

    @property
    def record(self) -> Record:
        return self.replay.record

    @property
    def step(self) -> float:
        own = self.rule.interval.total_seconds() / self.record.time_scale
        return own or self.record.alerts.evaluation_interval

    def results(self, mutants: Sequence[Mutant]) -> Iterator[Result]:
        undecided = {mutant.name: why for mutant in mutants if (why := self._unfit(mutant))}
        rules = {mutant.name: mutant.changed for mutant in mutants if mutant.name not in undecided}
        answer = self._ask(self.replay.tracks, {ORIGINAL: self.rule, **rules}, self.record.ended)
        original = answer.samples.get(_key(ORIGINAL), ())
        self._check(original)
        late: dict[Wait, list[Mutant]] = {}
        for mutant in mutants:
            why = undecided.get(mutant.name) or answer.sick.get(_key(mutant.name), "")
            if why:
                yield Result(mutant=mutant, scenario=self.record.scenario.name, why=why)
                continue
            story = answer.samples.get(_key(mutant.name), ())
            parting = self._parting(original, story)
            if parting is None:
                yield self._judged(mutant, story, self.record.ended, self.record.alerts.up, whole=True)
            elif isinstance(parting, Wait):
                late.setdefault(parting, []).append(mutant)
            else:
                yield self._judged(mutant, story, parting, self.record.alerts.up)
        for wait, waiting in late.items():
            yield from self._supposed(wait, waiting)

    # -- whether it can be told ------------------------------------------------------------------------------------

    def _unfit(self, mutant: Mutant) -> str:
        """Why this run can't tell what the changed rule would have done; empty where it can."""
        if mutant.changed is None:
            return ""
        scale, whole = self.record.time_scale, self.record.alerts.whole
        try:
            scaled(mutant.changed, scale)
            missing = [str(one) for one in reads(mutant.changed.expr, self._recorded()) if not self._covers(one)]
        except ValueError as problem:
            return f"at time scale {scale:g} it would be another rule: {problem}"
        if missing:
            return f"what {' and '.join(missing)} selects was not recorded"
        earlier = self.record.began - (whole.since if whole is not None else self.record.began)
        more = looks_back(mutant.changed, scale) - looks_back(self.rule, scale)
        if more > earlier:
            return f"it looks back {say_duration(more * scale)} further, to before the recording began"
        return ""

    def _covers(self, wanted: Selector) -> bool:
        """Whether every series that `wanted` selects is in the record."""
        if wanted.metric in self.known:
            return True
        recorded = [one for rule in self._read() for one in reads(rule.expr, self._recorded())]
        return any(set(one.matchers) <= set(wanted.matchers) for one in recorded if one.metric == wanted.metric)

    def _read(self) -> Iterable[Rule]:
        """The rules whose inputs were recorded."""
        return (rule for rule in self.record.alerts.rules or () if rule.name in self.record.alerts.inputs)

    def _recorded(self) -> Mapping[str, str]:
        return {rule.name: rule.expr for rule in self.replay.rules if rule.kind == "record"}

    def _check(self, story: Sequence[AlertSample]) -> None:
        """Raise ValueError where the rule itself, replayed, does not do what was recorded, or is judged otherwise."""
        recorded = [one for one in self.record.alerts.states if one.name == self.alert]
        if not alike(recorded, [one for one in story if one.at >= self.record.began], self.step):
            raise ValueError("replayed, the deployed rule does not do what it did in the run")
        told = self._told(self.rule, story, self.record.ended, self.record.alerts.up)
        for plain in self.claims:
            verdict = verdict_on(plain, told)
            if verdict.outcome is not Outcome.PASS:
                raise ValueError(f"replayed, `{verdict.claim}` is {verdict.outcome}: {verdict.observed}")

    # -- how the story goes ----------------------------------------------------------------------------------------

    def _ask(self, found: Sequence[Track], rules: Mapping[str, WrittenRule | None], ended: float) -> Answer:
        group = {rule.name for rule in self.replay.rules if (rule.source, rule.group) == self._group()}
        phase = next((one.at for one in self.record.alerts.states if one.name in group), self.record.began)
        read = {one.metric for rule in rules.values() if rule for one in reads(rule.expr, self._recorded())}
        read |= {one.metric for rule in self.replay.rules if rule.kind == "record" for one in reads(rule.expr)}
        question = Question(
            tracks=[one for one in found if "" in read or one.labels.get("__name__") in read],
            rules={_key(name): as_rule(scaled(rule, self.record.time_scale)) for name, rule in rules.items() if rule},
            recording=self.replay.recording(),
            began=self.record.began,
            ended=ended,
            step=self.step,
            phase=phase,
        )
        return ask(self.replay.promtool, question)

    def _group(self) -> tuple[str, str]:
        return self.rule.source, self.rule.group

    def _parting(self, original: Sequence[AlertSample], story: Sequence[AlertSample]) -> float | Wait | None:
        """Where the changed rule would have made the run another: the instant at which it would have gone on sooner,
        the wait in which it would still have waited, or None."""
        for wait in self.waits:
            until = wait.ended + SLACK * self.step
            theirs, mine = wait.met(original, until, self.step), wait.met(story, until, self.step)
            if theirs is None and mine is None:
                continue  # it gave up, and would have
            if mine is None or (theirs is not None and mine > theirs + SLACK * self.step):
                return wait
            if theirs is None or mine < theirs - SLACK * self.step:
                return mine
        return None

    def _supposed(self, wait: Wait, mutants: Sequence[Mutant]) -> Iterator[Result]:
        """What is to be said of `mutants` for which people would have gone on waiting in `wait`, had all else gone on
        as it was."""
        until = max([wait.ended, *(limit + _LATER * self.step for limit in self._limits(wait.ended))])
        length = max((wait.ended - wait.began) / 2, _LEAST_SCRAPES * self.record.alerts.scrape_interval)
        counted = frozenset(name for rule in self.replay.rules for name in counters(rule))
        world = went_on(self.replay.tracks, since=wait.ended - length, at=wait.ended, until=until, counters=counted)
        up = as_series(one for one in world if one.labels.get("__name__") == "up")
        answer = self._ask(world, {mutant.name: mutant.changed for mutant in mutants}, until)
        for mutant in mutants:
            if sick := answer.sick.get(_key(mutant.name), ""):
                yield Result(mutant=mutant, scenario=self.record.scenario.name, why=sick)
                continue
            story = answer.samples.get(_key(mutant.name), ())
            met = wait.met(story, until, self.step)
            ended = until if met is None else min(until, met + self.step)
            yield self._judged(mutant, story, ended, up, supposed=ended > wait.ended + SLACK * self.step)

    def _limits(self, at: float) -> Iterator[float]:
        """The instants by which something was claimed to happen after a cause that had begun, or ended, by `at`."""
        for plain in self.claims:
            if plain["kind"] in ("alert.fires", "alert.resolves"):
                start = _start(plain, self.record)
                if start is not None and start <= at:
                    yield start + _within(plain) / self.record.time_scale

    # -- what is said of it ----------------------------------------------------------------------------------------

    def _told(
        self, rule: WrittenRule | None, story: Sequence[AlertSample], ended: float, up: Sequence[Series]
    ) -> Record:
        new = None if rule is None else loaded(rule, self.record.time_scale)
        story = [one for one in story if one.at >= self.record.began]
        return retold(self.record, self.alert, new, story, ended=ended, up=up)

    def _judged(
        self,
        mutant: Mutant,
        story: Sequence[AlertSample],
        ended: float,
        up: Sequence[Series],
        *,
        whole: bool = False,
        supposed: bool = False,
    ) -> Result:
        told = self._told(mutant.changed, story, ended, up)
        for plain in self.claims if whole else map(partial(_as_far_as, told), self.claims):
            verdict = verdict_on(plain, told)
            if verdict.outcome is Outcome.FAIL and (whole or plain["kind"] in _SURE or _still_fires(plain, told)):
                kill = Kill(
                    scenario=self.record.scenario.name,
                    run_id=self.record.run_id,
                    claim=verdict.claim,
                    observed=verdict.observed,
                    supposed=supposed,
                )
                return Result(mutant=mutant, scenario=kill.scenario, kill=kill)
        return Result(mutant=mutant, scenario=self.record.scenario.name, parted=not whole)


def _as_far_as(record: Record, plain: Mapping[str, Any]) -> Mapping[str, Any]:
    """A claim about several windows as one about those that were over when `record` was cut short: less than was
    claimed, and part of it."""
    if plain["kind"] != "alert.stays_quiet":
        return plain
    over = [name for name in plain["windows"] if (span := record.window(name)) is not None and span.ended is not None]
    return {**plain, "windows": over}


def _still_fires(plain: Mapping[str, Any], record: Record) -> bool:
    """Whether the alert was seen firing after it should have resolved: however the story goes on, that is too late."""
    start = _start(plain, record) if plain["kind"] == "alert.resolves" else None
    if start is None:
        return False
    limit = start + _within(plain) / record.time_scale
    return any(one.name == plain["name"] and one.state == "firing" and one.at > limit for one in record.alerts.states)


def _start(plain: Mapping[str, Any], record: Record) -> float | None:
    span = record.window(str(plain["of"]["window"]))
    if span is None:
        return None
    return span.began if plain["of"]["edge"] == "start" else span.ended


def _within(plain: Mapping[str, Any]) -> float:
    """The limit of a claim in its JSON form, in runbook seconds."""
    return _DURATION.validate_python(plain["within"]).total_seconds()


def _key(name: str) -> str:
    """A name that an alert may have."""
    return "m" + name.encode().hex()
