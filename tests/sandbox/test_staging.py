"""What a sandbox of containers needs is worked out, and refused, before anything starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.sandbox.images import absent, provide, read_recipes, say_version
from harness.sandbox.service import Service
from harness.sandbox.staging import COMPOSE, read_facts, services_of, stage
from harness.sandbox.topology import Topology
from tests.sandbox.stack import write_stack


def resolved(**change: Any) -> dict[str, Any]:
    """The stack as Compose reads it, `change` laid over its service `front`."""
    volume = {"type": "volume", "source": "shared", "target": "/data"}
    conf = {"type": "bind", "source": "/p/conf.txt", "target": "/etc/front/conf.txt", "read_only": True}
    return {
        "name": "gd-tiny",
        "services": {
            "seed": {"image": "seed", "volumes": [volume]},
            "back": {"image": "back", "environment": {"ROLE": "back"}},
            "front": {"image": "front", "volumes": [conf, volume], **change},
        },
    }


def staged(folder: Path, topology: Topology, services: tuple[Service, ...], **more: Any) -> Any:
    return stage(
        topology,
        resolved(),
        services,
        folder=folder / "sandbox",
        logs=folder / "logs",
        ports=[21000, 21001],
        **{"render": {}, "overrides": {}, "versions": {}, "api_version": "1.41", **more},
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"privileged": True}, "is privileged"),
        ({"network_mode": "host"}, "host's network"),
        ({"pid": "host"}, "host's network or processes"),
        ({"volumes": [{"type": "bind", "source": "/var/run/docker.sock", "target": "/s"}]}, "engine's socket"),
        ({"deploy": {"replicas": 2}}, "more than one copy"),
        ({"scale": 3}, "more than one copy"),
        ({"image": ""}, "has no `image`"),
    ],
)
def test_what_would_let_a_container_out_or_can_not_be_watched_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """Each by the service's name."""
    with pytest.raises(UsageError, match=f"service front: .*{said}"):
        services_of(write_stack(tmp_path), resolved(**change))


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    """Environment for nobody, and a file that nobody mounts but that was to be scaled."""
    topology = write_stack(tmp_path)
    services = services_of(topology, resolved())
    with pytest.raises(UsageError) as odd:
        staged(tmp_path, topology, services, overrides={"nobody": {}}, render={tmp_path / "rules.yml": str.upper})
    assert len(odd.value.problems) == 2


def test_it_is_written_so_that_others_can_use_it(tmp_path: Path) -> None:
    """Copies are rendered and readable by a container's user, volumes can be written by it; who waits for whom, and
    what is ready, is there for whoever attaches."""
    topology = write_stack(tmp_path)
    (tmp_path / "conf.txt").chmod(0o600)
    (tmp_path / "sandbox").mkdir()
    made = staged(tmp_path, topology, services_of(topology, resolved()), render={tmp_path / "conf.txt": str.upper})
    made.write()
    copy = tmp_path / "sandbox/files/front/etc/front/conf.txt"
    assert copy.read_text() == (tmp_path / "conf.txt").read_text().upper()
    assert copy.stat().st_mode & 0o444 == 0o444
    assert (tmp_path / "sandbox/volumes/shared").stat().st_mode & 0o777 == 0o777
    facts = read_facts(tmp_path / "sandbox")
    assert (facts["seed"].oneshot, facts["front"].oneshot) == (True, False)
    assert (facts["front"].ready, facts["back"].restart) == ((8000, "/health"), "unless-stopped")
    front = json.loads((tmp_path / "sandbox" / COMPOSE).read_text())["services"]["front"]
    assert {mount["source"] for mount in front["volumes"]} == {str(copy), str(tmp_path / "sandbox/volumes/shared")}


class Store:
    """An engine with these images."""

    def __init__(self, **labels: dict[str, str]) -> None:
        self._labels = labels

    def image(self, name: str) -> dict[str, Any] | None:
        held = self._labels.get(name.partition(":")[0])
        return None if held is None else {"Id": "sha256:0123456789abcdef", "Config": {"Labels": held}}


def test_a_build_that_needs_more_than_a_folder_is_refused() -> None:
    """Arguments, targets and secrets of a build are not done by halves."""
    services: dict[str, dict[str, Any]] = {
        "web": {"image": "web", "build": {"context": "/p", "args": {"A": "1"}}},
        "api": {"build": {"context": "/p"}},
    }
    with pytest.raises(UsageError, match=r"(?s)web: build has args.*api: is built, but has no `image`"):
        read_recipes(services)


def test_images_that_are_neither_here_nor_built_are_absent() -> None:
    """Ours are built with every start: they need not be here."""
    build = {"context": "/p"}
    services = {"web": {"image": "web", "build": build}, "db": {"image": "db:1"}, "mq": {"image": "mq:2"}}
    assert absent(Store(db={}), services) == ["mq:2"]  # type: ignore[arg-type]  # stands in


def test_every_image_that_can_not_be_pulled_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All at once, with the engine's own words."""
    script = tmp_path / "docker"
    script.write_text("#!/bin/sh\necho no route to registry >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UsageError, match=r"(?s)db:1: .*no route to registry.*mq:2: .*no route"):
        provide(Store(), {"db": {"image": "db:1"}, "mq": {"image": "mq:2"}}, {}, print)  # type: ignore[arg-type]  # stands in


@pytest.mark.parametrize(
    ("labels", "built", "said"),
    [
        ({}, False, "image db:1, 0123456789ab"),
        ({"org.opencontainers.image.version": "7.4"}, False, "7.4 (image db:1, 0123456789ab)"),
        (
            {"org.opencontainers.image.version": "7.0", "gameday.local": "Debian"},
            False,
            "7.0 (image db:1, 0123456789ab, made here: Debian)",
        ),
        ({"org.opencontainers.image.version": "3.12", "gameday.local": "Debian"}, True, "image db:1, 0123456789ab"),
    ],
)
def test_a_report_says_what_an_image_really_holds(labels: dict[str, str], built: bool, said: str) -> None:
    """Under an official name there may be the same software made here; an image of ours has its base's labels."""
    assert say_version(Store(db=labels), "db:1", built=built) == said  # type: ignore[arg-type]  # stands in
