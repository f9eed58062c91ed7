"""A Redis that is full: what ends it, and what healing leaves alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.errors import InjectFailed
from harness.faults import RedisFull
from tests.faults.store import Store, asked_in

FAULT = RedisFull("redis", database=1)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with asked_in(Store(), monkeypatch) as store:
        FAULT.inject(store)
        yield store


def in_force(store: Store) -> bool | None:
    return FAULT.receipt(store, 1.0).in_force


def test_a_client_that_goes_makes_no_room(store: Store) -> None:
    """It holds more than it may, so that a little less of it is still too much."""
    assert store.held > int(store.settings["maxmemory"])
    assert in_force(store) is True


def test_emptying_its_database_ends_it(store: Store) -> None:
    """What was filled stands in the database that was named, and nowhere else."""
    assert {database for database, _ in store.keys} == {"1"}
    store.keys.clear()
    assert in_force(store) is False


def test_a_higher_limit_ends_it_and_is_left_as_it_is(store: Store) -> None:
    """Healing takes back what it did itself: the keys, and its own limit."""
    store.settings["maxmemory"] = str(512 * 2**20)
    assert in_force(store) is False
    FAULT.heal(store)
    assert store.settings["maxmemory"] == str(512 * 2**20)
    assert store.keys == {}


def test_healing_leaves_what_others_wrote(store: Store) -> None:
    """Only its own keys go."""
    store.keys["1", "somebody's"] = "x"
    FAULT.heal(store)
    assert set(store.keys) == {("1", "somebody's")}
    assert store.settings["maxmemory"] == "0"


@pytest.mark.parametrize(("setting", "value"), [("maxmemory", "1000000"), ("maxmemory-policy", "allkeys-lru")])
def test_a_redis_of_other_settings_is_refused(monkeypatch: pytest.MonkeyPatch, setting: str, value: str) -> None:
    """One with a limit could not be given it back, and one that evicts is never full."""
    with asked_in(Store(), monkeypatch) as other:
        other.settings[setting] = value
        assert FAULT.problems(other) == [f"redis has {setting} {value}"]
        assert len(RedisFull("redis", 1, at_most=1).problems(other)) == 2


def test_one_that_still_takes_more_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the limit does not hold the injection fails."""
    monkeypatch.setattr(Store, "held", 0)
    with asked_in(Store(), monkeypatch) as other, pytest.raises(InjectFailed, match="takes more than it may hold"):
        FAULT.inject(other)
