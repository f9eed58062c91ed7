"""Alertmanager.

Debian's package is no way for us: it looks for its template in /usr/share, so it runs only where it is installed.
"""

from __future__ import annotations

from harness.sandbox.parts.base import Part
from harness.sandbox.parts.cache import Cache
from harness.sandbox.parts.go import GoBuild
from harness.sandbox.parts.release import Release

VERSION = "0.28.1"


def alertmanager(cache: Cache) -> Part:
    return Part(
        name="alertmanager",
        commands=("alertmanager", "prometheus-alertmanager"),
        version_flag="--version",
        at_least="0.22",
        because="matchers in its routes",
        ways=(
            Release(
                part="alertmanager",
                version=VERSION,
                base=f"https://github.com/prometheus/alertmanager/releases/download/v{VERSION}",
                asset="alertmanager-{version}.{os}-{arch}.tar.gz",
                checksums="sha256sums.txt",
                version_flag="--version",
                members={"alertmanager": "alertmanager-{version}.{os}-{arch}/alertmanager"},
                cache=cache,
            ),
            GoBuild(
                part="alertmanager",
                module="github.com/prometheus/alertmanager",
                module_version=f"v{VERSION}",
                version=VERSION,
                programs={"alertmanager": "./cmd/alertmanager"},
                stamp="github.com/prometheus/common/version.Version",
                version_flag="--version",
                cache=cache,
            ),
        ),
        elsewhere="`brew install alertmanager` or prometheus.io/download",
    )
