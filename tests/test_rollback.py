"""Rollback heals what can be healed, says what can't, and leaves nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from harness import faults
from harness.errors import HealFailed
from harness.journal import NAME, Journal
from harness.rollback import Healing, Repair, Rollback, heal, main, rollback
from harness.sandbox.identity import LEASH, Identity
from harness.sandbox.layout import Layout
from harness.sandbox.render import Ground
from harness.sandbox.state import State

NOBODY = Identity(1, "0@another-boot")


class Outage:
    """A fault that notes when it is healed."""

    def __init__(self, name: str, healed: list[str]) -> None:
        self.name = name
        self.healed = healed

    def __str__(self) -> str:
        return f"outage of {self.name}"

    def heal(self, sandbox: Any) -> None:
        if self.name == "stuck":
            raise HealFailed("it is stuck")
        self.healed.append(f"{self.name} in {sandbox.name}")


@pytest.fixture
def healed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was healed, in order; faults decode to `Outage`."""
    done: list[str] = []

    def decode(undo: dict[str, Any]) -> Outage:
        return Outage(undo["name"], done)  # an undo without a name can't be decoded

    monkeypatch.setattr(faults, "decode", decode)
    return done


@pytest.fixture
def dead(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a sandbox whose harness and supervisor are gone."""
    root = tmp_path_factory.mktemp("s")
    monkeypatch.setenv("GAMEDAY_STATE_DIR", str(root))
    folder = root / "box-1"
    folder.mkdir()
    (folder / LEASH).touch()
    State(
        folder=folder,
        supervisor=NOBODY,
        owner=NOBODY,
        detached=False,
        created=1.0,
        topology="x.yml",
        processes={"a.1": NOBODY},
        ports=(),
    ).save()
    Layout(folder=folder, logs=root, ground=Ground(ports={}, aliases={}, folders={}, mounts={}), schemes={}).save()
    return folder


def test_open_promises_are_kept_the_latest_first(dead: Path, healed: list[str]) -> None:
    """Faults come out in the opposite order of going in; those already healed are left alone."""
    journal = Journal(dead)
    journal.promise({"name": "first"})
    journal.kept(journal.promise({"name": "over"}))
    journal.promise({"name": "last"})
    done = rollback()
    assert healed == ["last in box-1", "first in box-1"]
    assert done.clean
    assert str(done) == "box-1: healed outage of last; healed outage of first; ended 0 processes; nothing is left"
    assert not dead.exists()


def test_one_fault_that_stays_does_not_keep_the_others_in(dead: Path, healed: list[str]) -> None:
    """A heal that fails and a promise that can't be read are reported, and the rest is healed all the same."""
    journal = Journal(dead)
    for undo in ({"name": "a"}, {"name": "stuck"}, {"what": "?"}, {"name": "b"}):
        journal.promise(undo)
    done = rollback()
    assert healed == ["b in box-1", "a in box-1"]
    assert not done.clean, "a promise that nobody can read must be looked at"
    assert "could not heal outage of stuck (HealFailed: it is stuck)" in str(done)
    assert "UNKNOWN PROMISE {'what': '?'}" in str(done)
    assert not dead.exists()


def test_a_healed_promise_is_not_healed_again(dead: Path, healed: list[str]) -> None:
    """Healing twice finds nothing to do the second time."""
    Journal(dead).promise({"name": "a"})
    assert heal(dead).healed == ("outage of a",)
    assert heal(dead) == Healing()
    assert len(healed) == 1


def test_a_journal_that_can_not_be_read_is_no_clean_bill(dead: Path, healed: list[str]) -> None:
    """Not knowing what was promised is said, and is not clean."""
    (dead / NAME).mkdir()
    done = rollback()
    assert not done.clean
    assert "can't be read" in str(done)


def test_a_broken_installation_does_not_keep_it_from_cleaning(dead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the faults can't even be imported, the promises are reported and the sandbox is cleared away."""
    Journal(dead).promise({"name": "a"})
    monkeypatch.setitem(sys.modules, "harness.faults", None)
    done = rollback()
    assert "UNKNOWN PROMISE {'name': 'a'}" in str(done)
    assert not dead.exists()


@pytest.mark.parametrize(
    ("repair", "clean"),
    [
        (Repair(sandbox="x"), True),
        (Repair(sandbox="x", untouched="its run is on"), True),
        (Repair(sandbox="x", healed=("a",), unhealed=("b",)), True),
        (Repair(sandbox="x", unknown=("c",)), False),
        (Repair(sandbox="x", left=("process 1",)), False),
    ],
)
def test_what_counts_as_clean(repair: Repair, clean: bool) -> None:
    """Anything left over, or any promise that nobody understood, is not clean."""
    assert Rollback((repair,)).clean is clean


def test_the_command_says_what_it_did(dead: Path, healed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is 0 where nothing is left to do, 5 otherwise; the report goes to standard error."""
    Journal(dead).promise({"what": "?"})
    assert main(["--heal", str(dead)]) == 5
    assert main([]) == 5
    assert main([]) == 0
    said = capsys.readouterr()
    assert not said.out
    assert said.err.endswith("nothing to roll back\n")
