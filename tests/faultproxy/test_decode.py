"""How JSON bodies are read: as Go's encoding/json reads them."""

from __future__ import annotations

from typing import Any

import pytest

from harness.faultproxy.decode import fields, first_value, objects
from harness.faultproxy.errors import ApiError

DEFAULTS: dict[str, Any] = {"name": "", "enabled": True, "latency": 3, "toxicity": 1.0}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, {}),  # nothing said: the defaults
        (None, {}),  # null is nothing said
        ({"name": None}, {}),
        ({"NAME": "x", "Enabled": False}, {"name": "x", "enabled": False}),  # any case
        ({"other": 1}, {}),  # unknown: ignored
        ({"latency": -5}, {"latency": -5}),
        ({"latency": 2**63 - 1}, {"latency": 2**63 - 1}),
        ({"toxicity": 0}, {"toxicity": 0}),  # a float may be written as a whole number
        ({"toxicity": 0.25}, {"toxicity": 0.25}),
    ],
)
def test_fields_that_fit(said: Any, found: dict[str, Any]) -> None:
    """What is said replaces the default, and nothing else changes."""
    assert fields(said, DEFAULTS) == {**DEFAULTS, **found}


@pytest.mark.parametrize(
    "said",
    [
        [],
        "text",
        {"name": 5},
        {"name": []},
        {"enabled": "true"},
        {"enabled": 1},
        {"latency": 5.0},
        {"latency": "5"},
        {"latency": True},
        {"latency": 2**63},
        {"toxicity": "1"},
        {"toxicity": True},
    ],
)
def test_fields_that_do_not_fit(said: Any) -> None:
    """A value of another type is refused with status 400."""
    with pytest.raises(ApiError, match=r"^bad request body: json: cannot unmarshal") as raised:
        fields(said, DEFAULTS)
    assert raised.value.status == 400


@pytest.mark.parametrize("body", [b"", b"  ", b"{", b"nonsense", b"[NaN]", b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_json(body: bytes) -> None:
    """They are refused with status 400."""
    with pytest.raises(ApiError, match=r"^bad request body: ") as raised:
        first_value(body)
    assert raised.value.status == 400


def test_what_follows_the_first_value_is_ignored() -> None:
    """Only the first JSON value counts."""
    assert first_value(b' {"a": 1} {"b": 2} rubbish') == {"a": 1}


def test_an_array_is_needed_for_a_list() -> None:
    """null is an empty list, an object is none."""
    assert objects(None) == []
    assert objects([1]) == [1]
    with pytest.raises(ApiError):
        objects({})
