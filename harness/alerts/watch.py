"""Watch: looks at Prometheus, Alertmanager and the receiver all through a run, and collects the evidence."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from harness.alerts.collect import Reading, collect
from harness.alerts.delivery import Delivery
from harness.alerts.gaps import GapKeeper
from harness.alerts.labels import carries
from harness.alerts.prometheus import Intervals, LoadedRule, Prometheus
from harness.clock import Clock
from harness.errors import EvidenceMissing
from harness.model.record import AlertEvidence, Notification

AlertState = Literal["inactive", "pending", "firing", "unknown"]
# Several rules may share a name; these tell them apart.
RuleKey = tuple[str, str, tuple[tuple[str, str], ...]]

SHORTEST_LOOK = 0.1  # wall seconds between two looks, at least: watching must not become load
LONGEST_LOOK = 2.0
USUAL_LOOK = 0.25  # until Prometheus has said how often it evaluates
# Prometheus learns of its targets only every 5 s, however often it then scrapes them: so long after its start it may be
# ready and still see nothing.
START_PATIENCE = 15.0
PATIENCE = 5.0  # wall seconds of silence after which waiting for an alert is pointless
# A rule is stalled where this many of its intervals, and this many seconds more, pass without an evaluation.
STALLED_INTERVALS = 3
STALLED_SECONDS = 1.0


class Condition(Protocol):
    """What can be waited for; see `harness.alerts.alert.AlertCondition`."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> Mapping[str, str]: ...

    @property
    def state(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One alert that changed its state, as one of our looks found it."""

    at: float
    name: str
    labels: Mapping[str, str]
    state: AlertState


class AlertWatch:
    """Watches from `with` on, in a thread of its own; `collect` reads the evidence. Entering it waits until Prometheus
    is at work: every target scraped and every rule evaluated once.

    `prometheus`, `receiver` and `alertmanager` are URLs; without `alertmanager` its silence is not noticed. `alerts`
    are the names of the alerts whose inputs are read at the end (None: all that are loaded). Nothing here raises once
    it is open: what could not be read is in the evidence's gaps and problems.
    """

    def __init__(
        self,
        prometheus: str,
        receiver: str,
        *,
        clock: Clock,
        alertmanager: str = "",
        alerts: Collection[str] | None = None,
    ) -> None:
        self._clock = clock
        self._prometheus = Prometheus(prometheus)
        self._delivery = Delivery(receiver, alertmanager)
        self._alerts = alerts
        self._gaps = GapKeeper()
        self._looking = threading.Lock()  # one look at a time
        self._knowing = threading.Lock()  # guards all that is below
        self._rules: tuple[LoadedRule, ...] | None = None
        self._first_rules: tuple[LoadedRule, ...] | None = None
        self._evaluated: dict[RuleKey, tuple[float | None, float]] = {}
        self._started: float | None = None
        self._intervals: Intervals | None = None
        self._transitions: list[Transition] = []
        self._notifications: list[Notification] = []
        self._next = 0
        self._receiver_started: float | None = None
        self._receiver_lost = 0
        self._alertmanager_started: float | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="alert-watch", daemon=True)

    def __enter__(self) -> Self:
        deadline = self._clock.now() + START_PATIENCE
        while not self._at_work() and self._clock.now() < deadline:
            self._clock.sleep(SHORTEST_LOOK)
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._prometheus.close()
        self._delivery.close()

    # -- what is known now ---------------------------------------------------------------------------------------

    def state(self, name: str, labels: Mapping[str, str]) -> AlertState:
        """The most active state among the alerts `name` that carry `labels`. `unknown` where Prometheus did not answer
        our last look, has no such rule, or can't evaluate it."""
        with self._knowing:
            silent = self._gaps.open()
            if self._rules is None or "prometheus" in silent or _rule_source(name) in silent or self._stale():
                return "unknown"
            rules = [rule for rule in self._rules if rule.kind == "alerting" and rule.name == name]
            if not rules:
                return "unknown"
            states = {alert.state for rule in rules for alert in rule.active if carries(alert.labels, labels)}
            return "firing" if "firing" in states else "pending" if "pending" in states else "inactive"

    def holds(self, condition: Condition) -> bool:
        """Whether `condition` holds now; False where nobody knows."""
        state = self.state(condition.name, condition.labels)
        wanted = {"firing": ("firing",), "pending": ("pending", "firing"), "quiet": ("inactive",)}
        return state in wanted.get(condition.state, ())

    def blind(self) -> str:
        """Why waiting for an alert has become pointless: Prometheus has been silent for long. Empty while it is not."""
        with self._knowing:
            began, problem = self._gaps.open().get("prometheus", (None, ""))
            if began is not None and self._clock.now() - began > PATIENCE:
                return problem
            if self._thread.ident is not None and not self._thread.is_alive() and not self._ending.is_set():
                return "the watch over the alerts has died"
            return ""

    def summary(self) -> str:
        """The alerts' states in a few words, for people who wait."""
        with self._knowing:
            if "prometheus" in self._gaps.open():
                return "Prometheus does not answer"
            states = {
                f"{alert.labels.get('alertname', rule.name)} {alert.state}"
                for rule in self._rules or ()
                for alert in rule.active
                if self._alerts is None or rule.name in self._alerts
            }
        return ", ".join(sorted(states)) or "no alert"

    def cycle(self) -> float:
        """Wall seconds in which scrapes and evaluations go round: the longer of the two; 0 where Prometheus has not
        said."""
        with self._knowing:
            return max(self._intervals.scrape, self._intervals.evaluation) if self._intervals else 0.0

    def transitions(self) -> Sequence[Transition]:
        """Every change of state that our looks have found so far, oldest first."""
        with self._knowing:
            return tuple(self._transitions)

    # -- looking -------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Look at every source once, and remember what it said or that it said nothing."""
        with self._looking:
            self._look_at_prometheus()
            self._look_at_receiver()
            self._look_at_alertmanager()

    def _at_work(self) -> bool:
        """Whether Prometheus sees what it is meant to see; one that does not answer is not worth waiting for."""
        try:
            targets, rules = self._prometheus.targets(), self._prometheus.rules()
        except EvidenceMissing:
            return True
        health = [one.health for one in targets] + [one.health for one in rules]
        return bool(targets) and "unknown" not in health

    def _watch(self) -> None:
        while not self._ending.wait(self._pause()):
            self.look()

    def _pause(self) -> float:
        with self._knowing:
            wanted = self._intervals.evaluation if self._intervals else USUAL_LOOK
        return min(max(wanted, SHORTEST_LOOK), LONGEST_LOOK)

    def _stale(self) -> bool:
        """Whether our last good look is too old to speak of now (the looking thread hangs, or has died)."""
        last = self._gaps.last_good("prometheus")
        return last is None or self._clock.now() - last > LONGEST_LOOK + PATIENCE

    def _look_at_prometheus(self) -> None:
        asked = self._clock.now()
        try:
            started, rules = self._prometheus.started(), self._prometheus.rules()
            intervals = self._intervals or self._prometheus.intervals()
        except EvidenceMissing as problem:
            with self._knowing:
                self._gaps.bad("prometheus", asked, problem.args[0])
            return
        with self._knowing:
            if self._started is not None and started != self._started:
                self._gaps.bad("prometheus", asked, "Prometheus was restarted")
            self._started, self._intervals = started, intervals
            self._gaps.good("prometheus", asked)
            self._note_transitions(asked, rules)
            self._note_rules(asked, rules)
            self._rules = rules
            if self._first_rules is None:
                self._first_rules = rules

    def _note_rules(self, at: float, rules: Sequence[LoadedRule]) -> None:
        """Note which alerting rules are not being evaluated as they should."""
        known = {_rule_key(rule): rule for rule in (*(self._first_rules or ()), *rules) if rule.kind == "alerting"}
        loaded = {_rule_key(rule): rule for rule in rules}
        problems: dict[str, str] = {}
        for key, rule in known.items():
            problem = self._rule_problem(at, key, loaded.get(key))
            problems[rule.name] = problems.get(rule.name) or problem
        for name, problem in problems.items():
            if problem:
                self._gaps.bad(_rule_source(name), at, problem)
            else:
                self._gaps.good(_rule_source(name), at)

    def _rule_problem(self, at: float, key: RuleKey, rule: LoadedRule | None) -> str:
        if rule is None:
            return "it is not loaded any more"
        if rule.health == "err":
            return f"it can't be evaluated: {rule.error}"
        evaluated, seen = self._evaluated.get(key, (None, at))
        if rule.evaluated != evaluated or key not in self._evaluated:
            self._evaluated[key] = (rule.evaluated, at)
            return ""
        late = at - seen > STALLED_INTERVALS * rule.interval + STALLED_SECONDS
        return f"it has not been evaluated for {at - seen:.1f} s" if late else ""

    def _note_transitions(self, at: float, rules: Sequence[LoadedRule]) -> None:
        before, after = _active(self._rules or ()), _active(rules)
        for key in sorted({*before, *after}, key=repr):
            if before.get(key) != after.get(key):
                name, labels = key
                state = after.get(key, "inactive")
                self._transitions.append(Transition(at=at, name=name, labels=dict(labels), state=state))

    def _look_at_receiver(self) -> None:
        asked = self._clock.now()
        try:
            post = self._delivery.since(self._next)
            if self._receiver_started not in (None, post.started):
                with self._knowing:
                    self._gaps.bad("receiver", asked, "the receiver was restarted: what it had not told is lost")
                self._next = 0
                post = self._delivery.since(0)
        except EvidenceMissing as problem:
            with self._knowing:
                self._gaps.bad("receiver", asked, problem.args[0])
            return
        with self._knowing:
            last = self._gaps.last_good("receiver")
            lost = post.rejected + post.lost
            if lost != self._receiver_lost and post.started == self._receiver_started:
                said = f"the receiver lost or rejected {lost - self._receiver_lost} messages"
                self._gaps.lost("receiver", last if last is not None else asked, asked, said)
            self._receiver_started, self._receiver_lost, self._next = post.started, lost, post.next
            self._notifications.extend(post.notifications)
            self._gaps.good("receiver", asked)

    def _look_at_alertmanager(self) -> None:
        if not self._delivery.alertmanager:
            return
        asked = self._clock.now()
        try:
            started = self._delivery.alertmanager_started()
        except EvidenceMissing as problem:
            with self._knowing:
                self._gaps.bad("alertmanager", asked, problem.args[0])
            return
        with self._knowing:
            if self._alertmanager_started not in (None, started):
                self._gaps.bad("alertmanager", asked, "Alertmanager was restarted")
            self._alertmanager_started = started
            self._gaps.good("alertmanager", asked)

    # -- the evidence --------------------------------------------------------------------------------------------

    def collect(self, began: float, ended: float) -> AlertEvidence:
        """All that can be read of the run from `began` to `ended` (wall instants). Never raises: what could not be
        read is in its `problems`, and not marked as read."""
        self.look()
        with self._knowing:
            reading = Reading(
                began=began,
                ended=ended,
                alerts=self._alerts,
                rules_at_start=self._first_rules,
                notifications=tuple(note for note in self._notifications if began <= note.at),
                notifications_read="receiver" not in self._gaps.open() and self._receiver_started is not None,
                gaps=tuple(gap for gap in self._gaps.all(self._clock.now()) if gap.ended >= began),
            )
        return collect(self._prometheus, reading)


def _rule_source(name: str) -> str:
    return f"rule {name}"


def _rule_key(rule: LoadedRule) -> RuleKey:
    return rule.name, rule.expr, tuple(sorted(rule.labels.items()))


def _active(rules: Sequence[LoadedRule]) -> dict[tuple[str, tuple[tuple[str, str], ...]], AlertState]:
    return {(rule.name, tuple(sorted(alert.labels.items()))): alert.state for rule in rules for alert in rule.active}
