"""The log's 503s against the load generator's, difference by difference."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model.impact import ImpactEvidence, Incident, LoggedRequests
from harness.model.load import Sample
from harness.model.record import Record
from reports.reconciliation import Compared, reconcile, whole_run
from tests.reports import outage

BEGAN, ENDED = outage.BEGAN + 10, outage.BEGAN + 20


def _got(sent: float, ended: float | None, status: int = 503, name: str = "GET /orders/{id}") -> Sample:
    """A request sent and answered so many seconds after the incident began."""
    at = BEGAN + sent
    end = None if ended is None else BEGAN + ended
    return Sample(at - 0.001, at, end, name, status, ok=status == 200, censored=ENDED + 9 if end is None else None)


def _rows(
    inside: int, status: int = 503, *, request: str = "GET /orders/7", run: int | None = None
) -> LoggedRequests:  # fmt: skip
    method, path = request.split()
    return LoggedRequests(
        database="web:/web.db", method=method, path=path, status=status,
        in_run=inside if run is None else run, in_incident=inside, nobody=0,
    )  # fmt: skip


def _run(
    samples: list[Sample], *rows: LoggedRequests, turned: tuple[LoggedRequests, ...] = (), lost: int = 0
) -> Record:
    incident = Incident(began=BEGAN, began_by="the first fault", ended=ENDED, ended_by="the end of the fault")
    impact = ImpactEvidence(
        incident=incident, databases=("web:/web.db",), began=BEGAN, ended=ENDED, resolution=0.001, logged=rows,
        turned_away=turned, lost={"web:/web.db": lost},
    )  # fmt: skip
    return replace(outage.record(), samples=tuple(samples), impact=impact)


def _only(record: Record) -> Compared:
    done = reconcile(record)
    assert done is not None
    (only,) = done.compared
    return only


def test_equal_counts_leave_nothing_open() -> None:
    """As many rows as answers inside the bounds agree."""
    only = _only(_run([_got(1, 1.1), _got(2, 2.1)], _rows(2)))
    assert (only.logged, only.inside, only.edge, only.in_no_row, only.for_nobody) == (2, 2, 0, 0, 0)


@pytest.mark.parametrize(("rows", "unexplained"), [(0, 1), (1, 0), (2, 0), (3, 0), (4, 1)])
def test_what_is_under_way_at_a_bound_may_be_in_or_out(rows: int, unexplained: int) -> None:
    """Two requests under way, one at each bound, may be in the log's bounds or not; one further off may not."""
    samples = [_got(-0.5, 0.5), _got(5, 5.1), _got(9.9, 10.2)]
    only = _only(_run(samples, _rows(rows)))
    assert (only.inside, only.edge, only.in_no_row + only.for_nobody) == (1, 2, unexplained)


def test_a_503_that_is_in_no_row_is_unexplained() -> None:
    """An answer of 503 without a row is never explained by a guess."""
    assert _only(_run([_got(1, 1.1)], _rows(5, status=200))).in_no_row == 1


@pytest.mark.parametrize(("lost", "unexplained"), [(0, 2), (1, 1), (2, 0), (9, 0)])
def test_rows_that_were_lost_explain_as_many_503s(lost: int, unexplained: int) -> None:
    """As many 503s in no row may be lost rows as the service says that it lost; no row is explained by that."""
    done = reconcile(_run([_got(1, 1.1), _got(2, 2.1)], _rows(5, status=200), lost=lost))
    assert done is not None
    assert (done.in_no_row, done.unexplained) == (2, unexplained)
    beyond = reconcile(_run([_got(1, 1.1)], _rows(3), lost=lost))
    assert beyond is not None
    assert beyond.unexplained == 2


def test_a_503_of_the_proxy_never_reached_a_service() -> None:
    """As many missing rows are explained as the proxy says that it answered; the rest stays open."""
    turned = (_rows(2, request="GET /orders/9"), _rows(8, request="GET /carts"))
    only = _only(_run([_got(1, 1.1), _got(2, 2.1), _got(3, 3.1)], _rows(0), turned=turned))
    assert (only.turned_away, only.in_no_row) == (2, 1)


@pytest.mark.parametrize(
    ("other", "explained"),
    [
        (_got(1, 1.1, status=504), 1),
        (_got(1, 1.1, status=502), 1),
        (_got(1, 1.1, status=0), 1),
        (_got(1, None, status=0), 1),
        (_got(1, 1.1, status=500), 0),
        (_got(1, 1.1, status=200), 0),
        (_got(15, 15.1, status=504), 0),  # after the incident
        (_got(1, 1.1, status=504, name="GET /carts"), 0),
    ],
)
def test_a_row_nobody_got_may_have_been_for_somebody_who_had_gone(other: Sample, explained: int) -> None:
    """A 503 in the log is explained by a user of such a request who had got no service's answer, and by no other."""
    done = reconcile(_run([_got(2, 2.1), other], _rows(2)))
    assert done is not None
    orders = next(each for each in done.compared if each.name == "GET /orders/{id}")
    assert (orders.given_up, orders.for_nobody) == (explained, 1 - explained)


def test_what_no_user_asks_is_of_others() -> None:
    """A 503 on a request that the load generator never makes is told apart, and part of the log's count."""
    done = reconcile(
        _run([_got(1, 1.1)], _rows(1), _rows(4, request="GET /health"), _rows(2, request="POST /orders/7"))
    )
    assert done is not None
    assert [(other.path, other.in_incident) for other in done.others] == [("/health", 4), ("/orders/7", 2)]
    assert (done.logged, done.of_others, done.unexplained) == (7, 6, 0)


def test_the_most_exact_name_has_the_row() -> None:
    """A path with a name of its own is not taken for another's placeholder."""
    samples = [_got(1, 1.1, name="GET /orders/[id]"), _got(1, 1.1, name="GET /orders/report")]
    done = reconcile(_run(samples, _rows(1), _rows(1, request="GET /orders/report")))
    assert done is not None
    assert [(each.name, each.logged) for each in done.compared] == [("GET /orders/[id]", 1), ("GET /orders/report", 1)]


@pytest.mark.parametrize(
    ("name", "request_", "same"),
    [
        ("GET /orders/[id]", "GET /orders/7", True),
        ("GET /orders/<id>", "GET /orders/7", True),
        ("GET /orders/:id/lines", "GET /orders/7/lines", True),
        ("/orders/{id}", "PUT /orders/7", True),
        ("GET /orders?page=2", "GET /orders", True),
        ("GET /orders/{id}", "GET /orders/7/lines", False),
        ("GET /orders/{id}", "POST /orders/7", False),
        ("GET /orders.json", "GET /ordersxjson", False),
    ],
)
def test_names_are_matched_by_method_and_path(name: str, request_: str, same: bool) -> None:
    """A name with placeholders stands for the paths that fit it, and for no others."""
    done = reconcile(_run([_got(1, 1.1, name=name)], _rows(1, request=request_)))
    assert done is not None
    assert (done.of_others == 0) is same


def test_the_whole_run_has_no_edges() -> None:
    """Over the whole run every 503 counts, those outside the incident too."""
    run = _run([_got(-5, -4), _got(1, 1.1), _got(9.9, 10.2)], _rows(2, run=3))
    whole = whole_run(run)
    assert whole is not None
    assert [(each.logged, each.inside, each.edge) for each in whole.compared] == [(3, 3, 0)]
    assert whole.unexplained == 0


def test_without_a_log_there_is_nothing_to_compare() -> None:
    """Where the log was not read, or there was no incident, there is no comparison, not an empty one."""
    assert reconcile(outage.record()) is None
    bare = _run([_got(1, 1.1)], _rows(1))
    assert bare.impact is not None
    assert reconcile(replace(bare, impact=replace(bare.impact, began=None, ended=None))) is None


def test_what_never_reached_a_service_is_counted() -> None:
    """Requests planned in the incident that ended without a service's answer are counted, whatever they were."""
    samples = [_got(1, 1.1, status=502), _got(2, None, status=0), _got(3, 3.1, status=500), _got(11, 11.1, status=504)]
    done = reconcile(_run(samples, _rows(0)))
    assert done is not None
    assert done.never_reached == 2
