"""Load: arrivals as a pure function of elapsed time, and what became of each request."""

from __future__ import annotations

import csv
import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from harness.model.units import say_duration

Spacing = Literal["even", "poisson"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. `planned` is the instant at which the plan wanted it, `sent` when it really left, `ended` when
    its answer was complete (None: it was still unanswered when the load ended; `censored` is then when we stopped
    watching). Instants are wall seconds since the epoch.

    `status` is the HTTP status, 0 where no answer came. `ok` is true where the answer was the right one by the
    user's own standard (body included), so a quick wrong answer never looks like success. `error` says why not.
    """

    planned: float
    sent: float
    ended: float | None
    name: str
    status: int
    ok: bool
    error: str = ""
    censored: float | None = None

    @property
    def latency(self) -> float | None:
        """Seconds from the planned instant to the end of the answer; None while unanswered."""
        return None if self.ended is None else self.ended - self.planned

    @property
    def at_least(self) -> float:
        """The latency, or, for an unanswered request, how long it had been waiting when we stopped watching."""
        end = self.ended if self.ended is not None else self.censored
        return max(0.0, (end if end is not None else self.sent) - self.planned)


# -- samples as lines of a file ----------------------------------------------------------------------------------

SAMPLES_HEADER = "gameday-samples,1"  # the first line of the file: what it is, and the version of its format
SAMPLES_COLUMNS = "planned,sent,ended,censored,status,ok,name,error"  # the second line


def sample_line(sample: Sample) -> str:
    """`sample` as one line of a samples file, without its end: CSV, instants to the microsecond, empty for None.

    Control characters in its texts (a line end above all) become spaces: one sample is one line, always.
    """
    instants = (sample.planned, sample.sent, sample.ended, sample.censored)
    numbers = ["" if instant is None else f"{instant:.6f}" for instant in instants]
    return ",".join([*numbers, str(sample.status), str(int(sample.ok)), _quoted(sample.name), _quoted(sample.error)])


def parse_sample(line: str) -> Sample:
    """The sample that `sample_line` wrote. Raises ValueError, saying what is wrong, for anything it would not write."""
    try:
        fields = next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if len(fields) != SAMPLES_COLUMNS.count(",") + 1:
        raise ValueError(f"{len(fields)} fields instead of {SAMPLES_COLUMNS.count(',') + 1}")
    planned, sent = float(fields[0]), float(fields[1])
    ended, censored = (float(each) if each else None for each in fields[2:4])
    status, ok = int(fields[4]), fields[5]
    if (ended is None) == (censored is None):
        raise ValueError("a request either ended or was still open when we stopped watching, never both")
    last = ended if ended is not None else censored
    if last is None or not (math.isfinite(planned) and math.isfinite(last) and planned <= sent <= last):
        raise ValueError(f"planned {fields[0]}, sent {fields[1]} and ended {last} are not in this order")
    if ok not in ("0", "1") or not 0 <= status <= 999 or (ok == "1" and ended is None):
        raise ValueError(f"status {status} with ok {ok!r} is not possible")
    return Sample(
        planned=planned,
        sent=sent,
        ended=ended,
        name=fields[6],
        status=status,
        ok=ok == "1",
        error=fields[7],
        censored=censored,
    )


def _quoted(text: str) -> str:
    """`text` as a CSV field on one line."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    return f'"{plain.replace(chr(34), chr(34) * 2)}"' if set(plain) & set(',"') else plain


# -- the plan ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stretch of a plan: the rate goes from `start` to `end` (per second) along a straight line over `duration`.

    A `duration` of None lasts until the load is stopped; such a stage holds its rate.
    """

    start: float
    end: float
    duration: timedelta | None = None

    @property
    def peak(self) -> float:
        """The highest rate in this stage, per second."""
        return max(self.start, self.end)

    def rate(self, elapsed: float) -> float:
        """The rate `elapsed` seconds into this stage, per second."""
        if self.duration is None or self.start == self.end:
            return self.start
        return self.start + (self.end - self.start) * elapsed / self.duration.total_seconds()

    def expected(self, elapsed: float) -> float:
        """Arrivals in the first `elapsed` seconds of this stage: the exact integral of its rate."""
        return elapsed * (self.start + self.rate(elapsed)) / 2

    def reached(self, count: float) -> float:
        """Seconds into this stage until `count` arrivals are expected: the inverse of `expected`; inf for never.

        The positive root of `count = start·t + slope·t²/2`, in the form that does not cancel where the slope is small.
        """
        if count <= 0:
            return 0.0
        slope = 0.0 if self.duration is None else (self.end - self.start) / self.duration.total_seconds()
        under_root = self.start**2 + 2 * slope * count
        divisor = self.start + math.sqrt(max(0.0, under_root))
        return 2 * count / divisor if divisor > 0 else math.inf

    def __str__(self) -> str:
        lasting = "" if self.duration is None else f" for {say_duration(self.duration)}"
        if self.duration is None or self.start == self.end:
            return f"{self.start:g}/s{lasting}"
        return f"{self.start:g}/s to {self.end:g}/s over {say_duration(self.duration)}"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When users arrive, as stages in runbook time: an open model, so arrivals do not wait for answers.

    After the last stage nobody arrives; a stage without a duration lasts until the load is stopped. Rates are per wall
    second and never scaled; `scaled` divides durations only. `even` spacing puts arrival k where k + ½ arrivals are
    expected, so that the count up to any instant is the expected one, rounded; `poisson` draws independent arrivals
    (unit exponential steps along the same expectation).

    >>> str(Arrivals.ramp(to=40, over=timedelta(seconds=30)).then_hold(timedelta(minutes=6)))
    '0/s to 40/s over 30 s, 40/s for 6 min (open model)'
    """

    stages: tuple[Stage, ...]
    spacing: Spacing = "even"

    # -- making one ----------------------------------------------------------------------------------------------

    @classmethod
    def constant(cls, per_second: float, *, lasting: timedelta | None = None) -> Arrivals:
        """The same rate all along, until the load is stopped or for `lasting`."""
        return cls((Stage(start=per_second, end=per_second, duration=lasting),))

    @classmethod
    def ramp(cls, *, to: float, over: timedelta, start: float = 0.0) -> Arrivals:
        """From `start` to `to` per second along a straight line. It ends there unless something follows."""
        return cls((Stage(start=start, end=to, duration=over),))

    @classmethod
    def steps(cls, rates: Sequence[float], *, each: timedelta) -> Arrivals:
        """One rate after the other, each held for `each`."""
        return cls(tuple(Stage(start=rate, end=rate, duration=each) for rate in rates))

    def then_hold(self, lasting: timedelta | None = None) -> Arrivals:
        """Then keep the rate reached so far for `lasting`, or until the load is stopped."""
        reached = self._last_rate()
        return replace(self, stages=(*self.stages, Stage(start=reached, end=reached, duration=lasting)))

    def then_ramp(self, *, to: float, over: timedelta) -> Arrivals:
        """Then go from the rate reached so far to `to` along a straight line."""
        return replace(self, stages=(*self.stages, Stage(start=self._last_rate(), end=to, duration=over)))

    def then_constant(self, per_second: float, *, lasting: timedelta | None = None) -> Arrivals:
        """Then jump to another rate and hold it."""
        return replace(self, stages=(*self.stages, Stage(start=per_second, end=per_second, duration=lasting)))

    def as_poisson(self) -> Arrivals:
        """The same plan with independent arrivals instead of evenly spaced ones."""
        return replace(self, spacing="poisson")

    def scaled(self, time_scale: float) -> Arrivals:
        """The same plan in wall time: durations divided by `time_scale`, rates untouched."""
        return replace(self, stages=tuple(_scaled(stage, time_scale) for stage in self.stages))

    def _last_rate(self) -> float:
        return self.stages[-1].end if self.stages else 0.0

    # -- asking it -----------------------------------------------------------------------------------------------

    @property
    def duration(self) -> timedelta | None:
        """How long it lasts; None where only stopping the load ends it."""
        lengths = [stage.duration for stage in self.stages]
        return None if None in lengths else sum((each for each in lengths if each is not None), timedelta())

    @property
    def peak(self) -> float:
        """The highest rate it ever calls for, per second."""
        return max((stage.peak for stage in self.stages), default=0.0)

    def rate_at(self, elapsed: timedelta) -> float:
        """Arrivals per second at `elapsed`; where two stages meet, the later one counts. 0 before and after."""
        rest = elapsed.total_seconds()
        if rest < 0:
            return 0.0
        for stage in self.stages:
            if rest < _length(stage):
                return stage.rate(rest)
            rest -= _length(stage)
        return 0.0

    def expected(self, elapsed: timedelta) -> float:
        """Arrivals expected from the start until `elapsed`: the exact integral of `rate_at`."""
        rest = max(0.0, elapsed.total_seconds())
        total = 0.0
        for stage in self.stages:
            total += stage.expected(min(rest, _length(stage)))
            rest -= _length(stage)
            if rest <= 0:
                break
        return total

    def times(self, until: timedelta | None = None, seed: int = 0) -> Iterator[float]:
        """The arrivals, in seconds from the start, oldest first, those before `until` (None: all, maybe endless).

        `seed` decides a Poisson plan's draws; the same seed gives the same arrivals. Evenly spaced plans ignore it.
        """
        limit = math.inf if until is None else until.total_seconds()
        began = 0.0
        before = 0.0
        counts = self._counts(seed)
        count = next(counts)
        for stage in self.stages:
            length = _length(stage)
            whole = stage.expected(length) if stage.peak > 0 else 0.0  # nobody at all in a pause, even an endless one
            while count < before + whole:
                at = began + min(stage.reached(count - before), length)
                if at >= limit:
                    return
                yield at
                count = next(counts)
            if math.isinf(length):
                return
            began += length
            before += whole

    def count(self, until: timedelta, seed: int = 0) -> int:
        """How many arrivals the plan calls for before `until`."""
        return sum(1 for _ in self.times(until, seed))

    def _counts(self, seed: int) -> Iterator[float]:
        """Where along the expectation each arrival stands."""
        if self.spacing == "even":
            yield from (k + 0.5 for k in itertools.count())
        draw = random.Random(seed)  # noqa: S311 - a load plan must be repeatable, not unguessable
        total = 0.0
        while True:
            total += draw.expovariate(1.0)
            yield total

    def problems(self) -> list[str]:
        """Everything wrong with this plan, in plain words; empty if it is fine."""
        found = [] if self.stages else ["the load plan has no stage"]
        if self.spacing not in ("even", "poisson"):
            found.append(f"spacing {self.spacing!r} is neither even nor poisson")
        for number, stage in enumerate(self.stages, start=1):
            found += [f"stage {number} of the load plan: {text}" for text in _stage_problems(stage)]
            if stage.duration is None and number < len(self.stages):
                found.append(f"stage {number} of the load plan never ends, so stage {number + 1} never begins")
        if self.stages and not found and self.peak == 0:
            found.append("the load plan calls for no arrival at all")
        return found

    # -- as JSON -------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """As a JSON mapping; durations in seconds."""
        return {
            "spacing": self.spacing,
            "stages": [
                {
                    "start": stage.start,
                    "end": stage.end,
                    "duration": None if stage.duration is None else stage.duration.total_seconds(),
                }
                for stage in self.stages
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Arrivals:
        """The plan that `to_json` wrote. Raises ValueError, naming everything that is wrong with it."""
        try:
            stages = tuple(
                Stage(
                    start=float(each["start"]),
                    end=float(each["end"]),
                    duration=None if each["duration"] is None else timedelta(seconds=float(each["duration"])),
                )
                for each in data["stages"]
            )
            plan = cls(stages, spacing=data["spacing"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"this is not a load plan: {error!r}") from error
        if problems := plan.problems():
            raise ValueError("; ".join(problems))
        return plan

    def __str__(self) -> str:
        model = "open model" if self.spacing == "even" else "open model, Poisson"
        return f"{', '.join(map(str, self.stages)) or 'nothing'} ({model})"


def _length(stage: Stage) -> float:
    """A stage's duration in seconds; inf where it never ends."""
    return math.inf if stage.duration is None else stage.duration.total_seconds()


def _scaled(stage: Stage, time_scale: float) -> Stage:
    return stage if stage.duration is None else replace(stage, duration=stage.duration / time_scale)


def _stage_problems(stage: Stage) -> list[str]:
    """What is wrong with one stage."""
    found = [
        f"a rate of {rate:g}/s is not possible"
        for rate in dict.fromkeys((stage.start, stage.end))
        if not (math.isfinite(rate) and rate >= 0)
    ]
    if stage.duration is None and stage.start != stage.end:
        found.append("a ramp needs a duration")
    if stage.duration is not None and stage.duration <= timedelta():
        found.append(f"a duration of {say_duration(stage.duration)} is not possible")
    return found
