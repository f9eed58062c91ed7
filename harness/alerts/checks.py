"""Checks: the claims about an alert, judged from a record alone.

A claim PASSes only on evidence that would have shown the opposite too. In each `judge`, what was seen for certain comes
first, then what may have been missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from harness.alerts.coverage import Coverage, Flaw
from harness.alerts.history import Firing, History
from harness.alerts.labels import say_alert
from harness.model.evidence import coverage_problem, load_problem
from harness.model.record import Record
from harness.model.timeline import Moment
from harness.model.units import say_duration
from harness.model.verdict import Control, Outcome, Verdict, worst


@dataclass(frozen=True, slots=True)
class _Case:
    """One claim about one alert in one record, and how its verdict is said."""

    record: Record
    claim: str
    name: str
    labels: Mapping[str, str]
    within: timedelta | None = None

    @property
    def watched(self) -> Coverage:
        return Coverage(self.record, self.name, self.labels)

    @property
    def history(self) -> History:
        return History(self.record.alerts, self.name, self.labels)

    @property
    def step(self) -> float:
        """Wall seconds between two evaluations: what happened in between is known no better."""
        return self.record.alerts.evaluation_interval

    @property
    def limit(self) -> float:
        """The limit in wall seconds; infinite where there is none."""
        return float("inf") if self.within is None else self.within.total_seconds() / self.record.time_scale

    def said(self, outcome: Outcome, observed: str, *evidence: str) -> Verdict:
        return Verdict(
            claim=self.claim,
            outcome=outcome,
            observed=observed,
            limit="" if self.within is None else say_duration(self.within),
            resolution=f"± {self.watched.say(self.step)}" if self.step > 0 else "",
            evidence=evidence,
        )

    def flawed(self, flaw: Flaw) -> Verdict:
        return self.said(flaw.outcome, flaw.said, "alerts.gaps", "alerts.problems", "alerts.rules", "alerts.up")

    def measured(self, wall: float) -> str:
        """A measured wall duration, in runbook time and with its resolution."""
        return f"{self.watched.say(wall)} ± {self.watched.say(self.step)}"

    def never_fired(self) -> Verdict:
        """The verdict on a claim that needs the alert to have fired, where it was not seen to."""
        watched, began, ended = self.watched, self.watched.began, self.record.ended
        flaw = _first(
            watched.silent(began, ended),
            watched.gone(),
            watched.not_evaluated(began, ended),
            watched.not_fed(began, ended),
        )
        if flaw is not None:
            return self.flawed(flaw)
        return self.said(Outcome.FAIL, f"it never fired{self.history.strangers()}", "alerts.states")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fires:
    """The alert was quiet until `of`, and fired at most `within` (runbook time) after it."""

    kind: Literal["alert.fires"] = "alert.fires"
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    within: timedelta
    of: Moment

    @property
    def claim(self) -> str:
        return f"{say_alert(self.name, self.labels)} fires within {say_duration(self.within)} of {self.of}"

    def judge(self, record: Record) -> Verdict:
        case = _Case(record, self.claim, self.name, self.labels, self.within)
        start = record.instant(self.of)
        if start is None:
            return case.said(Outcome.UNKNOWN, f"{self.of} never came")
        flaw = case.watched.unread()
        if flaw is not None:
            return case.flawed(flaw)
        before = case.history.active(record.began, start)
        if before:
            early = f"it was not quiet before: {before[0].state} {case.measured(start - before[0].at)} before {self.of}"
            return case.said(Outcome.INVALID, early, f"alerts.states at {before[0].at:.3f}")
        flaw = case.watched.not_loaded()
        if flaw is not None:
            return case.flawed(flaw)
        firing = next((one for one in case.history.firings() if one.began >= start), None)
        return self._not_fired(case, start) if firing is None else self._fired(case, start, firing)

    def _fired(self, case: _Case, start: float, firing: Firing) -> Verdict:
        watched, took = case.watched, firing.began - start
        flaw = _first(
            watched.not_evaluated(watched.began, firing.began),
            _calm_unseen(case, start),
            watched.not_fed(watched.began, start),
        )
        if flaw is not None:
            return case.flawed(flaw)
        fired = f"fired {case.measured(took)} after {self.of}"
        evidence = f"alerts.states at {firing.began:.3f}"
        if took <= case.limit:
            return case.said(Outcome.PASS, fired, evidence)
        if took <= case.limit + case.step:
            return case.said(Outcome.UNKNOWN, f"{fired}: too close to the limit to tell", evidence)
        late = watched.not_fed(start, start + case.limit)
        return case.flawed(late) if late is not None else case.said(Outcome.FAIL, fired, evidence)

    def _not_fired(self, case: _Case, start: float) -> Verdict:
        watched, ended, deadline = case.watched, case.record.ended, start + case.limit
        flaw = _first(
            watched.silent(watched.began, min(deadline, ended)),
            watched.gone(),
            watched.not_evaluated(watched.began, min(deadline, ended)),
        )
        if flaw is not None:
            return case.flawed(flaw)
        if ended < deadline:
            short = f"it had not fired when the run ended, {watched.say(ended - start)} after {self.of}"
            return case.said(Outcome.UNKNOWN, short, "alerts.states")
        flaw = watched.unlabelled() or watched.not_fed(watched.began, deadline)
        if flaw is not None:
            return case.flawed(flaw)
        pending = [one for one in case.history.active(start, ended) if one.state == "pending"]
        got = "it became pending, and did not fire" if pending else "it did not fire"
        return case.said(Outcome.FAIL, f"{got}{case.history.strangers()}", "alerts.states", "alerts.inputs")

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset({Control.NO_FAULT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Alertmanager delivered the alert, at most `within` (runbook time) after it began to fire."""

    kind: Literal["alert.delivered"] = "alert.delivered"
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    within: timedelta | None = None

    @property
    def claim(self) -> str:
        when = "before the run ends" if self.within is None else f"within {say_duration(self.within)} of firing"
        return f"{say_alert(self.name, self.labels)} is delivered {when}"

    def judge(self, record: Record) -> Verdict:
        case = _Case(record, self.claim, self.name, self.labels, self.within)
        flaw = case.watched.unread() or case.watched.not_loaded()
        if flaw is not None:
            return case.flawed(flaw)
        firings = case.history.firings()
        if not firings:
            return case.never_fired()
        broken = case.watched.silent(case.watched.began, record.ended, sources=("alertmanager",))
        if broken is not None:
            return case.flawed(broken)
        arrived = case.history.notifications("firing")
        if not arrived:
            return self._not_delivered(case, firings[0])
        took = arrived[0].at - firings[0].began
        delivered = f"delivered {case.measured(took)} after it fired"
        evidence = f"alerts.notifications at {arrived[0].at:.3f}"
        if took <= case.limit:
            return case.said(Outcome.PASS, delivered, evidence)
        if took <= case.limit + case.step:
            return case.said(Outcome.UNKNOWN, f"{delivered}: too close to the limit to tell", evidence)
        missed = self._may_be_missed(case, firings[0])
        return case.flawed(missed) if missed is not None else case.said(Outcome.FAIL, delivered, evidence)

    def _not_delivered(self, case: _Case, firing: Firing) -> Verdict:
        if not case.record.alerts.notifications_read:
            return case.said(Outcome.UNKNOWN, "the receiver could not be read at the end", "alerts.notifications_read")
        missed = self._may_be_missed(case, firing)
        if missed is not None:
            return case.flawed(missed)
        if case.record.ended < firing.began + (0.0 if self.within is None else case.limit):
            return case.said(Outcome.UNKNOWN, "not delivered yet when the run ended", "alerts.notifications")
        nothing = f"it fired, and nothing was delivered{case.history.strangers()}"
        return case.said(Outcome.FAIL, nothing, "alerts.notifications", f"alerts.states at {firing.began:.3f}")

    def _may_be_missed(self, case: _Case, firing: Firing) -> Flaw | None:
        """Whether something on the way from Prometheus to us was not there to be seen."""
        sources = ("prometheus", "receiver")
        return case.watched.silent(firing.began, min(firing.began + case.limit, case.record.ended), sources=sources)

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset({Control.NO_FAULT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolves:
    """The alert had fired, and ended at most `within` (runbook time) after `of`, for good."""

    kind: Literal["alert.resolves"] = "alert.resolves"
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    within: timedelta
    of: Moment

    @property
    def claim(self) -> str:
        return f"{say_alert(self.name, self.labels)} resolves within {say_duration(self.within)} of {self.of}"

    def judge(self, record: Record) -> Verdict:
        case = _Case(record, self.claim, self.name, self.labels, self.within)
        start = record.instant(self.of)
        if start is None:
            return case.said(Outcome.UNKNOWN, f"{self.of} never came")
        flaw = case.watched.unread() or case.watched.not_loaded()
        if flaw is not None:
            return case.flawed(flaw)
        firings = case.history.firings()
        if not firings:
            verdict = case.never_fired()
            return case.said(verdict.outcome, f"{verdict.observed}: it can't have resolved", *verdict.evidence)
        last = firings[-1]
        if last.last - start > case.limit:
            return self._too_late(case, start, last)
        return self._ended(case, start, firings)

    def _too_late(self, case: _Case, start: float, last: Firing) -> Verdict:
        late = f"it still fired {case.measured(last.last - start)} after {self.of}"
        return case.said(Outcome.FAIL, late, f"alerts.states at {last.last:.3f}")

    def _ended(self, case: _Case, start: float, firings: list[Firing]) -> Verdict:
        """It was last seen firing within the limit: whether it ended there, and stayed so."""
        watched, ended, last = case.watched, case.record.ended, firings[-1].last
        flaw = _first(watched.silent(last, ended), watched.gone(), watched.not_evaluated(last, ended))
        if flaw is not None:
            return case.flawed(flaw)
        recent = case.history.active(ended - 2 * case.step, ended)
        if recent:
            said = f"it was {recent[-1].state} when the run ended, {watched.say(ended - start)} after {self.of}"
            return case.said(Outcome.UNKNOWN, said, f"alerts.states at {recent[-1].at:.3f}")
        resolved = last + case.step
        fed = watched.fed_since(last, ended)
        if fed > last:
            if ended - fed < watched.hold() + 2 * case.step:
                return case.flawed(watched.not_fed(last, ended) or Flaw(Outcome.UNKNOWN, "it was not fed"))
            resolved = max(resolved, fed)
        return self._resolved(case, start, resolved, firings)

    def _resolved(self, case: _Case, start: float, resolved: float, firings: list[Firing]) -> Verdict:
        last, took = firings[-1].last, resolved - start
        when = f"{case.measured(took)} after" if took >= 0 else f"{case.measured(-took)} before"
        relapses = sum(1 for firing in firings[1:] if firing.began > start)
        again = f", having fired again {relapses} times" if relapses else ""
        notes = [note for note in case.history.notifications("resolved") if note.at >= last]
        told = f"; people were told {_later(case, notes[-1].at - resolved)}" if notes else ""
        said = f"resolved {when} {self.of}{again}{told}"
        evidence = (f"alerts.states at {last:.3f}", *(f"alerts.notifications at {note.at:.3f}" for note in notes[-1:]))
        if took <= case.limit:
            return case.said(Outcome.PASS, said, *evidence)
        return case.said(Outcome.UNKNOWN, f"{said}: it can't be told whether that was within the limit", *evidence)

    def red_under(self, record: Record) -> frozenset[Control]:
        return frozenset({Control.NO_FAULT})


def _later(case: _Case, wall: float) -> str:
    return f"{case.measured(abs(wall))} {'later' if wall >= 0 else 'before'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaysQuiet:
    """The alert was neither pending nor firing in any of `windows`, while users came; with `may_be_pending` it did not
    fire, and may have been pending; with `must_be_pending` as well it was, in each of them."""

    kind: Literal["alert.stays_quiet"] = "alert.stays_quiet"
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    windows: tuple[str, ...]
    may_be_pending: bool = False
    must_be_pending: bool = False

    @property
    def claim(self) -> str:
        said = "does not fire" if self.may_be_pending else "is neither pending nor firing"
        if self.must_be_pending:
            said = "becomes pending, and does not fire,"
        return f"{say_alert(self.name, self.labels)} {said} during {', '.join(self.windows)}"

    def judge(self, record: Record) -> Verdict:
        case = _Case(record, self.claim, self.name, self.labels)
        flaw = case.watched.unread() or case.watched.not_loaded()
        if flaw is not None:
            return case.flawed(flaw)
        verdicts = [self._during(case, window) for window in self.windows]
        outcome = worst(verdict.outcome for verdict in verdicts)
        decisive = next((verdict for verdict in verdicts if verdict.outcome is outcome), None)
        return decisive or case.said(Outcome.UNKNOWN, "no window was named")

    def _during(self, case: _Case, window: str) -> Verdict:
        span, watched = case.record.window(window), case.watched
        if span is None or span.ended is None:
            return case.said(Outcome.UNKNOWN, f"{window} never {'began' if span is None else 'ended'}")
        began, ended = span.began, span.ended
        seen = case.history.active(began, ended)
        active = [one for one in seen if one.state == "firing" or not self.may_be_pending]
        if active:
            state = "firing" if any(one.state == "firing" for one in active) else "pending"
            said = f"it was {state} during {window}, {watched.say(active[0].at - began)} into it"
            return case.said(Outcome.FAIL, said, f"alerts.states at {active[0].at:.3f}")
        if ended - began < 2 * case.step:
            return case.said(
                Outcome.UNKNOWN, f"{window} is too short: Prometheus evaluates every {watched.say(case.step)}"
            )
        flaw = _first(
            watched.silent(began, ended),
            watched.gone(),
            watched.not_evaluated(began, ended),
            watched.not_fed(began, ended),
        )
        if flaw is not None:
            return case.flawed(flaw)
        samples = sorted(case.record.during([span]), key=lambda sample: sample.planned)
        problem = load_problem(case.record) or coverage_problem(case.record, samples, began, ended)
        if problem:
            return case.said(Outcome.UNKNOWN, f"{window}: {problem}, and without users any alert is quiet", "loads")
        if self.must_be_pending and not seen:
            never = f"it was never pending during {window}{case.history.strangers()}"
            return case.said(Outcome.FAIL, never, "alerts.states")
        found = "firing" if self.may_be_pending else "active"
        pending = ", pending at times" if seen else ""
        said = f"no evaluation found it {found}{pending}; all that it reads was scraped, under {len(samples)} requests"
        return case.said(Outcome.PASS, said, "alerts.states")

    def red_under(self, record: Record) -> frozenset[Control]:
        """Silence needs no fault, and what crosses a threshold does."""
        return frozenset({Control.NO_FAULT}) if self.must_be_pending else frozenset()


def _calm_unseen(case: _Case, start: float) -> Flaw | None:
    """Whether there was not a single evaluation before `start` that could have found the alert active."""
    if start - case.watched.began >= 2 * case.step:
        return None
    return Flaw(Outcome.UNKNOWN, "the alert was not watched before: nobody knows whether it was quiet")


def _first(*flaws: Flaw | None) -> Flaw | None:
    return next((flaw for flaw in flaws if flaw is not None), None)
