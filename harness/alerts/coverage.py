"""Coverage: whether Prometheus watched an alert all through a stretch, so that the alert's silence means something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from harness.alerts import promql
from harness.alerts.labels import carries, say_labels
from harness.model.record import AlertEvidence, Gap, Record, Rule
from harness.model.units import say_duration
from harness.model.verdict import Outcome

# A target counts as scraped throughout while no more than this passes between two good scrapes: as many scrapes as a
# range must span at least (see `harness.alerts.rules`), or, where scrapes are very frequent, this many wall seconds. A
# rule that reads ranges alone bears a hole of this share of its shortest: a restart is one, and actions take the time
# they take at every time scale. What remains of the range holds the samples that the rule goes by, and a counter tells
# after the hole what happened in it; an alert that ends in it is another matter (`fed_since`).
HOLE_SCRAPES = 4
HOLE_SECONDS = 1.0
HOLE_SHARE = 0.5

Target = tuple[str, str]
Stretch = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why the evidence does not bear a conclusion, and the outcome that this leaves."""

    outcome: Outcome
    said: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What `record` tells of how the alert `name` with `labels` was watched. Instants are wall seconds."""

    record: Record
    name: str
    labels: Mapping[str, str]

    @property
    def evidence(self) -> AlertEvidence:
        return self.record.alerts

    @property
    def began(self) -> float:
        """When the story began: from then on the alert had to be watched."""
        return min((span.began for span in self.record.windows), default=self.record.began)

    def unread(self) -> Flaw | None:
        """Whether the record holds what every judgement needs."""
        if not self.evidence.read:
            return self._unknown("Prometheus could not be read: " + ("; ".join(self.evidence.problems) or "no reason"))
        if not (self.evidence.evaluation_interval > 0 and self.evidence.scrape_interval > 0):
            return self._unknown("it is not known how often Prometheus scrapes and evaluates")
        if self.evidence.rules is None or self.evidence.rules_at_end is None:
            return self._unknown("it is not known which rules Prometheus had loaded")
        return None

    def not_loaded(self) -> Flaw | None:
        """Whether there was such a rule when the run began, and the same one at its end (if there was any)."""
        first, last = self._matching(self.evidence.rules), self._matching(self.evidence.rules_at_end)
        if not first:
            return Flaw(Outcome.FAIL, f"no such rule is loaded in Prometheus{self._other_rules()}")
        if last and _settings(first) != _settings(last):
            return Flaw(Outcome.INVALID, "the rule was changed during the run")
        return None

    def gone(self) -> Flaw | None:
        """Whether the rule was still loaded, and could be evaluated, at the end."""
        last = self._matching(self.evidence.rules_at_end)
        if not last:
            return Flaw(Outcome.FAIL, "the rule is not loaded in Prometheus any more")
        sick = [rule for rule in last if rule.health != "ok"]
        return self._unknown(f"Prometheus says of the rule's health: {sick[0].health}") if sick else None

    def silent(self, began: float, ended: float, *, sources: Iterable[str] = ("prometheus",)) -> Flaw | None:
        """Whether one of `sources` did not answer at some time between `began` and `ended`."""
        gap = next((gap for gap in self.evidence.gaps if gap.source in sources and _touches(gap, began, ended)), None)
        if gap is None:
            return None
        length = self.say(gap.ended - gap.began)
        return self._unknown(f"{gap.source} could not be watched for {length}: {gap.problem}")

    def not_evaluated(self, began: float, ended: float) -> Flaw | None:
        """Whether Prometheus, or the rule in it, was not at work at some time between `began` and `ended`."""
        return self.silent(began, ended, sources=("prometheus", f"rule {self.name}"))

    def not_fed(self, began: float, ended: float) -> Flaw | None:
        """Whether something that the rule reads was not scraped at some time between `began` and `ended`."""
        flaw = self._no_inputs()
        if flaw is not None:
            return flaw
        for target in sorted(self._targets()):
            for hole in self._holes(target, began, ended, borne=HOLE_SHARE * self._memory()):
                length = self.say(hole[1] - hole[0])
                return self._unknown(f"{target[0]} at {target[1]} was not scraped for {length}: it feeds the alert")
        return None

    def unlabelled(self) -> Flaw | None:
        """Whether it was active, and without a label that neither its rule nor anything it reads could have given it:
        then nothing that is still missing could make it the alert that is meant."""
        fixed = {name for rule in self._matching(self.evidence.rules) for name in rule.labels}
        read = [one for one in self.evidence.inputs.get(self.name, ()) if one.points]
        seen = [one.labels for one in self.evidence.states if one.name == self.name]
        for name in sorted(self.labels.keys() - fixed):
            if read and seen and not any(name in labels for labels in (*seen, *(one.labels for one in read))):
                return Flaw(Outcome.FAIL, f"it was active without the label {name}, and nothing gives it one")
        return None

    def fed_since(self, began: float, ended: float) -> float:
        """From which instant on all that the rule reads was scraped without a hole until `ended`; `began` where there
        was none, infinite where there still was one at the end."""
        if self._no_inputs() is not None:
            return float("inf")
        holes = [hole for target in self._targets() for hole in self._holes(target, began, ended)]
        latest = max((hole[1] for hole in holes), default=began)
        return float("inf") if latest >= ended else latest

    def hold(self) -> float:
        """The longest `for` of the rules meant, in wall seconds."""
        return max((rule.hold for rule in self._matching(self.evidence.rules)), default=0.0)

    def say(self, wall: float) -> str:
        """A wall duration in runbook time, in words."""
        return say_duration(wall * self.record.time_scale)

    # ------------------------------------------------------------------------------------------------------------

    def _unknown(self, said: str) -> Flaw:
        return Flaw(Outcome.UNKNOWN, said)

    def _matching(self, rules: Iterable[Rule] | None) -> list[Rule]:
        return [rule for rule in rules or () if rule.name == self.name and _may_carry(rule, self.labels)]

    def _other_rules(self) -> str:
        others = [rule for rule in self.evidence.rules or () if rule.name == self.name]
        return f"; {self.name} has the labels {say_labels(others[0].labels)}" if others else ""

    def _no_inputs(self) -> Flaw | None:
        series = self.evidence.inputs.get(self.name)
        if series is None:
            return self._unknown("what the alert reads was not recorded")
        if not self.evidence.up:
            return self._unknown("Prometheus scraped no target at all")
        if not self._targets():
            return self._unknown("no scraped target exposes what the alert reads")
        read = [one for one in series if one.points]
        fixed = {name for rule in self._matching(self.evidence.rules) for name in rule.labels}
        for name in self.labels.keys() - fixed:
            if read and not any(carries(one.labels, {name: self.labels[name]}) for one in read):
                return self._unknown(f'nothing that the alert reads carries {name}="{self.labels[name]}"')
        return None

    def _targets(self) -> set[Target]:
        found = (_target(one.labels) for one in self.evidence.inputs.get(self.name, ()))
        return {target for target in found if target is not None}

    def _holes(self, target: Target, began: float, ended: float, *, borne: float = 0.0) -> list[Stretch]:
        """The stretches between `began` and `ended` in which `target` was not scraped with success; those of up to
        `borne` wall seconds are none."""
        longest = max(HOLE_SCRAPES * self.evidence.scrape_interval, HOLE_SECONDS, borne)
        good = [at for at in self._good_scrapes(target) if began <= at <= ended]
        instants = [began, *good, ended]
        return [(a, b) for a, b in pairwise(instants) if b - a > longest]

    def _memory(self) -> float:
        """How far back the rules meant look at least, in wall seconds."""
        return min((_memory(rule.expr) for rule in self._matching(self.evidence.rules)), default=0.0)

    def _good_scrapes(self, target: Target) -> list[float]:
        """When `target` was scraped with success. For an alert on `up` itself, a scrape that found it down is one."""
        read = self.evidence.inputs.get(self.name, ())
        names = {one.labels.get("__name__") for one in read if one.points}
        scrapes = [one for one in self.evidence.up if _target(one.labels) == target]
        if scrapes:
            return sorted(at for one in scrapes for at, value in one.points if value == 1 or names == {"up"})
        # A source that names another's job and instance (a gateway): there its samples speak for themselves.
        return sorted(at for one in read if _target(one.labels) == target for at, _ in one.points)


def _target(labels: Mapping[str, str]) -> Target | None:
    return (labels["job"], labels["instance"]) if "job" in labels and "instance" in labels else None


def _memory(expr: str) -> float:
    try:
        return promql.memory(expr).total_seconds()
    except ValueError:  # what this parser can't read, Prometheus may: then no hole is forgiven on its account
        return 0.0


def _touches(gap: Gap, began: float, ended: float) -> bool:
    return gap.began <= ended and gap.ended >= began


def _may_carry(rule: Rule, labels: Mapping[str, str]) -> bool:
    """Whether an alert of `rule` can carry `labels`: those that the rule sets to something fixed must agree."""
    return all(rule.labels.get(name, value) == value or "{{" in rule.labels[name] for name, value in labels.items())


def _settings(rules: Iterable[Rule]) -> set[tuple[str, float, tuple[tuple[str, str], ...]]]:
    return {(rule.expr, rule.hold, tuple(sorted(rule.labels.items()))) for rule in rules}
