"""Prometheus, with its tool promtool."""

from __future__ import annotations

from harness.sandbox.parts.base import Part
from harness.sandbox.parts.cache import Cache
from harness.sandbox.parts.debian import DebianPackage
from harness.sandbox.parts.go import GoBuild
from harness.sandbox.parts.release import Release

VERSION = "3.5.0"
MODULE_VERSION = "v0.305.0"  # the same release, as its Go module counts
AT_LEAST = "2.42"


def prometheus(cache: Cache) -> Part:
    return Part(
        name="prometheus",
        commands=("prometheus",),
        version_flag="--version",
        at_least=AT_LEAST,
        because="the field keep_firing_for of alerting rules",
        tools=("promtool",),
        ways=(
            Release(
                part="prometheus",
                version=VERSION,
                base=f"https://github.com/prometheus/prometheus/releases/download/v{VERSION}",
                asset="prometheus-{version}.{os}-{arch}.tar.gz",
                checksums="sha256sums.txt",
                version_flag="--version",
                members={
                    "prometheus": "prometheus-{version}.{os}-{arch}/prometheus",
                    "promtool": "prometheus-{version}.{os}-{arch}/promtool",
                },
                cache=cache,
            ),
            DebianPackage(
                part="prometheus",
                package="prometheus",
                members={"prometheus": "usr/bin/prometheus", "promtool": "usr/bin/promtool"},
                at_least=AT_LEAST,
                cache=cache,
            ),
            GoBuild(
                part="prometheus",
                module="github.com/prometheus/prometheus",
                module_version=MODULE_VERSION,
                version=VERSION,
                programs={"prometheus": "./cmd/prometheus", "promtool": "./cmd/promtool"},
                stamp="github.com/prometheus/common/version.Version",
                version_flag="--version",
                # Service discovery in two dozen clouds, which no sandbox uses, is most of what there is to compile.
                replaced={"plugins/plugins.go": "package plugins\n"},
                cache=cache,
            ),
        ),
        elsewhere="`brew install prometheus` or prometheus.io/download",
    )
