"""Decode: JSON bodies, read the way Toxiproxy's server reads them.

Its rules are those of Go's encoding/json: the first value counts, keys match whatever their case, unknown keys and
null leave the default, and a value of another type is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.faultproxy.errors import bad_body

_INT64 = range(-(2**63), 2**63)
_NAMES: Mapping[type, str] = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
}


def first_value(body: bytes) -> Any:
    """The first JSON value of `body`. Raises ApiError 400."""
    text = body.decode(errors="replace").lstrip()
    if not text:
        raise bad_body("EOF")
    try:
        return json.JSONDecoder(parse_constant=_refuse).raw_decode(text)[0]
    except (ValueError, RecursionError) as cause:
        raise bad_body(str(cause)) from cause


def fields(value: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`defaults` (field → value, whose type is the field's) with what the object `value` says instead.

    A float field takes any number; an int field only whole ones. Raises ApiError 400.
    """
    found = dict(defaults)
    if value is None:
        return found
    if not isinstance(value, dict):
        raise _mismatch(value, "the body", "object")
    for key, given in value.items():
        name = key if key in defaults else next((known for known in defaults if known.lower() == key.lower()), None)
        if name is not None and given is not None:
            found[name] = _typed(given, name, type(defaults[name]))
    return found


def objects(value: Any) -> list[Any]:
    """The items of the array `value`; null is an empty one. Raises ApiError 400."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise _mismatch(value, "the body", "array")
    return value


def _typed(given: Any, name: str, wanted: type) -> Any:
    if wanted is float and type(given) in (int, float):
        return given
    if type(given) is not wanted or (wanted is int and given not in _INT64):
        raise _mismatch(given, name, _NAMES[wanted])
    return given


def _mismatch(given: Any, name: str, wanted: str) -> Exception:
    return bad_body(f"json: cannot unmarshal {_NAMES.get(type(given), 'null')} into {name} of type {wanted}")


def _refuse(constant: str) -> Any:
    raise ValueError(f"invalid character {constant[0]!r} looking for beginning of value")
