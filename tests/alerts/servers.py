"""Servers: where tests find promtool, Prometheus and Alertmanager; a test without them is skipped, and says so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.sandbox import parts


def promtool() -> str:
    """The path of promtool: `GAMEDAY_PROMTOOL`, PATH, or the one that came with Prometheus."""
    named = os.environ.get("GAMEDAY_PROMTOOL") or shutil.which("promtool")
    if named:
        return named
    try:
        return str(parts.find("prometheus").tools["promtool"])
    except (UsageError, KeyError) as problem:
        pytest.skip(f"no promtool: {problem}")


def part(name: str) -> list[str]:
    """How to start the part `name`."""
    try:
        return [str(Path(word)) if index == 0 else word for index, word in enumerate(parts.find(name).argv)]
    except UsageError as problem:
        pytest.skip(f"no {name}: {problem}")
