"""However a harness ends, its sandbox ends with it, soon and without a trace."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SandboxError, UsageError
from harness.journal import Journal
from harness.rollback import rollback
from harness.sandbox.control import ask as ask_supervisor
from harness.sandbox.identity import LEASH, Identity, belonging, marked
from harness.sandbox.ports import is_taken
from harness.sandbox.processes import ProcessSandbox, attach, open_sandbox, sandboxes, shut_down
from harness.sandbox.state import SOCKET, read_state
from tests.sandbox.stack import ask, eventually, write_stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
ROOT = str(Path(__file__).parents[2])
PROMISED = 5.0  # seconds after the death of a harness in which everything of it must be gone


def opened(folder: Path, **more: Any) -> contextlib.AbstractContextManager[ProcessSandbox]:
    return open_sandbox(write_stack(folder), parts={}, render={}, logs=folder / "logs", **more)


def everyone(root: Path) -> list[int]:
    """The pids of all processes with the mark or the leash of a sandbox in `root`."""
    folders = {Path(name) for name in marked() if Path(name).parent == root} | set(root.iterdir())
    return sorted({identity.pid for folder in folders for identity in belonging(folder)})


def gone(root: Path) -> bool:
    return not list(root.iterdir()) and not everyone(root)


@contextmanager
def harness(
    folder: Path, stack: Callable[[dict[str, Any]], None] = lambda services: None
) -> Iterator[subprocess.Popen[str]]:
    """A harness in a process group of its own, whose start is under way."""
    write_stack(folder, stack)
    (folder / "logs").mkdir()
    script = Path(__file__).with_name("harness_script.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(folder / "docker-compose.yml"), str(folder / "logs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            yield process
        finally:
            process.kill()


def name_of(process: subprocess.Popen[str]) -> str:
    """Wait until the harness's sandbox is up; its name."""
    assert process.stdout is not None
    word, _, name = process.stdout.readline().strip().partition(" ")
    assert word == "up"
    return name


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("after", [0.0, 0.05, 0.12, 0.2, 0.3, 0.45, 0.6])
def test_a_harness_ended_while_it_starts_leaves_nothing(
    after: float, number: signal.Signals, state: Path, tmp_path: Path
) -> None:
    """Killed or interrupted at any instant of the start: within 5 s no process, folder or socket is left."""
    with harness(tmp_path) as process:
        time.sleep(after)
        os.killpg(process.pid, number)
        process.wait(PROMISED)
    assert eventually(lambda: gone(state), PROMISED)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_harness_that_ends_takes_its_sandbox_with_it(number: signal.Signals, state: Path, tmp_path: Path) -> None:
    """Killed, terminated, interrupted or hung up, with an open promise and services that escape and resist: within
    5 s nothing is left."""

    def resist(services: dict[str, Any]) -> None:
        services["back"]["x-process"]["command"] += ["--escape", "--vanish", "--stubborn"]

    with harness(tmp_path, resist) as process:
        name = name_of(process)
        supervisor = read_state(state / name).supervisor  # type: ignore[union-attr]  # it is up
        before = belonging(state / name, [supervisor])
        ports = read_state(state / name).ports  # type: ignore[union-attr]  # it is up
        assert len(before) >= 7  # the supervisor, two services, a child, two that escaped, a helper
        os.killpg(process.pid, number)  # as a terminal does with Ctrl-C
        process.wait()
    assert eventually(lambda: gone(state) and not [one for one in before if one.alive], PROMISED)
    assert not [port for port in ports if is_taken(port)]


def test_an_exception_in_the_block_ends_the_sandbox_and_comes_through(state: Path, tmp_path: Path) -> None:
    """What goes wrong inside the block is what the caller sees, and the sandbox is gone by then."""
    with pytest.raises(ZeroDivisionError), opened(tmp_path):
        1 / 0  # noqa: B018 - to raise
    assert gone(state)


def test_trouble_with_the_end_does_not_hide_what_went_wrong(state: Path, tmp_path: Path) -> None:
    """An exception of the block comes through as it is, the sandbox's own trouble is noted beside it."""
    with (  # noqa: PT012 - what is raised comes from deep in the block
        pytest.raises(ZeroDivisionError) as raised,
        opened(tmp_path) as sandbox,
    ):
        os.kill(int(ask_supervisor(sandbox.folder, "ping")["pid"]), signal.SIGKILL)
        1 / 0  # noqa: B018 - to raise
    assert "died or hung" in raised.value.__notes__[0]
    assert gone(state)


def test_a_harness_whose_child_holds_the_lifeline_is_still_missed(state: Path, tmp_path: Path) -> None:
    """A fork of the harness keeps its end of the lifeline open; the supervisor sees by its pid that it is gone."""
    with harness(tmp_path) as process:
        supervisor = read_state(state / name_of(process)).supervisor  # type: ignore[union-attr]  # it is up
        with contextlib.ExitStack() as keep:
            for sock in (copies := _copy_sockets_of(process.pid)):
                keep.enter_context(sock)
            process.kill()
            process.wait()
            assert copies
            assert eventually(lambda: gone(state) and not supervisor.alive, PROMISED)


def _copy_sockets_of(pid: int) -> list[socket.socket]:
    """Second owners of the sockets of another process, as a fork of it would be (pidfd_getfd(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.pidfd_open(pid)
    try:
        links = [link for link in Path(f"/proc/{pid}/fd").iterdir() if "socket:" in str(link.readlink())]
        copies = [libc.syscall(438, handle, int(link.name), 0) for link in links]
        return [socket.socket(fileno=copy) for copy in copies if copy >= 0]
    finally:
        os.close(handle)


def test_the_death_of_the_supervisor_is_repaired_by_rollback(state: Path, tmp_path: Path) -> None:
    """Supervisor and harness killed: rollback ends what is left, even a process that wiped its environment."""

    def escape(services: dict[str, Any]) -> None:
        services["back"]["x-process"]["command"] += ["--escape"]

    with harness(tmp_path, escape) as process:
        name = name_of(process)
        found = read_state(state / name)
        assert found is not None
        found.supervisor.send(signal.SIGKILL)
        process.kill()
        process.wait()
    assert eventually(lambda: [s.dead for s in sandboxes()] == [True], 2)
    assert everyone(state), "the one that escaped should have survived"
    done = rollback()
    assert gone(state)
    assert not done.clean, "a promise that nobody can read must be looked at"
    assert "a fault of no known kind" in str(done)
    assert str(rollback()) == "nothing to roll back"


def test_the_next_start_repairs_what_is_left(state: Path, tmp_path: Path) -> None:
    """A dead sandbox is cleared away before a new one starts."""
    with harness(tmp_path / "first") as process:
        name = name_of(process)
        (state / name / "journal.jsonl").unlink()
        found = read_state(state / name)
        assert found is not None
        found.supervisor.send(signal.SIGKILL)
        process.kill()
        process.wait()
    with opened(tmp_path / "second") as sandbox:
        assert [path.name for path in state.iterdir()] == [sandbox.name]


def test_a_harness_that_loses_its_supervisor_says_so_and_cleans_up(state: Path, tmp_path: Path) -> None:
    """The supervisor killed under a live harness: calls fail with a clear error, and nothing is left."""
    with (  # noqa: PT012 - what is raised is raised by the end of the block
        pytest.raises(SandboxError, match="died or hung") as raised,
        opened(tmp_path) as sandbox,
    ):
        found = read_state(sandbox.folder)
        assert found is not None
        found.supervisor.send(signal.SIGKILL)
        with pytest.raises(SandboxError, match="does not answer"):
            sandbox.services()
        died = eventually(lambda: not any(one.alive for one in found.processes.values()), 2)
    assert died, "the kernel should have killed what the supervisor had started"
    assert "left over: nothing" in str(raised.value)
    assert gone(state)


def test_rollback_leaves_live_sandboxes_alone(state: Path, tmp_path: Path) -> None:
    """A sandbox whose harness lives is not touched; with `everything` it is ended."""
    with harness(tmp_path) as process:
        name = name_of(process)
        assert f"{name}: left alone, its run is on (pid {process.pid})" in str(rollback())
        assert attach(name).services()
        (state / name / "journal.jsonl").unlink()
        assert rollback(everything=True).clean
        assert gone(state)


def test_rollback_ends_processes_whose_folder_was_swept_away(state: Path, tmp_path: Path) -> None:
    """Marked processes without a sandbox's folder and without a supervisor are ended."""
    stray = subprocess.Popen(["/bin/sleep", "60"], env={"GAMEDAY_SANDBOX": str(state / "lost-1")})
    try:
        done = rollback()
        assert "lost-1: ended 1 processes" in str(done)
        assert stray.wait(5) == -signal.SIGTERM
    finally:
        stray.kill()
        stray.wait()


def test_a_detached_sandbox_lives_until_it_is_shut_down(state: Path, tmp_path: Path) -> None:
    """A detached sandbox outlives its block, can be attached to by name, and `shut_down` leaves nothing of it."""
    with opened(tmp_path, detached=True, name="mine") as sandbox:
        address = sandbox.address("front", 8000)
    again = attach("mine")
    assert again.address("front", 8000) == address
    assert ask(again, "front", 8000)["env"]["LISTEN"] == str(address)
    assert "left alone, it is up on its own" in str(rollback())
    with pytest.raises(SandboxError, match="mine can't be made"), opened(tmp_path / "2", name="mine"):
        pass
    shut_down("mine")
    assert gone(state)
    with pytest.raises(SandboxError, match="there is no sandbox 'mine'"):
        attach("mine")


def test_a_detached_start_that_fails_is_not_left_up(state: Path, tmp_path: Path) -> None:
    """An exception in the block of a detached sandbox ends it."""
    with pytest.raises(RuntimeError, match="no"), opened(tmp_path, detached=True):
        raise RuntimeError("no")
    assert gone(state)


GARBAGE = [
    b"\n",
    b"not json\n",
    b"[]\n",
    b"{}\n",
    b'{"op": "no such"}\n',
    b'{"op": "__class__"}\n',
    b'{"op": "kill"}\n',
    b'{"op": "kill", "service": "back", "signal": "x"}\n',
    b'{"op": "spawn", "name": 1, "argv": 2, "environment": 3, "directory": 4, "log": 5}\n',
    b'{"op": "launch", "plans": [{}], "within": 1, "events": "/dev/null/no/file"}\n',
    b"\xff\xfe\n",
    b"x" * 9_000_000 + b"\n",
    b"cut off",
]


def test_no_request_can_end_the_supervisor(state: Path, tmp_path: Path) -> None:
    """Odd, huge and broken requests are answered or dropped; the sandbox goes on."""
    with opened(tmp_path) as sandbox:
        for line in GARBAGE:
            with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(ConnectionError):
                sock.connect(str(sandbox.folder / SOCKET))
                sock.settimeout(5)
                sock.sendall(line)
                sock.shutdown(socket.SHUT_WR)
                answer = sock.makefile("rb").readline()
                assert not answer or json.loads(answer)["ok"] is False
        assert ask(sandbox, "front", 8000)


def test_a_log_folder_that_vanishes_does_not_disturb_the_sandbox(state: Path, tmp_path: Path) -> None:
    """Where logs can't be written, services still restart and the supervisor still cleans up."""
    with opened(tmp_path) as sandbox:
        for path in sandbox.logs.iterdir():
            path.unlink()
        sandbox.logs.rmdir()
        sandbox.logs.touch()  # a file in the folder's place: nothing can be made in it
        sandbox.restart("back")
        assert ask(sandbox, "back", 9000)
        with pytest.raises(SandboxError, match="can't be read"):
            sandbox.log("back")
    assert gone(state)


def test_a_port_that_another_sandbox_wrote_down_is_not_taken(state: Path, tmp_path: Path) -> None:
    """A port that another sandbox has let go of, for a service that is down just now, stays that sandbox's."""
    with opened(tmp_path) as sandbox:
        mine = read_state(sandbox.folder)
        assert mine is not None
        other = replace(mine, folder=state / "other", ports=tuple(range(1024, 65536)))
        other.folder.mkdir()
        (other.folder / LEASH).touch()
        other.save()
        with pytest.raises(SandboxError, match="no 3 free ports"):
            ask_supervisor(sandbox.folder, "reserve", count=3)
        shutil.rmtree(other.folder)
        assert len(ask_supervisor(sandbox.folder, "reserve", count=3)["ports"]) == 3


def test_the_leash_tells_a_process_that_wiped_its_environment(tmp_path: Path) -> None:
    """A process without the mark is found by the file that it inherited open."""
    with (tmp_path / LEASH).open("w") as leash:
        process = subprocess.Popen(["/bin/sleep", "60"], env={}, pass_fds=[leash.fileno()])
        try:
            assert process.pid in {identity.pid for identity in belonging(tmp_path)}
            assert process.pid not in {identity.pid for identity in belonging(tmp_path / "other")}
        finally:
            process.kill()
            process.wait()


def test_no_signal_goes_to_a_process_that_took_over_a_pid() -> None:
    """An identity with another start time is not signalled, and neither is a process that is gone."""
    process = subprocess.Popen(["/bin/sleep", "60"])
    try:
        right = Identity.of(process.pid)
        assert right is not None
        assert Identity(process.pid, "1@0").send(signal.SIGKILL) is False
        assert process.poll() is None
        assert right.send(signal.SIGKILL) is True
    finally:
        process.kill()
        process.wait()
    assert right.send(signal.SIGKILL) is False
    assert Identity.of(process.pid) is None


def test_problems_are_said_before_anything_starts(state: Path, tmp_path: Path) -> None:
    """Every reason why a topology can't run as processes is in one error, and nothing is left of the attempt."""

    def spoil(services: dict[str, Any]) -> None:
        services["back"]["environment"] = {"PEER": "front:1", "DB_HOST": "front"}
        services["front"]["volumes"].append("./missing.txt:/etc/missing.txt")

    topology = write_stack(tmp_path, spoil)
    render: dict[Path, Callable[[str], str]] = {tmp_path / "unmounted.yml": str}
    with (
        pytest.raises(UsageError) as raised,
        open_sandbox(topology, parts={}, render=render, logs=tmp_path / "logs", environment={"nobody": {}}),
    ):
        pass
    said = " | ".join(raised.value.problems)
    for part in ("front:1", "DB_HOST", "missing.txt", "unmounted.yml", "nobody"):
        assert part in said
    assert gone(state)


def test_an_open_promise_is_healed_before_the_end(state: Path, tmp_path: Path) -> None:
    """A promise in the journal is given to `rollback --heal` while the services still run."""
    with opened(tmp_path) as sandbox:
        Journal(sandbox.folder).promise({"kind": "a fault of no known kind"})
        logs = sandbox.logs
    assert "a fault of no known kind" in (logs / "healing.log").read_text()
    kinds = [json.loads(line)["kind"] for line in (logs / "supervisor.jsonl").read_text().splitlines()]
    assert kinds.index("supervisor.healed") < max(n for n, kind in enumerate(kinds) if kind == "service.exited")
