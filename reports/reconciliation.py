"""Reconciliation: 503s by the system's request log against 503s that the load generator saw, each difference named.

The two count different things. The log has whatever a service answered, to whomever, at the instant at which the
request reached it. The load generator has whatever its users got, from whoever answered. A request of one is a request
of the other where method, path and status are the same and the service's instant lies between sending and answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.model.impact import LoggedRequests
from harness.model.load import Sample
from harness.model.record import Record

REFUSED = 503
# What a template in a request's name looks like: /orders/{id}, /orders/[id], /orders/<id>, /orders/:id.
_TEMPLATE = re.compile(r"\{[^/]*\}|\[[^/]*\]|<[^/]*>|:\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One kind of request. `logged` rows say 503. Of the 503s that users got, `inside` were sent and answered within
    the bounds, `edge` more were under way at one of them: so many rows may be expected. `planned` counts them by the
    instant at which the plan wanted them.

    `otherwise` users of such requests, under way within the bounds, got no answer, or one that only a proxy gives
    (502, 504): a 503 that was meant for one of them is in the log and reached nobody. There are `reached` rows of any
    status; `turned` such requests a proxy says that it answered with 503 by itself.
    """

    name: str
    logged: int
    nobody: int
    planned: int
    inside: int
    edge: int
    otherwise: int
    reached: int
    turned: int

    @property
    def unlogged(self) -> int:
        """503s that users certainly got and that are in no row."""
        return max(0, self.inside - self.logged)

    @property
    def turned_away(self) -> int:
        """As many of `unlogged` as a proxy says that it answered itself."""
        return min(self.unlogged, self.turned)

    @property
    def unseen(self) -> int:
        """Rows of a 503 that no user of the load generator got."""
        return max(0, self.logged - self.inside - self.edge)

    @property
    def given_up(self) -> int:
        """As many of `unseen` as may have been answers to users who had got something else by then."""
        return min(self.unseen, self.otherwise)

    @property
    def in_no_row(self) -> int:
        """As many of `unlogged` as no proxy accounts for."""
        return self.unlogged - self.turned_away

    @property
    def for_nobody(self) -> int:
        """As many of `unseen` as nobody can have got."""
        return self.unseen - self.given_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The comparison within `began` and `ended`. `others` are rows of a 503 on requests that the load generator never
    makes: probes, health checks, orders, faults. `lost` rows of any kind could not be kept, as the services say
    themselves. `never_reached` requests of users ended, within the bounds, without any answer of a service: refused,
    cut, or 502 and 504 of a proxy; no log of a service can tell whose they were."""

    began: float
    ended: float
    compared: tuple[Compared, ...]
    others: tuple[LoggedRequests, ...]
    lost: int
    never_reached: int

    @property
    def logged(self) -> int:
        return sum(each.logged for each in self.compared) + self.of_others

    @property
    def of_others(self) -> int:
        return sum(each.in_incident for each in self.others)

    @property
    def planned(self) -> int:
        return sum(each.planned for each in self.compared)

    @property
    def unexplained(self) -> int:
        """Rows, or answers, for which nothing in the record accounts."""
        return self.in_no_row - self.not_kept + sum(each.for_nobody for each in self.compared)

    @property
    def in_no_row(self) -> int:
        """503s that users got, and that are in no row."""
        return sum(each.in_no_row for each in self.compared)

    @property
    def not_kept(self) -> int:
        """As many of those as may be among the rows that were lost."""
        return min(self.in_no_row, self.lost)


def reconcile(record: Record) -> Reconciliation | None:
    """The comparison for the incident of `record`; None where its log was not read, or there was no incident."""
    impact = record.impact
    if impact is None or impact.began is None or impact.ended is None or not impact.logged:
        return None
    # A stamp is cut to what it resolves: the last row that is in was begun just before the next stamp.
    began, ended = impact.began, impact.ended + (impact.resolution or 0.0)
    names = sorted({sample.name for sample in record.samples})
    rows, turned = _by_name(impact.logged, names), _by_name(impact.turned_away, names)
    span = (began, ended)
    under_way = [sample for sample in record.samples if sample.sent <= ended and _last(sample) >= began]
    return Reconciliation(
        began=began,
        ended=ended,
        compared=tuple(
            _compared(name, [s for s in under_way if s.name == name], record.samples, rows[name], turned[name], span)
            for name in names
        ),
        others=tuple(row for row in rows[""] if row.status == REFUSED and row.in_incident),
        lost=sum(impact.lost.values()),
        never_reached=sum(1 for s in under_way if began <= s.planned < ended and not _by_a_service(s)),
    )


def whole_run(record: Record) -> Reconciliation | None:
    """The same comparison over the whole run, where no request is under way at an edge; None where the log was not
    read."""
    impact = record.impact
    if impact is None or not impact.logged:
        return None
    rows, turned = (
        tuple(replace(row, in_incident=row.in_run, nobody=0) for row in each)
        for each in (impact.logged, impact.turned_away)
    )
    whole = replace(impact, began=record.began, ended=record.ended, resolution=0.0, logged=rows, turned_away=turned)
    return reconcile(replace(record, impact=whole))


def _compared(
    name: str,
    under_way: Sequence[Sample],
    samples: Iterable[Sample],
    rows: Sequence[LoggedRequests],
    turned: Sequence[LoggedRequests],
    span: tuple[float, float],
) -> Compared:
    began, ended = span
    refused = [sample for sample in under_way if sample.status == REFUSED]
    inside = sum(1 for sample in refused if sample.sent >= began and _last(sample) <= ended)
    return Compared(
        name=name,
        logged=sum(row.in_incident for row in rows if row.status == REFUSED),
        nobody=sum(row.nobody for row in rows if row.status == REFUSED),
        planned=sum(1 for s in samples if s.name == name and s.status == REFUSED and began <= s.planned < ended),
        inside=inside,
        edge=len(refused) - inside,
        otherwise=sum(1 for sample in under_way if not _by_a_service(sample)),
        reached=sum(row.in_incident for row in rows),
        turned=sum(row.in_incident for row in turned if row.status == REFUSED),
    )


def _by_a_service(sample: Sample) -> bool:
    """Whether the user got an answer that a service gave, as far as its status tells."""
    return sample.ended is not None and sample.status not in (0, 502, 504)


def _last(sample: Sample) -> float:
    """Until when the request was under way, as far as we watched."""
    end = sample.ended if sample.ended is not None else sample.censored
    return end if end is not None else sample.sent


def _by_name(logged: Iterable[LoggedRequests], names: Sequence[str]) -> dict[str, list[LoggedRequests]]:
    """The rows by the name that the load generator has for such a request; under an empty name those it never makes."""
    patterns = [(name, re.compile(_pattern(name))) for name in names]
    # The most exact name first: /orders/report is not an {id} where it has a name of its own.
    patterns.sort(key=lambda each: (len(_TEMPLATE.findall(each[0])), each[0]))
    found: dict[str, list[LoggedRequests]] = {"": [], **{name: [] for name in names}}
    for row in logged:
        request = f"{row.method} {row.path}"
        found[next((name for name, pattern in patterns if pattern.fullmatch(request)), "")].append(row)
    return found


def _pattern(name: str) -> str:
    """A regular expression for what a log calls the requests called `name`, by method and path; a name without a method
    stands for any, a query string is not in a log's path."""
    method, _, path = name.rpartition(" ")
    path = path.partition("?")[0]
    return (re.escape(method) if method else r"\S+") + " " + "".join(_segments(path))


def _segments(path: str) -> Iterator[str]:
    at = 0
    for match in _TEMPLATE.finditer(path):
        yield re.escape(path[at : match.start()])
        yield "[^/]+"
        at = match.end()
    yield re.escape(path[at:])
