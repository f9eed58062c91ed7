"""Whatever a user's task does, each of its requests becomes exactly one sample, and no arrival goes uncounted."""

from __future__ import annotations

import pytest

from harness.model.load import Sample
from loadtests.arrival import Arrival, named, said


class Scene:
    """An arrival planned for 100.0, a clock set by hand, and the samples that were kept."""

    def __init__(self) -> None:
        self.at = 100.0
        self.kept: list[Sample] = []
        self.arrival = Arrival(100.0, "User.task", now=lambda: self.at, keep=self.kept.append)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_first_request_counts_from_the_planned_instant_and_later_ones_from_their_own(scene: Scene) -> None:
    """The user arrived when the plan said; for its second request the system has not been kept waiting."""
    for sent, ended in [(100.5, 101.0), (103.0, 103.2)]:
        scene.at = sent
        request = scene.arrival.sends("GET /")
        scene.at = ended
        request.answered()
        scene.at += 5.0  # the user's own reading of the answer is not latency
        scene.arrival.reports(request, 200, "")
    scene.arrival.ends("")
    assert [(s.planned, s.sent, s.ended) for s in scene.kept] == [(100.0, 100.5, 101.0), (103.0, 103.0, 103.2)]
    assert all(s.ok for s in scene.kept)


def test_a_task_that_fails_after_a_good_answer_makes_it_a_failure(scene: Scene) -> None:
    """An assertion of the user's about a 200 is the user's own standard; the answers before stay good."""
    for _ in range(2):
        scene.arrival.reports(scene.arrival.sends("GET /"), 200, "")
    scene.arrival.ends("AssertionError: wrong price")
    assert [(s.ok, s.status, s.error) for s in scene.kept] == [
        (True, 200, ""),
        (False, 200, "AssertionError: wrong price"),
    ]


def test_an_answer_that_the_task_never_judged_is_no_success(scene: Scene) -> None:
    """`catch_response` without a with-block reports nothing; Locust would count nothing at all."""
    request = scene.arrival.sends("GET /")
    request.status = 200
    request.answered()
    scene.arrival.ends("")
    (kept,) = scene.kept
    assert (kept.ok, kept.status, kept.error) == (False, 200, "the user's task never judged this answer")


@pytest.mark.parametrize("error", ["", "KeyError: 'x'"])
def test_an_arrival_without_a_request_is_counted_as_a_failure(scene: Scene, error: str) -> None:
    """Nobody is served by a task that breaks before it asks."""
    scene.at = 101.0
    scene.arrival.ends(error)
    (kept,) = scene.kept
    assert (kept.name, kept.ok, kept.status, kept.error) == ("User.task", False, 0, error or "the task made no request")
    assert kept.latency == 1.0


def test_what_is_open_at_the_end_is_kept_as_unanswered(scene: Scene) -> None:
    """Answered requests stay as they are, open ones end when we stop watching, and what comes later is not kept."""
    scene.arrival.reports(scene.arrival.sends("GET /a"), 200, "")
    late = scene.arrival.sends("GET /b")
    scene.at = 107.0
    scene.arrival.breaks_off()
    scene.arrival.reports(late, 200, "")
    scene.arrival.reports(scene.arrival.sends("GET /c"), 200, "")
    scene.arrival.ends("")
    assert [(s.name, s.ended is None, s.censored, s.ok) for s in scene.kept] == [
        ("GET /a", False, None, True),
        ("GET /b", True, 107.0, False),
    ]
    assert scene.kept[1].at_least == 7.0


def test_an_arrival_that_has_not_asked_yet_is_unanswered_too(scene: Scene) -> None:
    """A user still at its log-in, say, has been waiting since it arrived."""
    scene.at = 103.0
    scene.arrival.breaks_off()
    (kept,) = scene.kept
    assert (kept.planned, kept.ended, kept.censored) == (100.0, None, 103.0)


def test_a_request_is_reported_once(scene: Scene) -> None:
    """A second report of the same request changes nothing."""
    request = scene.arrival.sends("GET /")
    scene.arrival.reports(request, 200, "")
    scene.arrival.reports(request, 500, "again")
    scene.arrival.ends("")
    assert [(s.status, s.ok) for s in scene.kept] == [(200, True)]


def test_other_clients_are_counted_from_how_long_they_took(scene: Scene) -> None:
    """A client that only reports its response time: the first counts from the plan, the second by itself."""
    for at in (101.0, 105.0):
        scene.at = at
        scene.arrival.reports_other("grpc hello", 0.25, "")
    scene.arrival.ends("")
    assert [(s.planned, s.sent, s.ended) for s in scene.kept] == [(100.0, 100.75, 101.0), (104.75, 104.75, 105.0)]


@pytest.mark.parametrize(
    ("method", "name", "full"),
    [("GET", "/", "GET /"), ("POST", "POST /chat", "POST /chat"), ("GET", "GETTER", "GET GETTER")],
)
def test_a_request_is_called_by_its_method_and_its_name(method: str, name: str, full: str) -> None:
    """Unless its user gave it the method already."""
    assert named(method, name) == full


def test_errors_are_said_in_one_short_line() -> None:
    """A bad status by its number, an exception by its kind, anything long cut."""
    bad_status = type("LocustBadStatusCode", (Exception,), {})
    assert said(bad_status("http://…"), 503) == "HTTP 503"
    assert said(ConnectionRefusedError("no")) == "ConnectionRefusedError: no"
    assert said(TimeoutError()) == "TimeoutError: TimeoutError"
    assert len(said("x" * 5000)) == 200
    assert said(None) == ""
