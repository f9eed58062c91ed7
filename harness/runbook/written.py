"""Written: what the small YAML files beside a runbook may say: each key once, known words only, times with a unit."""

from __future__ import annotations

import re
from collections.abc import Hashable
from datetime import timedelta
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"ms": 0.001, "s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


class OnceOnly(yaml.SafeLoader):
    """YAML that refuses a key that stands twice in one mapping: the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def duration(written: object) -> timedelta:
    """`30 s`, `5 min`, `8 d` as a duration. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", written) if isinstance(written, str) else None
    if not match or match[2] not in _UNITS:
        raise ValueError(f"{written!r} is no duration (say `30 s`, `5 min`, `500 ms`)")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


Duration = Annotated[timedelta, BeforeValidator(duration)]
Text = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)
