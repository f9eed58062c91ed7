"""Turn: who may run beside whom."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from harness.sandbox.turn import turn


@pytest.mark.parametrize(
    ("first", "second", "waits"), [(False, False, False), (False, True, True), (True, False, True), (True, True, True)]
)
@pytest.mark.usefixtures("state")
def test_who_needs_the_machine_has_it_alone(first: bool, second: bool, waits: bool) -> None:
    """Ordinary runs go side by side; one that needs the machine waits for all others, and they for it."""
    came = threading.Event()

    def run() -> None:
        with turn(alone=second):
            came.set()

    other = threading.Thread(target=run)
    with turn(alone=first):
        other.start()
        assert came.wait(0.1 if waits else 5) is not waits
    other.join(timeout=5)
    assert came.is_set()


def test_a_turn_leaves_no_file(state: Path) -> None:
    """Whoever looks for what a run has left behind finds nothing of a turn."""
    with turn(alone=True):
        assert list(state.iterdir()) == []
