"""What every test can rely on: no Docker engine is met by chance, whatever this machine has."""

from __future__ import annotations

import os

import pytest

from harness.errors import UsageError
from harness.sandbox.engine import connect

NOBODY = "unix:///nowhere/docker.sock"
_KEPT = "GAMEDAY_TESTS_DOCKER_HOST"  # what DOCKER_HOST was, for the workers of pytest-xdist too
THEIRS = {**os.environ, "DOCKER_HOST": os.environ.setdefault(_KEPT, os.environ.get("DOCKER_HOST", ""))}
if not THEIRS["DOCKER_HOST"]:
    del THEIRS["DOCKER_HOST"]


def pytest_configure(config: pytest.Config) -> None:
    os.environ["DOCKER_HOST"] = NOBODY


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need an engine are skipped where none answers, with the reason."""
    wanting = [item for item in items if item.get_closest_marker("docker")]
    if not wanting:
        return
    try:
        connect(THEIRS).close()
    except UsageError as odd:
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason=str(odd).splitlines()[0]))


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment with which these tests were started, engine and all."""
    for name in ("DOCKER_HOST", "DOCKER_CONFIG"):
        if name in THEIRS:
            monkeypatch.setenv(name, THEIRS[name])
        else:
            monkeypatch.delenv(name, raising=False)
    return THEIRS
