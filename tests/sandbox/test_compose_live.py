"""The compose runtime on a real engine, with a stack that it has never seen."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import NotReady, UsageError
from harness.faults import CpuQuota
from harness.model.units import seconds
from harness.probes.kernel import count_frozen
from harness.rollback import rollback
from harness.sandbox.base import (
    CanKill,
    CanLimit,
    CanRestart,
    CanSpawn,
    HasFiles,
    HasLogs,
    HasProcesses,
    Limits,
    Sandbox,
)
from harness.sandbox.compose import ComposeSandbox, open_sandbox
from harness.sandbox.engine import Engine, Whereabouts, connect
from harness.sandbox.leftovers import remove
from harness.sandbox.topology import Topology, read_topology
from tests.conftest import THEIRS
from tests.sandbox.stack import ask, eventually

pytestmark = [pytest.mark.integration, pytest.mark.docker, pytest.mark.timeout(120)]

IMAGE = "python:3.12-slim"
SERVER = """
import http.server, json, os, signal, subprocess, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/eat":
            held.append(b"x" * 200_000_000)
        body = json.dumps({"env": dict(os.environ), "conf": open("/etc/conf.txt").read()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        print("asked for", self.path, flush=True)

held = []
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("hello", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", 9000), Handler).serve_forever()
"""
CHECK = "import urllib.request as u; u.urlopen('http://127.0.0.1:9000/health', timeout=3)"
READY = {"http": "/health", "port": 9000}


def write(folder: Path, **change: Any) -> Topology:
    """A seed that ends, and a service that waits for it; `change` is laid over the service."""
    back = {
        "image": IMAGE,
        "user": "10001:10001",
        "restart": "unless-stopped",
        "command": ["python", "/srv/server.py"],
        "depends_on": {"seed": {"condition": "service_completed_successfully"}},
        "environment": {"ROLE": "back", "PRICE": "1$$2"},
        "volumes": ["./server.py:/srv/server.py:ro", "./conf.txt:/etc/conf.txt:ro", "shared:/data"],
        "expose": ["9000"],
        "mem_limit": "96m",
        "stop_grace_period": "1s",
        "healthcheck": {"test": ["CMD", "python", "-c", CHECK], "interval": "2s", "timeout": "3s", "retries": 3},
        "x-process": {"command": ["true"], "ready": READY},
        **change,
    }
    seed = {
        "image": IMAGE,
        "user": "10001:10001",
        "command": ["python", "-c", "open('/data/seed.txt', 'w').write('seeded')"],
        "volumes": ["shared:/data"],
        "x-process": {"command": ["true"], "oneshot": True},
    }
    folder.mkdir(parents=True, exist_ok=True)
    document = {"name": "tiny", "services": {"seed": seed, "back": back}, "volumes": {"shared": {}}}
    (folder / "docker-compose.yml").write_text(yaml.safe_dump(document))
    (folder / "server.py").write_text(SERVER)
    (folder / "conf.txt").write_text("peer back:9000 for 5m\n")
    return read_topology(folder / "docker-compose.yml", {})


def opened(topology: Topology, logs: Path, **more: Any) -> Any:
    return open_sandbox(topology, logs=logs, environ=THEIRS, say=lambda line: None, **{"render": {}, **more})


def inspected(sandbox: ComposeSandbox) -> list[dict[str, Any]]:
    """What the engine says of each container."""
    with sandbox.fleet.engine() as engine:
        return [dict(engine.inspect(one.id)) for one in engine.containers(sandbox.folder)]


def things(folder: Path) -> list[str]:
    """What the engine has of the sandbox in `folder`."""
    with connect(THEIRS) as engine:
        return [one.service for one in engine.containers(folder)] + list(engine.networks(folder))


@pytest.fixture(scope="module")
def tiny(module_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeSandbox]:
    """The stack, up, in a folder with a space in its path, with a file changed on its way in."""
    folder = tmp_path_factory.mktemp("a stack")
    os.environ["A_SECRET_OF_THE_CALLER"] = "hush"
    try:
        topology = write(folder)
        render = {folder / "conf.txt": lambda text: text.replace("5m", "5s")}
        with opened(topology, folder / "logs", render=render, environment={"back": {"NEW": "a$b"}}) as sandbox:
            yield sandbox
        assert "hello" in (folder / "logs" / "back.log").read_text()
        assert not things(sandbox.folder)
    finally:
        del os.environ["A_SECRET_OF_THE_CALLER"]


def test_it_has_the_abilities(tiny: ComposeSandbox) -> None:
    """It can do all that the process runtime can."""
    wanted = (Sandbox, CanRestart, CanKill, HasLogs, HasFiles, CanSpawn, CanLimit, HasProcesses)
    assert all(isinstance(tiny, ability) for ability in wanted)


def test_files_environment_and_order_are_those_of_the_file(tiny: ComposeSandbox) -> None:
    """A port that is only exposed is reached on a port of ours; files are rendered copies; names stay as written; the
    seed's file is there; nothing of the caller's environment gets in."""
    address = tiny.address("back", 9000)
    said = ask(tiny, "back", 9000)
    assert (address.host, address.scheme, address.port != 9000) == ("127.0.0.1", "http", True)
    assert said["conf"] == tiny.path("back", "/etc/conf.txt").read_text() == "peer back:9000 for 5s\n"
    assert {name: said["env"][name] for name in ("ROLE", "PRICE", "NEW")} == {
        "ROLE": "back",
        "PRICE": "1$2",
        "NEW": "a$b",
    }
    assert "A_SECRET_OF_THE_CALLER" not in said["env"]
    assert tiny.path("back", "/data/seed.txt").read_text() == "seeded"
    states = {status.name: (status.state, status.detail) for status in tiny.services()}
    assert states == {"seed": ("exited", "done"), "back": ("ready", "")}


def test_no_container_gets_out(tiny: ComposeSandbox) -> None:
    """No port is open to other machines, nothing is mounted but copies of ours, and nobody has the host's network."""
    for container in inspected(tiny):
        host = container["HostConfig"]
        published = [one for many in (host["PortBindings"] or {}).values() for one in many]
        assert all(one["HostIp"] == "127.0.0.1" for one in published)
        assert not host["Privileged"]
        assert host["NetworkMode"] != "host"
        assert all(mount["Source"].startswith(str(tiny.folder)) for mount in container["Mounts"])


def test_its_processes_are_the_services_own(tiny: ComposeSandbox) -> None:
    """The main process comes first, its children follow; a health check beside them is none of them."""
    time.sleep(2.0)  # a health check comes by meanwhile
    found = tiny.processes("back")
    assert [("server.py" in one.command, one.parent == found[0].pid) for one in found] == [(True, False), (False, True)]


def test_a_restart_with_a_new_environment_keeps_address_and_log(tiny: ComposeSandbox) -> None:
    """The container is made anew: its settings change and stay, None gives one back, what it said before is kept."""
    before = tiny.address("back", 9000)
    tiny.restart("back", {"MODE": "careful", "ROLE": "other"})
    tiny.restart("back")
    said = ask(tiny, "back", 9000)["env"]
    assert (said["MODE"], said["ROLE"], tiny.address("back", 9000)) == ("careful", "other", before)
    tiny.restart("back", {"MODE": None, "ROLE": None})
    said = ask(tiny, "back", 9000)["env"]
    assert ("MODE" in said, said["ROLE"]) == (False, "back")
    assert tiny.log("back").count("hello") == 4


def test_a_kill_is_answered_by_the_policy_unless_it_is_to_stay_down(tiny: ComposeSandbox) -> None:
    """A plain kill is followed by a start of the engine's own, one that is to stay down by none."""
    if os.geteuid() == 0:
        starts = next(s.starts for s in tiny.services() if s.name == "back")
        tiny.kill("back", signal.SIGKILL)
        assert eventually(lambda: next(s.starts for s in tiny.services() if s.name == "back") == starts + 1, 10)
        tiny.start("back")
    tiny.kill("back", signal.SIGKILL, stay_down=True)
    down = next(status for status in tiny.services() if status.name == "back")
    assert down.state == "exited"
    assert "SIGKILL" in down.detail
    assert "held down" in down.detail
    assert not tiny.processes("back")
    with pytest.raises(OSError, match="refused"):
        ask(tiny, "back", 9000)
    tiny.start("back")
    assert ask(tiny, "back", 9000)["env"]["ROLE"] == "back"


def test_limits_are_the_kernels_and_are_given_back(tiny: ComposeSandbox) -> None:
    """Cores and memory are limited in the cgroup, and lifting gives the file's own back."""
    own = tiny.limits("back")
    assert own.memory == 96 * 2**20
    tiny.limit("back", Limits(cores=frozenset({0}), memory=200 * 2**20))
    assert tiny.limits("back") == Limits(cores=frozenset({0}), memory=200 * 2**20)
    tiny.restart("back", {"A": "1"})
    assert tiny.limits("back").cores == frozenset({0})
    tiny.lift("back", "cores", "memory")
    assert tiny.limits("back") == own


def test_a_quota_holds_the_service_back_by_the_kernels_count(tiny: ComposeSandbox) -> None:
    """The fault is in force in the cgroup, bites a service that works, outlives a new container, and is healed."""
    fault = CpuQuota("back", cores=0.1)
    assert (fault.problems(tiny), fault.receipt(tiny, 0.0).in_force) == ([], False)
    fault.inject(tiny)
    tiny.restart("back", {"B": "1"})
    before = tiny.throttling("back")
    for _ in range(3):
        ask(tiny, "back", 9000)
    assert before.cores == 0.1
    assert eventually(lambda: tiny.throttling("back").held_back > 0, 5)
    assert fault.receipt(tiny, 0.0).in_force is True
    fault.heal(tiny)
    assert fault.receipt(tiny, 0.0).in_force is False


def test_a_service_that_eats_its_memory_is_killed_by_the_kernel(tiny: ComposeSandbox) -> None:
    """Beyond its limit the kernel kills a process, counts it, and the policy brings the service back."""
    starts = next(s.starts for s in tiny.services() if s.name == "back")
    with pytest.raises((OSError, http.client.HTTPException)):  # it dies before it has answered
        urllib.request.urlopen(f"http://{tiny.address('back', 9000)}/eat", timeout=10).read()
    assert eventually(lambda: next(s.starts for s in tiny.services() if s.name == "back") > starts, 10)
    tiny.start("back")


def test_a_pause_freezes_every_process(tiny: ComposeSandbox) -> None:
    """SIGSTOP pauses the container, by the kernel's word too; SIGCONT lets it go on."""
    tiny.kill("back", signal.SIGSTOP)
    assert next(s.state for s in tiny.services() if s.name == "back") == "paused"
    assert count_frozen(tiny.processes("back")) == len(tiny.processes("back")) == 2
    tiny.kill("back", signal.SIGCONT)
    assert count_frozen(tiny.processes("back")) == 0


def test_a_service_that_fails_is_named_and_nothing_is_left(state: Path, tmp_path: Path) -> None:
    """A crash while starting fails the start, with the service, its status and its last log lines."""
    crash = ["python", "-c", "print('no such setting'); raise SystemExit(7)"]
    with (
        pytest.raises(NotReady, match=r"(?s)back ended while it started: exit status 7.*no such setting"),
        opened(write(tmp_path, command=crash, restart="no"), tmp_path / "logs", start_within=seconds(20)),
    ):
        pytest.fail("it must not get up")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": "nobody.invalid/nothing:1"}, "nobody.invalid/nothing:1"),
        ({"privileged": True}, "privileged"),
        ({"network_mode": "host"}, "host's network"),
        ({"volumes": ["/var/run/docker.sock:/s"]}, "engine's socket"),
    ],
)
def test_what_can_not_be_started_is_refused_before_anything_is(
    state: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """An image that can't be had, and what would let a container out, is said by name; nothing was made."""
    with (
        pytest.raises(UsageError, match=said),
        opened(write(tmp_path, **change), tmp_path / "logs"),
    ):
        pytest.fail("it must not get up")


HARNESS = """
import sys, time
from pathlib import Path
from tests.sandbox.test_compose_live import opened
from harness.sandbox.topology import read_topology
with opened(read_topology(Path(sys.argv[1]), {}), Path(sys.argv[2])) as sandbox:
    print(sandbox.folder, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("also", ["harness", "supervisor"])
def test_nothing_is_left_after_a_kill(state: Path, tmp_path: Path, also: str) -> None:
    """kill -9 of the harness: the supervisor removes containers and network; of both: the rollback does."""
    write(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", HARNESS, str(tmp_path / "docker-compose.yml"), str(tmp_path / "logs")],
        stdout=subprocess.PIPE,
        text=True,
        env={**THEIRS, "GAMEDAY_STATE_DIR": str(state)},
        cwd=Path(__file__).parents[2],
    )
    with process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert things(folder)
        supervisor = json.loads((folder / "state.json").read_text())["supervisor"][0]
        if also == "supervisor":
            os.kill(supervisor, signal.SIGSTOP)
        process.kill()
    if also == "supervisor":
        os.kill(supervisor, signal.SIGKILL)
        assert rollback().clean
    assert eventually(lambda: not (things(folder) or folder.exists() or Path(f"/proc/{supervisor}").exists()), 10)


def test_an_engine_that_is_gone_is_an_error_and_leaves_the_folder(tmp_path: Path) -> None:
    """Where the engine does not answer, nothing is called removed."""
    Whereabouts(host=f"unix://{tmp_path}/nobody", project="p", api_version="1.41").save(tmp_path)
    assert "no Docker engine answers" in " ".join(remove(tmp_path))
    with pytest.raises(UsageError, match="no Docker engine answers"):
        Engine(f"unix://{tmp_path}/nobody")
