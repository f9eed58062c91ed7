"""Series are put together again from a record, and go on as they were."""

from __future__ import annotations

from harness.model.record import Series, WholeMetrics
from harness.mutation.series import Track, tracks, went_on
from tests.mutation.incident import API, UP, incident

X = {"__name__": "x", **API}


def restored(*points: tuple[float, float]) -> dict[float, float | None]:
    record = incident(inputs={"Down": (Series(labels=X, points=points),)})
    (track,) = [one for one in tracks(record) if one.labels["__name__"] == "x"]
    return dict(track.points)


def test_what_stood_still_is_filled_in() -> None:
    """Between two samples that are alike there was one at every good scrape, at its instant."""
    found = restored((1000.0, 3.0), (1010.0, 3.0), (1010.25, 4.0))
    assert found[1005.5] == 3.0
    assert found[1010.25] == 4.0


def test_an_end_is_marked() -> None:
    """A series ends where its target could not be scraped, and where a good scrape no longer had it."""
    found = restored((1000.0, 3.0), (1019.75, 3.0), (1023.0, 0.0), (1030.0, 0.0))
    assert found[1020.0] is None
    assert found[1023.0] == 0.0
    assert found[1030.25] is None
    assert 999.75 not in found


def test_all_that_is_known_of_a_series_is_one() -> None:
    """What the whole metrics hold from before the run comes before what the inputs hold of it."""
    early = Series(labels={"__name__": "up", **API}, points=((990.0, 1.0),))
    record = incident(whole=WholeMetrics(since=900.0, metrics=("up",), series=(early,)))
    found = [one for one in tracks(record) if one.labels == UP[0].labels]
    assert len(found) == 1
    assert found[0].points[0] == (990.0, 1.0)
    assert len(found[0].points) == len(UP[0].points) + 1


def test_what_went_on_goes_on() -> None:
    """A gauge repeats its last stretch, a counter goes on growing by as much, and what comes later is forgotten."""
    points = tuple((float(at), float(at)) for at in range(10))
    counter, gauge = (Track({"__name__": name}, points) for name in ("c", "g"))
    one, other = went_on((counter, gauge), since=4, at=6, until=10, counters={"c"})
    assert one.points[-4:] == ((7, 7.0), (8, 8.0), (9, 9.0), (10, 10.0))
    assert other.points[-4:] == ((7, 5.0), (8, 6.0), (9, 5.0), (10, 6.0))


def test_a_reset_is_not_growth() -> None:
    """A counter that was reset on the way is reset each time round."""
    track = Track({"__name__": "c"}, ((1.0, 5.0), (2.0, 0.0), (3.0, 1.0)))
    (found,) = went_on((track,), since=1, at=3, until=5, counters={"c"})
    assert found.points[-2:] == ((4.0, 0.0), (5.0, 1.0))
