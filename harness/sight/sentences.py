"""Sentences: what a rule misses, in words for somebody who will never read the rule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from harness.model.blindspots import Delay, Shortest
from harness.model.units import say_duration, say_ratio
from harness.sight.shape import Above, Below, Counter, Down, Gone, Share, Slow
from harness.sight.states import Watched


def least(rule: Watched) -> float | None:
    """How many failing requests a second a group of series needs, for it to be more than enough once it has lasted
    the whole range; None where the rule does not count requests."""
    if not isinstance(rule.shape, Above):
        return None
    counter, limit = rule.shape.counter, rule.shape.limit
    return limit.bound / counter.length if counter.function == "increase" else limit.bound


def sentences(rule: Watched, traffic: float, shortest: Sequence[Shortest], detected: Delay) -> Iterator[str]:
    """The sentences: what is never seen, and how late the rest is. `detected` is when a total outage at `traffic`
    requests a second is."""
    match rule.shape:
        case Above(counter, limit):
            yield from _of_failures(least(rule) or 0.0, counter, traffic, strict=limit.sign == ">")
        case Share(part, _, limit):
            part_said = f"{say_ratio(limit.bound)} {'or less' if limit.sign == '>' else '(and not quite that)'}"
            yield f"Where {part_said} of the requests fail nobody is ever paged, however many those are.{_apart(part)}"
            yield "Where nobody answers at all there is nothing to count: 0 / 0 is no share, and nobody is paged."
        case Slow(quantile, counter, limit):
            yield (
                f"While no more than {say_ratio(1 - quantile)} of the answers take longer than {limit.bound:g} s, "
                f"nobody is ever paged, however long those take.{_apart(counter)}"
            )
            yield (
                f"A request that never ends is not counted. ({limit.bound:g} is taken for the bound of a bucket, "
                "and not of the highest: between bounds a quantile is a guess, and it never exceeds the highest.)"
            )
        case Below(_, limit):
            few = "a single request comes" if limit.bound == 0 else f"more than {limit.bound:g} come"
            yield f"While {few} in every {say_duration(rule.memory)} nobody is paged, whatever comes of them."
        case Down():
            yield "Nobody is ever paged while whatever is scraped still answers, however badly users are served."
        case Gone():
            yield "Nobody is ever paged while one series is left: of several instances all must be gone."
    yield from _of_time(_total(rule, traffic), shortest[-1] if shortest else None, detected)


def _total(rule: Watched, traffic: float) -> str:
    match rule.shape:
        case Above() | Share():
            return f"A total outage at {traffic:g} requests a second"
        case Below():
            return f"That nobody comes, where {traffic:g} a second did,"
        case Slow():
            return f"That all answers are too slow, at {traffic:g} requests a second,"
        case Down():
            return "A target that can't be scraped"
        case Gone():
            return "The loss of all series"


def _of_failures(needed: float, counter: Counter, traffic: float, *, strict: bool) -> Iterator[str]:
    group = "in all" if counter.summed and not counter.apart else "on one endpoint, worker and method (one series)"
    group = f"in one group ({counter.grouped()})" if counter.summed and counter.grouped() else group
    at_most = "With" if strict else "Below"
    said = (
        f"{at_most} {needed:.3g} failing requests a second {'or fewer ' if strict else ''}{group} nobody is ever paged"
    )
    if needed >= traffic:
        yield f"{said}, however long it lasts: at {traffic:g} requests a second that is every outage, a total one too."
        return
    part = f"{say_ratio(needed / traffic)}{' or less' if strict else ' (and not quite that)'}"
    yield f"{said}, however long it lasts: at {traffic:g} requests a second that is every outage of {part} of them."
    if not counter.summed:
        count = math.ceil(traffic / needed) if strict else math.floor(traffic / needed) + 1
        yield (
            f"A total outage at {traffic:g} requests a second that is spread evenly over {count} or more series "
            "(paths, methods, workers) pages nobody: no sum() is taken."
        )


def _apart(counter: Counter) -> str:
    grouped = counter.grouped()
    return f" Each {grouped} is judged by itself." if grouped else ""


def _of_time(what: str, total: Shortest | None, detected: Delay) -> Iterator[str]:
    if total is None or total.length.best is None or detected.best is None:
        yield f"{what} pages nobody."
        return
    worst = total.length.worst
    sure = "not for certain even then" if worst is None else f"for certain from {say_duration(round(worst))} on"
    after = "" if total.fires_on.never else f", and still {say_between(total.fires_on)} after its end"
    yield f"{what} pages somebody once it lasts {say_duration(round(total.length.best))}, {sure}."
    yield f"The alert fires {say_between(detected)} after it began{after}."


def say_between(delay: Delay) -> str:
    """`3 min 38 s to 4 min`; with `or never` where it does not happen in every phase."""
    if delay.best is None:
        return "never"
    low = say_duration(round(delay.best))
    if delay.worst is None:
        return f"{low}, or never"
    high = say_duration(round(delay.worst))
    return low if low == high else f"{low} to {high}"
