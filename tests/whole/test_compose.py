"""The shipped sandbox in containers: how it is confined, and that the drill passes there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.sandbox.engine import LABEL, connect
from tests.conftest import THEIRS

pytestmark = [pytest.mark.integration, pytest.mark.docker, pytest.mark.alone, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
ROOTED = {"chromadb"}  # its image keeps its data in root's folder
WRITING = {"chromadb", "prometheus", "alertmanager"}  # to a folder of their own image


def gameday(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `gameday` with a state folder of this test's own."""
    return subprocess.run(
        [Path(sys.executable).with_name("gameday"), *words],
        cwd=ROOT,
        env={**THEIRS, "GAMEDAY_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], env=THEIRS, capture_output=True, text=True, check=True, timeout=60).stdout


def ours(state: Path) -> list[str]:
    """The ids of the containers of sandboxes in `state`."""
    said = docker("ps", "--all", "--filter", f"label={LABEL}", "--format", f'{{{{.ID}}}} {{{{.Label "{LABEL}"}}}}')
    return [line.split()[0] for line in said.splitlines() if line.partition(" ")[2].startswith(str(state))]


@pytest.fixture
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gd-") as folder:
        yield Path(folder)
        assert not ours(Path(folder)), "containers are left"
        assert not os.listdir(folder), "a sandbox is left"  # noqa: PTH208 - names are all that is needed


def confinement(container: dict[str, Any]) -> list[str]:
    """What would let a container do more than it has to."""
    host, service = container["HostConfig"], container["Config"]["Labels"]["com.docker.compose.service"]
    user = container["Config"]["User"].partition(":")[0]
    found = [
        ("is privileged", host["Privileged"]),
        ("has the host's network", host["NetworkMode"] == "host"),
        ("has the host's processes", host["PidMode"] == "host"),
        ("keeps capabilities", host["CapDrop"] != ["ALL"] or host["CapAdd"]),
        ("may take on privileges", "no-new-privileges:true" not in (host["SecurityOpt"] or [])),
        ("has devices", host["Devices"]),
        ("runs as root", user in ("", "0", "root") and service not in ROOTED),
        ("may write to its root file system", not host["ReadonlyRootfs"] and service not in WRITING),
        ("has no memory limit", not host["Memory"]),
        ("mounts the engine's socket", any(mount["Source"].endswith(".sock") for mount in container["Mounts"])),
        *(
            (f"publishes {port} on {one['HostIp']}", one["HostIp"] != "127.0.0.1")
            for port, many in (host["PortBindings"] or {}).items()
            for one in many
        ),
    ]
    return [f"{service} {what}" for what, is_so in found if is_so]


def test_no_container_can_do_more_than_it_has_to(state: Path) -> None:
    """By the engine's own account: no privileges, no root, no port but on this machine's loopback, no socket."""
    try:
        up = gameday(state, "up", "--runtime", "compose", "--time-scale", "60", "--json")
        assert up.returncode == 0, up.stderr
        containers = json.loads(docker("inspect", *ours(state)))
        assert len(containers) == len(json.loads(up.stdout)) > 10
        assert [problem for container in containers for problem in confinement(container)] == []
        mounts = {mount["Source"] for container in containers for mount in container["Mounts"]}
        outside = {source for source in mounts if not source.startswith(str(state)) and "/volumes/" not in source}
        assert not outside, "files of this machine are mounted"
    finally:
        assert gameday(state, "down").returncode == 0


def test_the_drill_passes_in_containers(state: Path, tmp_path: Path) -> None:
    """The whole chain, an LLM outage, has the verdict in containers that it has as processes."""
    for _ in range(2):  # one that says nothing of the system, beside strangers, is repeated once
        done = gameday(state, "run", "llm_outage", "--runtime", "compose", "--runs", str(tmp_path))
        if done.returncode not in (3, 4):
            break
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    record = json.loads(next(tmp_path.glob("llm_outage/2*/record.json")).read_text())
    assert record["runtime"] == "compose"
    assert all("image " in version for version in record["versions"].values())


def test_the_engine_is_asked_only_where_it_can_hold_a_sandbox() -> None:
    """Whoever started these tests has an engine that can: else they would have been skipped."""
    with connect(THEIRS) as engine:
        assert engine.problems() == []
