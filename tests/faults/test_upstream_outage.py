"""Upstream outage: what it asks of the links, and what its receipts say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from harness.errors import HealFailed, InjectFailed, UsageError
from harness.faults import UpstreamOutage, decode, encode
from harness.faults.breakage import Breakage
from harness.probes.probe import Answer
from harness.testing import FakeSandbox


@pytest.fixture
def sandbox() -> Iterator[FakeSandbox]:
    with FakeSandbox({"app-model": "model", "batch-model": "model", "app-cache": "cache"}) as made:
        yield made


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """What the probe meets, by `reply`; a test sets it."""
    met = {"reply": Answer("answered", 0.01)}
    monkeypatch.setattr("harness.faults.breakage.ask", lambda address, patience: met["reply"])
    return met


def test_every_link_to_the_upstream_is_cut_and_no_other(sandbox: FakeSandbox) -> None:
    """`down` disables all links whose far end is the upstream."""
    UpstreamOutage("model").inject(sandbox)
    assert [link.enabled for link in sandbox.links()] == [False, False, True]


@pytest.mark.parametrize(
    ("how", "toxics"),
    [
        ("timeout", {("timeout", "upstream"), ("timeout", "downstream")}),
        ("reset", {("reset_peer", "downstream")}),
        ("slow", {("latency", "downstream")}),
    ],
)
def test_each_way_puts_its_toxics_in(sandbox: FakeSandbox, how: Any, toxics: set[tuple[str, str]]) -> None:
    """A black hole swallows both directions; a reset and a delay act on what comes back."""
    UpstreamOutage("model", how=how).inject(sandbox)
    found = {(toxic["type"], toxic["stream"]) for toxic in sandbox.links()[0].toxics.values()}
    assert found == toxics


@pytest.mark.parametrize("how", ["down", "timeout", "reset", "slow"])
def test_healing_twice_leaves_every_link_whole(sandbox: FakeSandbox, how: Any) -> None:
    """Heal undoes each way, and does so again without complaint."""
    fault = UpstreamOutage("model", how=how)
    fault.inject(sandbox)
    fault.heal(sandbox)
    fault.heal(sandbox)
    assert all(link.enabled and not link.toxics for link in sandbox.links())


def test_healing_goes_on_where_one_link_is_stuck(sandbox: FakeSandbox) -> None:
    """One dead proxy does not keep the other links broken, and is reported."""
    fault = UpstreamOutage("model")
    fault.inject(sandbox)
    sandbox.links()[0].dead = True
    with pytest.raises(HealFailed, match="app-model"):
        fault.heal(sandbox)
    assert sandbox.links()[1].enabled


def test_a_dead_proxy_can_not_be_broken(sandbox: FakeSandbox) -> None:
    """An injection that fails says on which link."""
    sandbox.links()[0].dead = True
    with pytest.raises(InjectFailed, match="app-model"):
        UpstreamOutage("model").inject(sandbox)


@pytest.mark.parametrize(
    ("how", "reply", "seconds", "in_force"),
    [
        ("down", "refused", 0.001, True),
        ("down", "answered", 0.01, None),
        ("timeout", "silent", 1.0, True),
        ("timeout", "answered", 0.01, None),
        ("reset", "reset", 0.01, True),
        ("reset", "closed", 0.01, True),
        ("slow", "answered", 5.1, True),
        ("slow", "answered", 0.01, None),
        ("slow", "answered", 11.0, None),
        ("slow", "silent", 8.5, None),
    ],
)
def test_a_receipt_holds_only_where_probe_and_proxy_agree(
    sandbox: FakeSandbox, answers: dict[str, Answer], how: Any, reply: Any, seconds: float, in_force: bool | None
) -> None:
    """With the fault put in, a caller must meet it, in its size; where it does not, nobody can tell."""
    fault = UpstreamOutage("model", how=how)
    fault.inject(sandbox)
    answers["reply"] = Answer(reply, seconds)
    assert fault.receipt(sandbox, 0.0).in_force is in_force


def test_a_whole_link_is_seen_as_whole(sandbox: FakeSandbox, answers: dict[str, Answer]) -> None:
    """Without the fault the receipt says that it is not in force."""
    assert UpstreamOutage("model").receipt(sandbox, 0.0).in_force is False


def test_a_refusing_address_without_a_proxy_is_no_receipt(sandbox: FakeSandbox, answers: dict[str, Answer]) -> None:
    """A killed proxy refuses connections too: without its word the outage is not proven."""
    fault = UpstreamOutage("model")
    fault.inject(sandbox)
    answers["reply"] = Answer("refused", 0.001)
    for link in sandbox.links():
        link.dead = True
    assert fault.receipt(sandbox, 0.0).in_force is None


def test_one_link_taken_out_behind_our_back_is_seen(sandbox: FakeSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one of two links is whole again the fault is not in force."""
    fault = UpstreamOutage("model")
    fault.inject(sandbox)
    sandbox.links()[0].enable()
    enabled = {link.address.port for link in sandbox.links() if link.enabled}

    def ask(address: Any, patience: timedelta) -> Answer:
        return Answer("answered" if address.port in enabled else "refused", 0.001)

    monkeypatch.setattr("harness.faults.breakage.ask", ask)
    assert fault.receipt(sandbox, 0.0).in_force is False


def test_settings_that_can_not_work_are_all_said(sandbox: FakeSandbox) -> None:
    """An unknown upstream and a delay of nothing are reported together."""
    found = UpstreamOutage("modle", how="slow", delay=timedelta(0)).problems(sandbox)
    assert len(found) == 2
    assert "cache, model" in found[1]


def test_an_unknown_way_is_said() -> None:
    """A way that does not exist is named."""
    assert "explode" in Breakage("explode", timedelta(seconds=1)).problems()[0]  # type: ignore[arg-type]


def test_the_journal_brings_a_fault_back() -> None:
    """What is encoded before an injection decodes to the same fault."""
    fault = UpstreamOutage("model", how="slow", delay=timedelta(seconds=3))
    assert decode(encode(fault)) == fault


def test_settings_of_no_known_fault_are_refused() -> None:
    """A journal of another version is not guessed at."""
    with pytest.raises(UsageError, match="not a fault known here"):
        decode({"kind": "meteor"})
