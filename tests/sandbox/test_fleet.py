"""Containers in the words of a sandbox."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import NotReady, SandboxError
from harness.sandbox.compose import start_all
from harness.sandbox.control import PortTakenError
from harness.sandbox.engine import Container, Whereabouts
from harness.sandbox.fleet import ComposeFailed, Fleet
from harness.sandbox.layout import Layout
from harness.sandbox.render import Ground

FACTS = {"oneshot": False, "restart": "unless-stopped", "grace": 1.0, "memory": None, "ready": None}


class Yard:
    """An engine with one container, which does what it is told."""

    def __init__(self, state: str = "running", health: str = "healthy", **seen: Any) -> None:
        self.one = Container(id="c1", service="web", state=state, health=health, address="172.30.0.2")
        self.seen: Mapping[str, Any] = {"RestartCount": 0, "State": {"ExitCode": 0, "StartedAt": "t1", **seen}}
        self.done: list[tuple[str, Any]] = []

    def __enter__(self) -> Yard:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def containers(self, folder: Path) -> list[Container]:
        return [self.one]

    def inspect(self, container: str) -> Mapping[str, Any]:
        return self.seen

    def log(self, container: str) -> str:
        return "first\nlast\n"

    def __getattr__(self, name: str) -> Any:
        return lambda container, *arguments: self.done.append((name, *arguments))


def fleet(folder: Path, yard: Yard, **facts: Any) -> Fleet:
    ground = Ground(ports={}, aliases={}, folders={}, mounts={})
    Whereabouts(host="unix:///s", project="p", api_version="1.41").save(folder)
    (folder / "services.json").write_text(json.dumps({"web": {**FACTS, **facts}}))
    made = Fleet(Layout(folder=folder, logs=folder, ground=ground, schemes={}))
    made.engine = lambda: yard  # type: ignore[assignment, return-value, method-assign]  # a stand-in for the connection
    return made


@pytest.mark.parametrize(
    ("yard", "facts", "state", "detail"),
    [
        (Yard(), {}, "ready", ""),
        (Yard(health=""), {}, "running", ""),
        (Yard(health="starting"), {}, "starting", ""),
        (Yard(health="unhealthy"), {}, "running", "unhealthy"),
        (Yard("paused"), {}, "paused", ""),
        (Yard("created", ""), {}, "starting", ""),
        (Yard("exited", "", ExitCode=0), {"oneshot": True}, "exited", "done"),
        (Yard("exited", "", ExitCode=3), {"oneshot": True}, "exited", "exit status 3"),
        (Yard("exited", "", ExitCode=0), {}, "exited", "exit status 0"),
        (Yard("exited", "", ExitCode=137), {}, "exited", "killed by SIGKILL"),
        (Yard("exited", "", ExitCode=137, OOMKilled=True), {}, "exited", "killed by SIGKILL; out of memory"),
        (Yard("restarting", "", ExitCode=1), {}, "exited", "exit status 1; starts again"),
    ],
)
def test_each_state_of_a_container_has_its_word(
    tmp_path: Path, yard: Yard, facts: dict[str, Any], state: str, detail: str
) -> None:
    """States and exits read as those of processes do."""
    [status] = fleet(tmp_path, yard, **facts).statuses()
    assert (status.state, status.detail) == (state, detail)


def test_a_container_that_is_gone_is_a_failed_service(tmp_path: Path) -> None:
    """Removed behind our back: said, and an error for whoever wants to act on it."""
    yard = Yard()
    found = fleet(tmp_path, yard)
    yard.containers = lambda folder: []  # type: ignore[method-assign]  # somebody ran `docker rm`
    assert [(status.state, status.detail) for status in found.statuses()] == [("failed", "its container is gone")]
    with pytest.raises(SandboxError, match="no container"):
        found.stop("web")


def test_starts_are_ours_and_the_policys(tmp_path: Path) -> None:
    """A start by the restart policy counts as one by us does, also across containers made anew."""
    yard = Yard()
    found = fleet(tmp_path, yard)
    counts = []
    for container, restarts in (("c1", 0), ("c1", 2), ("c2", 0), ("c2", 1)):
        yard.one = Container(id=container, service="web", state="running", health="healthy", address="")
        yard.seen = {**yard.seen, "RestartCount": restarts}
        counts.append(found.statuses()[0].starts)
    assert counts == [1, 3, 3, 4]


@pytest.mark.parametrize(
    ("state", "number", "done"),
    [
        ("running", signal.SIGSTOP, [("pause",)]),
        ("paused", signal.SIGSTOP, []),
        ("paused", signal.SIGKILL, [("unpause",), ("kill", signal.SIGKILL)]),
        ("running", signal.SIGHUP, [("kill", signal.SIGHUP)]),
        ("restarting", signal.SIGKILL, [("stop", 0)]),
        ("exited", signal.SIGKILL, []),
    ],
)
def test_a_signal_that_is_to_keep_it_down_does_so_in_each_state(
    tmp_path: Path, state: str, number: int, done: list[tuple[Any, ...]]
) -> None:
    """Frozen ones are let go first, ones that are about to come back are kept from it."""
    yard = Yard(state)
    fleet(tmp_path, yard).signal("web", number, stay_down=True)
    assert yard.done == done


def test_a_signal_to_one_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    """Nobody is told of a signal that nobody got."""
    with pytest.raises(SandboxError, match="does not run"):
        fleet(tmp_path, Yard("exited")).signal("web", signal.SIGHUP, stay_down=False)


@pytest.mark.parametrize("state", ["exited", "restarting", "dead"])
def test_one_that_ends_while_it_starts_says_why(tmp_path: Path, state: str) -> None:
    """Its status and its last log lines are in the message."""
    with pytest.raises(NotReady, match=r"(?s)web ended while it started: exit status 7.*last"):
        fleet(tmp_path, Yard(state, "", ExitCode=7)).until_ready("web", 0.0)


@pytest.mark.parametrize(("health", "said"), [("starting", "running starting"), ("unhealthy", "running unhealthy")])
def test_one_that_never_gets_healthy_is_given_up(tmp_path: Path, health: str, said: str) -> None:
    """A health check that does not come round is an error by name, not a wait without end."""
    with pytest.raises(NotReady, match=f"web was not ready in time: it is {said}"):
        fleet(tmp_path, Yard(health=health)).until_ready("web", 0.0)


@pytest.mark.parametrize(("health", "oneshot"), [("healthy", False), ("", False)])
def test_healthy_is_ready_and_so_is_one_that_nobody_asks(tmp_path: Path, health: str, oneshot: bool) -> None:
    """A service without a health check and without a question of ours is ready as soon as it runs."""
    fleet(tmp_path, Yard(health=health), oneshot=oneshot).until_ready("web", 0.0)


def test_what_was_said_before_it_was_made_anew_is_kept(tmp_path: Path) -> None:
    """A new container begins with an empty log; the service's log does not."""
    found = fleet(tmp_path, Yard())
    (tmp_path / "web.earlier.log").write_text("before\n")
    assert found.log("web") == "before\nfirst\nlast\n"


class Failing:
    """A fleet whose `docker compose up` ends with `words`."""

    facts: Mapping[str, Any] = {}

    def __init__(self, words: str) -> None:
        self._words = words

    def compose_up(self, services: list[str], deadline: float) -> None:
        raise ComposeFailed(self._words)

    def complain(self, deadline: float) -> None:
        pass


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Bind for 127.0.0.1:21000 failed: port is already allocated", PortTakenError),
        ("listen tcp4 127.0.0.1:21000: bind: address already in use", PortTakenError),
        ("no space left on device", NotReady),
    ],
)
def test_a_port_that_somebody_took_is_worth_another_try(words: str, kind: type[Exception]) -> None:
    """Between the reservation of a port and the start of its service there is a moment in which anybody may take it."""
    with pytest.raises(kind, match=words.split(":")[-1].strip()) as odd:
        start_all(Failing(words), 0.0)  # type: ignore[arg-type]  # stands in
    assert type(odd.value) is kind
