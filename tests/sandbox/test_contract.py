"""Every runtime must do all of this, on a stack that it has never seen."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest

from harness.errors import NotReady, UsageError
from harness.model.units import seconds
from harness.sandbox.base import CanKill, CanRestart, CanSpawn, HasFiles, HasLogs, Sandbox
from harness.sandbox.processes import ProcessSandbox, open_sandbox
from harness.sandbox.topology import Topology
from tests.sandbox.stack import ask, eventually, write_stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


class Opener(Protocol):
    """Starts a topology in one of the runtimes."""

    def __call__(self, topology: Topology, *, logs: Path, **more: Any) -> AbstractContextManager[ProcessSandbox]: ...


def _processes(topology: Topology, *, logs: Path, **more: Any) -> AbstractContextManager[ProcessSandbox]:
    return open_sandbox(topology, parts={}, logs=logs, **{"render": {}, **more})


RUNTIMES: dict[str, Opener] = {"processes": _processes}


@pytest.fixture(params=RUNTIMES, scope="module")
def opener(request: pytest.FixtureRequest) -> Opener:
    return RUNTIMES[request.param]


@pytest.fixture(scope="module")
def tiny(opener: Opener, module_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessSandbox]:
    """The stack, up, in a folder with a space in its path."""
    folder = tmp_path_factory.mktemp("a stack")
    os.environ["A_SECRET_OF_THE_CALLER"] = "hush"
    try:
        with opener(write_stack(folder), logs=folder / "logs") as sandbox:
            yield sandbox
    finally:
        del os.environ["A_SECRET_OF_THE_CALLER"]


def test_it_has_the_abilities(tiny: Sandbox) -> None:
    """The sandbox can restart, kill, show logs and files, and run helpers."""
    assert all(isinstance(tiny, ability) for ability in (Sandbox, CanRestart, CanKill, HasLogs, HasFiles, CanSpawn))


def test_services_are_reached_at_their_addresses(tiny: Sandbox) -> None:
    """Each container port is reached on a loopback port, under the scheme that its readiness check speaks."""
    address = tiny.address("front", 8000)
    assert (address.host, address.scheme) == ("127.0.0.1", "http")
    assert ask(tiny, "front", 8000)["argv"][1] == str(address.port)


@pytest.mark.parametrize(("service", "port"), [("front", 1), ("nobody", 8000)])
def test_an_address_that_is_not_there_is_a_usage_error(tiny: Sandbox, service: str, port: int) -> None:
    """Asking for an unknown service or port says so."""
    with pytest.raises(UsageError, match=f"{service}.*{'port' if port == 1 else ''}"):
        tiny.address(service, port)


def test_names_ports_and_paths_are_rewritten(tiny: ProcessSandbox) -> None:
    """In environment, command and mounted files, service:port and mounted paths become the real ones."""
    front, back = tiny.address("front", 8000), tiny.address("back", 9000)
    said = ask(tiny, "front", 8000)
    assert said["env"]["PEER"] == f"http://{back}/api"
    assert said["env"]["LISTEN"] == str(front)
    assert said["env"]["VERSION"] == "back:9000.1"
    data = tiny.path("front", "/data")
    assert said["env"]["DATABASE"] == f"sqlite:///{data}/front.db"
    conf = tiny.path("front", "/etc/front/conf.txt")
    assert said["argv"][2] == str(conf)
    assert conf.read_text() == f"peer {back}, me {front}, data in {data}/x\n"


def test_services_share_a_volume_and_keep_to_their_order(tiny: ProcessSandbox) -> None:
    """A one-shot service has done its work on the shared volume before its dependent starts."""
    assert tiny.path("front", "/data/seed.txt").read_text() == "seeded"
    kinds = [(event.kind, event.subject) for event in tiny.events()]
    assert kinds.index(("service.ready", "back")) < kinds.index(("service.started", "front"))
    assert kinds.index(("service.exited", "seed")) < kinds.index(("service.started", "front"))


def test_the_environment_is_clean(tiny: Sandbox) -> None:
    """Nothing of the caller's environment reaches a service; its home and temporary folder are the sandbox's."""
    said = ask(tiny, "back", 9000)
    assert said["env"]["ROLE"] == "back"
    assert "A_SECRET_OF_THE_CALLER" not in said["env"]
    assert said["env"]["TMPDIR"].startswith(said["env"]["HOME"])
    assert tiny.name in said["env"]["HOME"]


def test_logs_are_kept(tiny: ProcessSandbox) -> None:
    """What a service prints is in its log."""
    ask(tiny, "back", 9000)
    assert "hello from server.py" in tiny.log("back")
    assert eventually(lambda: "asked for /who" in tiny.log("back"), 2)


def test_status_names_every_service(tiny: Sandbox) -> None:
    """Each service shows its state, pid and addresses; one that has done its work says so."""
    by_name = {status.name: status for status in tiny.services()}
    assert set(by_name) == {"seed", "back", "front"}
    assert (by_name["seed"].state, by_name["seed"].detail) == ("exited", "done")
    assert by_name["front"].state == "ready"
    assert by_name["front"].identity == str(ask(tiny, "front", 8000)["pid"])


def test_a_restart_takes_a_new_environment_and_keeps_it(tiny: ProcessSandbox) -> None:
    """The environment given to a restart is rewritten, and stays for the next one; the address stays too."""
    before = tiny.address("front", 8000)
    tiny.restart("front", {"MODE": "careful", "PEER": "http://back:9000/other"})
    tiny.restart("front")
    said = ask(tiny, "front", 8000)
    assert (said["env"]["MODE"], said["env"]["PEER"]) == ("careful", f"http://{tiny.address('back', 9000)}/other")
    assert tiny.address("front", 8000) == before
    assert "asked to end" in tiny.log("front")
    exits = [
        event.details["status"] for event in tiny.events() if (event.kind, event.subject) == ("service.exited", "front")
    ]
    assert exits == [0, 0], "it was killed before it could end by itself"


def test_a_stopped_service_stays_stopped(tiny: ProcessSandbox) -> None:
    """Stopping beats the restart policy; starting brings the service back."""
    tiny.stop("back")
    assert {s.name: s.state for s in tiny.services()}["back"] == "stopped"
    assert not eventually(lambda: {s.name: s.state for s in tiny.services()}["back"] != "stopped", 0.5)
    with pytest.raises(OSError, match="refused"):
        ask(tiny, "back", 9000)
    tiny.start("back")
    tiny.start("back")
    assert ask(tiny, "back", 9000)["env"]["ROLE"] == "back"


def test_a_killed_service_is_seen_to_die_and_comes_back_by_its_policy(tiny: ProcessSandbox) -> None:
    """A kill ends all of a service's processes, leaves its exit in the events, and the policy starts it again."""
    seen = len(tiny.events())
    pid = ask(tiny, "back", 9000)["pid"]
    tiny.kill("back", signal.SIGKILL)
    assert eventually(lambda: any(e.kind == "service.ready" for e in tiny.events(seen)), 10)
    events = {event.kind: event for event in tiny.events(seen)}
    assert events["service.exited"].details == {"pid": pid, "status": -9}
    assert events["service.exited"].at <= events["service.restarting"].at <= events["service.ready"].at
    assert ask(tiny, "back", 9000)["pid"] != pid


def test_a_service_without_a_policy_stays_dead(tiny: ProcessSandbox) -> None:
    """Where the compose file names no restart policy, a killed service stays down and says why."""
    tiny.kill("front", signal.SIGKILL)
    assert eventually(lambda: {s.name: s.state for s in tiny.services()}["front"] == "exited", 5)
    assert "SIGKILL" in {s.name: s.detail for s in tiny.services()}["front"]
    tiny.start("front")


def test_a_paused_service_shows_as_paused(tiny: ProcessSandbox) -> None:
    """SIGSTOP pauses a service, SIGCONT lets it go on."""
    tiny.kill("back", signal.SIGSTOP)
    assert eventually(lambda: {s.name: s.state for s in tiny.services()}["back"] == "paused", 2)
    tiny.kill("back", signal.SIGCONT)
    assert ask(tiny, "back", 9000)["env"]["ROLE"] == "back"


def test_a_helper_runs_and_ends_with_all_that_it_started(tiny: ProcessSandbox, tmp_path: Path) -> None:
    """A helper gets its environment and folder; ending it ends its background jobs; ending it twice is fine."""
    log = tmp_path / "helper.log"
    script = "sleep 60 & echo $WORD $! $PWD; wait"
    tiny.spawn("job", ["/bin/sh", "-c", script], environment={"WORD": "hi"}, directory=tmp_path, log=log)
    assert eventually(lambda: log.exists() and log.read_text().endswith("\n"), 5)
    word, child, folder = log.read_text().split(" ", 2)
    assert (word, folder.strip()) == ("hi", str(tmp_path))
    assert tiny.spawned("job").status is None
    assert tiny.end("job", grace=2).status == -signal.SIGTERM
    assert tiny.end("job", grace=2).status == -signal.SIGTERM
    assert eventually(lambda: not Path(f"/proc/{child}").exists(), 2)


def test_a_helper_that_ends_leaves_its_status(tiny: ProcessSandbox, tmp_path: Path) -> None:
    """The exit status of a helper can be asked for after its end, and its name can be used again."""
    for status in (3, 4):
        tiny.spawn("once", ["/bin/sh", "-c", f"exit {status}"], environment={}, directory=tmp_path, log=tmp_path / "l")
        assert eventually(lambda: tiny.spawned("once").status is not None, 5)
        assert tiny.spawned("once").status == status


def test_a_helper_that_ignores_the_request_is_killed(tiny: ProcessSandbox, tmp_path: Path) -> None:
    """Past its grace a helper is killed."""
    log = tmp_path / "log"
    script = "trap '' TERM; echo on; while :; do sleep 0.1; done"
    tiny.spawn("mule", ["/bin/sh", "-c", script], environment={}, directory=tmp_path, log=log)
    assert eventually(lambda: log.exists() and "on" in log.read_text(), 5)
    assert tiny.end("mule", grace=0.2).status == -signal.SIGKILL


def test_two_sandboxes_do_not_disturb_each_other(tiny: ProcessSandbox, opener: Opener, tmp_path: Path) -> None:
    """A second sandbox of the same stack has its own ports, files and processes, and its end leaves the first alone."""
    with opener(write_stack(tmp_path / "two"), logs=tmp_path / "logs") as other:
        assert other.name != tiny.name
        assert other.address("front", 8000).port != tiny.address("front", 8000).port
        assert other.path("front", "/data") != tiny.path("front", "/data")
        pids = {ask(sandbox, "front", 8000)["pid"] for sandbox in (tiny, other)}
        assert len(pids) == 2
    assert ask(tiny, "front", 8000)["pid"] in pids


def test_given_environment_and_rendered_files_reach_the_service(opener: Opener, state: Path, tmp_path: Path) -> None:
    """`environment` lies over the file's own; `render` changes a mounted file before its addresses are rewritten."""
    topology = write_stack(tmp_path)
    render: dict[Path, Callable[[str], str]] = {tmp_path / "conf.txt": lambda text: text.replace("peer", "PEER")}
    extra = {"front": {"PEER": "back:9000", "NEW": "1"}}
    with opener(topology, logs=tmp_path / "logs", render=render, environment=extra) as sandbox:
        back = sandbox.address("back", 9000)
        env = ask(sandbox, "front", 8000)["env"]
        assert (env["PEER"], env["NEW"]) == (str(back), "1")
        assert sandbox.path("front", "/etc/front/conf.txt").read_text().startswith(f"PEER {back}")
    assert (tmp_path / "conf.txt").read_text().startswith("peer back:9000")


def test_a_service_that_crashes_while_starting_says_why(opener: Opener, state: Path, tmp_path: Path) -> None:
    """A crash while starting fails at once, with the service, its status and its last log lines."""

    def crash(services: dict[str, Any]) -> None:
        services["back"]["x-process"]["command"] = ["{python}", "-c", "print('no such setting'); raise SystemExit(7)"]

    with (
        pytest.raises(NotReady, match=r"(?s)back ended while it started: exit status 7.*no such setting"),
        opener(write_stack(tmp_path, crash), logs=tmp_path / "logs"),
    ):
        pytest.fail("it must not get up")


def test_a_service_that_never_gets_ready_is_given_up(opener: Opener, state: Path, tmp_path: Path) -> None:
    """A service that does not answer in time fails the start, by name."""

    def mute(services: dict[str, Any]) -> None:
        services["back"]["x-process"]["command"] = ["{python}", "-c", "import time; print('mute'); time.sleep(60)"]

    with (
        pytest.raises(NotReady, match=r"(?s)back was not ready after (1|0\.9\d*) s.*mute"),
        opener(write_stack(tmp_path, mute), logs=tmp_path / "logs", start_within=seconds(1)),
    ):
        pytest.fail("it must not get up")


THIEF = """
import pathlib, socket, subprocess, sys, time
once = pathlib.Path(sys.argv[2])
while not once.exists():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind(("127.0.0.1", int(sys.argv[1])))
    except OSError:  # still held for `back`, which may start a moment later
        s.close()
        time.sleep(0.02)
        continue
    s.listen()
    s.set_inheritable(True)
    sleep = [sys.executable, "-c", "import time; time.sleep(20)"]
    subprocess.Popen(sleep, pass_fds=[s.fileno()], start_new_session=True)
    once.touch()
"""


def test_a_taken_port_is_tried_again_elsewhere(opener: Opener, state: Path, tmp_path: Path) -> None:
    """Where somebody takes a service's port before it starts, so that it ends, the whole sandbox starts once more on
    other ports."""
    once = tmp_path / "stolen"

    def steal(services: dict[str, Any]) -> None:
        theft = ["{python}", "-c", THIEF, "{port:back:9000}", str(once)]
        services["thief"] = {"x-process": {"command": theft, "oneshot": True}}
        # The port is free for the thief once `back` has been started.
        wait = f"while [ ! -e '{once}' ]; do sleep 0.05; done; "
        script = wait + "exec '{python}' server.py {port:9000}"
        services["back"]["x-process"] = {"command": ["/bin/sh", "-c", script], "ready": {"tcp": 9000}}

    with opener(write_stack(tmp_path, steal), logs=tmp_path / "logs") as sandbox:
        assert once.exists()
        assert ask(sandbox, "back", 9000)["env"]["ROLE"] == "back"
