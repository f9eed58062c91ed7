"""Toxiproxy: the fault proxy on every link; a small one of ours stands in where its server can't be had."""

from __future__ import annotations

import importlib.metadata
import sys

from harness.sandbox.parts.base import FoundPart, Part
from harness.sandbox.parts.cache import Cache
from harness.sandbox.parts.go import GoBuild
from harness.sandbox.parts.release import Release

VERSION = "2.12.0"


def toxiproxy(cache: Cache) -> Part:
    return Part(
        name="toxiproxy",
        commands=("toxiproxy-server",),
        version_flag="-version",
        at_least="2.6",
        because="a toxic is updated with PATCH",
        ways=(
            Release(
                part="toxiproxy",
                version=VERSION,
                base=f"https://github.com/Shopify/toxiproxy/releases/download/v{VERSION}",
                asset="toxiproxy-server-{os}-{arch}",
                checksums="checksums.txt",
                version_flag="-version",
                cache=cache,
            ),
            GoBuild(
                part="toxiproxy",
                module="github.com/Shopify/toxiproxy/v2",
                module_version=f"v{VERSION}",
                version=VERSION,
                programs={"toxiproxy": "./cmd/server"},
                stamp="github.com/Shopify/toxiproxy/v2.Version",
                version_flag="-version",
                cache=cache,
            ),
        ),
        stand_in=FoundPart(
            name="toxiproxy",
            argv=(sys.executable, "-m", "harness.faultproxy"),
            version=_own_version(),
            how="built-in",
        ),
        elsewhere="`brew install toxiproxy` or its release",
    )


def _own_version() -> str:
    try:
        return importlib.metadata.version("gameday-harness")
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"
