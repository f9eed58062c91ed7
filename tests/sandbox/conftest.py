"""A state folder of the tests' own, so that they never meet a sandbox that somebody is using."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.sandbox.identity import marked


@contextmanager
def _state_folder() -> Iterator[Path]:
    # Not pytest's own temporary folder: a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="gd-"))
    before = os.environ.get("GAMEDAY_STATE_DIR")
    os.environ["GAMEDAY_STATE_DIR"] = str(folder)
    try:
        yield folder
        left = [path.name for path in folder.iterdir()]
        strays = [identities for name, identities in marked().items() if Path(name).parent == folder]
        assert not left, f"left in the state folder: {left}"
        assert not strays, f"left running: {strays}"
    finally:
        if before is None:
            del os.environ["GAMEDAY_STATE_DIR"]
        else:
            os.environ["GAMEDAY_STATE_DIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def state() -> Iterator[Path]:
    """An empty state folder; nothing may be left in it, and no process of it, after the test."""
    with _state_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def module_state() -> Iterator[Path]:
    """The same for a whole module."""
    with _state_folder() as folder:
        yield folder
