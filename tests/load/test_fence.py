"""Load stays on this machine unless a host was allowed by name."""

from __future__ import annotations

import pytest

from loadtests.fence import is_allowed, is_loopback


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),  # IPv4 in IPv6 clothes
        ("::ffff:192.0.2.1", False),
        ("192.0.2.1", False),
        ("10.0.0.1", False),  # private is not ours
        ("fe80::1%eth0", False),
        ("0.0.0.0", False),
        ("localhost", False),  # a name is no address
        ("", False),
    ],
)
def test_only_loopback_addresses_are_this_machine(address: str, ours: bool) -> None:
    """An address counts as ours only where it can't leave this machine."""
    assert is_loopback(address) is ours


def test_a_host_is_allowed_by_name_or_for_where_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address that a name stands for must be ours; a name that leads nowhere is not allowed."""
    known = {"mine": {"127.0.0.1", "::1"}, "half": {"127.0.0.1", "192.0.2.1"}, "gone": set()}
    monkeypatch.setattr("loadtests.fence.addresses_of", lambda host: frozenset(known[host]))
    assert [is_allowed(host, ()) for host in known] == [True, False, False]
    assert is_allowed("half", ["half"])
