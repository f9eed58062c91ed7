"""The faults that can be injected, one a file. A new one is imported here and added to `AnyFault`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import UsageError
from harness.faults.base import Fault
from harness.faults.upstream_outage import UpstreamOutage

__all__ = ["Fault", "UpstreamOutage", "decode", "encode"]

AnyFault = UpstreamOutage  # a union with `Field(discriminator="kind")` once there are two

_ADAPTER: TypeAdapter[UpstreamOutage] = TypeAdapter(AnyFault)


def encode(fault: Fault) -> dict[str, Any]:
    """A fault's settings as JSON values, with its `kind`: what the journal keeps."""
    settings: dict[str, Any] = TypeAdapter(type(fault)).dump_python(fault, mode="json")
    return settings


def decode(settings: Mapping[str, Any]) -> Fault:
    """The fault that `encode` was given. Raises UsageError for settings that are of no fault known here."""
    try:
        return _ADAPTER.validate_python(dict(settings))
    except ValidationError as cause:
        raise UsageError(
            f"not a fault known here: {settings.get('kind', settings)!r}",
            hint="the journal was written by another version of gameday; use that one for `gameday rollback`",
        ) from cause
