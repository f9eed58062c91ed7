"""What a sandbox has on the engine is removed by its label, and what withstands is said."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SandboxError
from harness.rollback import rollback
from harness.sandbox import leftovers
from harness.sandbox.engine import Container, Whereabouts
from harness.sandbox.processes import open_sandbox
from harness.sandbox.state import ENGINE
from tests.sandbox.stack import write_stack


class Things:
    """An engine with containers and a network; `late` containers turn up once there seem to be no more."""

    def __init__(self, *, late: int = 0, withstands: str = "") -> None:
        self.there = {"a", "b"}
        self.networks_there = {"n"}
        self._late, self._withstands = late, withstands

    def __enter__(self) -> Things:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def containers(self, folder: Path) -> list[Container]:
        seen = [Container(id=one, service=one, state="running", health="", address="") for one in sorted(self.there)]
        if self._late and not seen:
            self._late -= 1
            self.there.add(f"late-{self._late}")
        return seen

    def remove_container(self, one: str) -> None:
        if one == self._withstands:
            raise SandboxError("device or resource busy")
        self.there.discard(one)

    def networks(self, folder: Path) -> list[str]:
        return sorted(self.networks_there)

    def remove_network(self, one: str) -> None:
        if self.there:
            raise SandboxError("it has active endpoints")
        self.networks_there.discard(one)

    def volumes(self, folder: Path) -> list[str]:
        return []

    def remove_volume(self, one: str) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Whereabouts(host="unix:///s", project="p", api_version="1.41").save(tmp_path)
    return tmp_path


def removed(monkeypatch: pytest.MonkeyPatch, folder: Path, things: Things) -> tuple[str, ...]:
    monkeypatch.setattr(leftovers, "Engine", lambda *_, **__: things)
    monkeypatch.setattr(leftovers, "_TWICE_AFTER", 0.0)
    monkeypatch.setattr(leftovers, "_AT_MOST", 0.2)
    return leftovers.remove(folder)


@pytest.mark.parametrize("late", [0, 1])
def test_all_is_removed_also_what_turns_up_late(monkeypatch: pytest.MonkeyPatch, folder: Path, late: int) -> None:
    """What was just being made as its maker was killed is removed too, then the network."""
    things = Things(late=late)
    assert removed(monkeypatch, folder, things) == ()
    assert (things.there, things.networks_there) == (set(), set())


def test_what_withstands_is_said(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A container that can't be removed is named, and its network with it; the others go."""
    assert removed(monkeypatch, folder, Things(withstands="b")) == ("container b", "network n")


def test_a_sandbox_without_containers_asks_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Processes have nothing on an engine."""
    monkeypatch.setattr(leftovers, "Engine", None)
    assert leftovers.remove(tmp_path) == ()


@pytest.mark.integration
@pytest.mark.parametrize("killed", [False, True])
def test_while_containers_may_be_left_the_folder_stays(state: Path, tmp_path: Path, killed: bool) -> None:
    """Where the engine does not answer, neither the supervisor nor the rollback forgets its containers."""
    where = Whereabouts(host=f"unix://{tmp_path}/nobody", project="p", api_version="1.41")
    sandbox = open_sandbox(write_stack(tmp_path), parts={}, render={}, logs=tmp_path / "logs")
    folder = sandbox.__enter__().folder
    where.save(folder)
    if killed:
        os.kill(_supervisor(folder), signal.SIGKILL)
    with pytest.raises(SandboxError, match=r"(?s)left over of sandbox.*no Docker engine|died.*no Docker engine"):
        sandbox.__exit__(None, None, None)
    assert folder.exists()
    done = rollback(everything=True)  # the owner, this process, is alive
    assert not done.clean
    assert "no Docker engine answers" in str(done)
    (folder / ENGINE).unlink()
    assert rollback(everything=True).clean


def _supervisor(folder: Path) -> int:
    state: dict[str, Any] = json.loads((folder / "state.json").read_text())
    return int(state["supervisor"][0])
