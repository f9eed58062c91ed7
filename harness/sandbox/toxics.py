"""Toxics: what each kind of toxic understands, and what is wrong with one that can't work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

# Attribute -> the smallest value that makes sense. The server itself takes anything and ignores what it does not know,
# so that a typing error is no fault at all; a slicer without an average size sends it into endless recursion.
# Source: https://github.com/Shopify/toxiproxy#toxics
TOXICS: Mapping[str, Mapping[str, int]] = {
    "bandwidth": {"rate": 0},  # kilobytes/s; 0 lets nothing through
    "latency": {"latency": 0, "jitter": 0},  # ms
    "limit_data": {"bytes": 0},
    "noop": {},
    "reset_peer": {"timeout": 0},  # ms
    "slicer": {"average_size": 1, "size_variation": 0, "delay": 0},  # bytes, bytes, microseconds
    "slow_close": {"delay": 0},  # ms
    "timeout": {"timeout": 0},  # ms; 0 never closes
}
_LARGEST = 2**31 - 1  # ms: 25 days; larger ones overflow the Go server's durations sooner or later


def toxic_problems(kind: str, attributes: Mapping[str, int], *, stream: str, toxicity: float, name: str) -> list[str]:
    """Everything that is wrong with a toxic, in plain words; empty if it is fine."""
    problems = []
    if not name or "/" in name:
        problems.append(f"name {name!r}: must be a word without a slash")
    if stream not in ("upstream", "downstream"):
        problems.append(f"stream {stream!r}: must be upstream or downstream")
    if isinstance(toxicity, bool) or not isinstance(toxicity, int | float) or not 0 <= toxicity <= 1:
        problems.append(f"toxicity {toxicity!r}: must be a number from 0 to 1")
    if kind in TOXICS:
        problems.extend(_attribute_problems(kind, attributes))
    else:
        problems.append(f"kind {kind!r}: unknown; known are {', '.join(sorted(TOXICS))}")
    return problems


def _attribute_problems(kind: str, attributes: Mapping[str, int]) -> Iterator[str]:
    known = TOXICS[kind]
    for attribute, value in attributes.items():
        if attribute not in known:
            yield f"attribute {attribute!r}: {kind} has {', '.join(known) or 'no attributes'}"
        elif isinstance(value, bool) or not isinstance(value, int):
            yield f"attribute {attribute!r}: {value!r} is not a whole number"
        elif not known[attribute] <= value <= _LARGEST:
            yield f"attribute {attribute!r}: {value} is not between {known[attribute]} and {_LARGEST}"
    if kind == "slicer" and "average_size" not in attributes:
        yield "attribute 'average_size': slicer needs it"
    elif kind == "slicer" and attributes.get("size_variation", 0) >= attributes["average_size"] > 0:
        yield "attribute 'size_variation': must be less than 'average_size'"
