"""Heavy requests: the effect is measured on the service, and counts only with the requests that make it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.errors import InjectFailed
from harness.faults import Answered, Cpu, HeavyRequests, Locked, Memory, decode, encode
from tests.faults.busy_host import APP, PORT, BusyHost, busy

__all__ = ["busy"]


def jobs(until: Any = None, **settings: Any) -> HeavyRequests:
    return HeavyRequests(APP, PORT, "/jobs", 8, until or Cpu(1.5), **settings)


@pytest.mark.parametrize(
    ("opened", "used", "in_force"),
    [
        (8, 1.6, True),
        (4, 1.6, True),  # half of them are just being sent again
        (3, 1.6, None),  # it is busy, but hardly with ours
        (0, 1.6, None),
        (8, 1.4, False),  # they do not hurt it
        (0, 0.1, False),
    ],
)
def test_it_is_in_force_where_requests_and_effect_agree(
    busy: BusyHost, opened: int, used: float, in_force: bool | None
) -> None:
    """Half of the requests open by the kernel's word, and the effect by ours."""
    fault = jobs()
    fault.inject(busy)
    busy.held, busy.used = opened, used
    receipt = fault.receipt(busy, 0.0)
    assert receipt.in_force is in_force, receipt
    assert f"{opened} of 8 requests open" in receipt.measured


@pytest.mark.parametrize(
    ("until", "change", "said"),
    [
        (Cpu(1.5), {"used": 1.6}, "1.60 cores wanted"),
        (Memory(0.9), {"resident": 2**30}, "1024 of 0 MiB"),
        (Locked("/data/x.db"), {"refused": "writing"}, "writing is refused"),
    ],
)
def test_an_effect_without_the_requests_can_not_be_told(busy: BusyHost, until: Any, change: Any, said: str) -> None:
    """A service that is busy by itself, before or after, makes the experiment unsound."""
    for name, value in change.items():
        setattr(busy, name, value)
    receipt = jobs(until).receipt(busy, 0.0)
    assert receipt.in_force is None
    assert said in receipt.measured


@pytest.mark.parametrize(
    ("against", "refused", "in_force"),
    [
        ("writing", "writing", True),
        ("writing", "reading", True),
        ("writing", "finishing", False),
        ("finishing", "finishing", True),
        ("reading", "writing", False),
    ],
)
def test_a_transaction_locks_at_least_what_it_should(
    busy: BusyHost, against: Any, refused: Any, in_force: bool
) -> None:
    """A lock that refuses less than intended is not the fault."""
    fault = jobs(Locked("/data/x.db", against))
    fault.inject(busy)
    busy.refused = refused
    assert fault.receipt(busy, 0.0).in_force is in_force
    assert busy.gaps > 0, "between two transactions nobody locks"


@pytest.mark.parametrize(("held", "in_force"), [(870, False), (900, True)])
def test_memory_is_full_from_its_share_of_the_limit_on(busy: BusyHost, held: int, in_force: bool) -> None:
    """What all processes hold together, against the limit of the service."""
    fault = jobs(Memory(0.9))
    fault.inject(busy)
    busy.resident = held
    assert fault.receipt(busy, 0.0).in_force is in_force


def test_requests_that_are_turned_away_fail_the_injection(busy: BusyHost) -> None:
    """A service that refuses them is not hurt by them."""
    busy.held, busy.used = 0, 0.1
    with pytest.raises(InjectFailed, match="0 of 8 requests open"):
        jobs().inject(busy)
    with pytest.raises(InjectFailed, match="0 of 8 requests open"):
        jobs(Answered()).inject(busy)


def test_memory_without_a_limit_is_never_full(busy: BusyHost) -> None:
    """A share of nothing can't be reached, however much is held."""
    busy.app.memory, busy.resident = None, 2**40
    receipt = jobs(Memory(0.5)).receipt(busy, 0.0)
    assert "without a limit" in receipt.measured
    assert receipt.in_force is False


def test_the_requests_are_those_of_the_scenario(busy: BusyHost) -> None:
    """Method, path, headers and body go to the service's own address."""
    jobs(method="PUT", headers={"X-User": "7"}, body='{"pages": 9}').inject(busy)
    told = busy._order()
    assert {told["method"], told["path"], told["body"]} == {"PUT", "/jobs", '{"pages": 9}'}
    assert told["headers"] == {"X-User": "7"}
    assert (told["host"], told["port"], told["tls"], told["at_once"]) == ("127.0.0.1", 17080, False, 8)


@pytest.mark.parametrize("until", [Cpu(1.5), Memory(0.8), Locked("/data/x.db", "finishing"), Answered()], ids=str)
def test_each_effect_survives_the_journal(until: Any) -> None:
    """What is to be measured is read back as the same, and says what it is."""
    fault = jobs(until)
    assert decode(json.loads(json.dumps(encode(fault)))) == fault
    assert "(" not in str(until)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (HeavyRequests(APP, PORT, "/jobs", 0, Cpu(0)), ("0 requests", "0 cores")),
        (HeavyRequests(APP, 81, "/jobs", 201, Memory(1.5)), ("201 requests", "no port 81", "1.5")),
        (HeavyRequests(APP, PORT, "/j", 8, Locked("/etc/x.db", "all")), ("no mount", "'all'")),  # type: ignore[arg-type]  # that is the test
        (HeavyRequests(APP, PORT, "/j", 8, Answered(), body="x" * 70_000), ("70000 characters",)),
        (HeavyRequests("ap", PORT, "/j", 8, Answered()), ("no service 'ap'",)),
    ],
    ids=["none at all", "too much", "no such lock", "too long", "unknown service"],
)
def test_what_can_not_work_is_all_said(busy: BusyHost, fault: HeavyRequests, words: tuple[str, ...]) -> None:
    """Every setting that is wrong is named at once."""
    found = fault.problems(busy)
    assert [word in said for word, said in zip(words, found, strict=True)] == [True] * len(words)
