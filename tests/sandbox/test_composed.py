"""A compose file is made one sandbox's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.sandbox.composed import Own, compose
from harness.sandbox.engine import LABEL

FOLDER = Path("/state/one$two")
RESOLVED: dict[str, Any] = {
    "name": "gd-one",
    "services": {
        "web": {
            "image": "web:1",
            "build": {"context": "/project"},
            "pull_policy": "build",
            "container_name": "web",
            "environment": {"PRICE": "1$$2", "MODE": "plain"},
            "labels": {"theirs": "kept"},
            "expose": ["9000"],
            "ports": [{"target": 8000, "published": "8000", "host_ip": "0.0.0.0"}],
            "healthcheck": {"test": ["CMD", "true"], "interval": "5s"},
            "volumes": [
                {"type": "bind", "source": "/project/conf", "target": "/etc/conf", "read_only": True},
                {"type": "volume", "source": "data", "target": "/data"},
                {"type": "volume", "target": "/cache"},
            ],
        },
        "store": {"image": "store:1", "healthcheck": {"test": ["CMD", "true"], "start_interval": "2s"}},
    },
    "networks": {"inner": None, "outer": {"name": "gd-one_outer"}},
    "volumes": {"data": {"name": "gd-one_data"}},
}


def made(**more: Any) -> dict[str, Any]:
    own = Own(
        folder=FOLDER,
        ports={("web", 8000): 21000, ("web", 9000): 21001, ("store", 6379): 21002},
        mounts={"web": {"/etc/conf": FOLDER / "files/conf", "/data": FOLDER / "volumes/data"}},
        **{"environment": {}, **more},
    )
    return compose(RESOLVED, own)


def test_every_port_is_published_on_a_loopback_port_of_its_own_and_no_other() -> None:
    """Ports that are only exposed are published too; those that the file publishes are not where it says."""
    ports = made()["services"]["web"]["ports"]
    assert [(port["target"], port["published"], port["host_ip"]) for port in ports] == [
        (8000, "21000", "127.0.0.1"),
        (9000, "21001", "127.0.0.1"),
    ]


def test_mounts_are_the_sandboxs_own() -> None:
    """Files and named volumes are the sandbox's copies, read-only where they were; what has no copy stays."""
    conf, data, cache = made()["services"]["web"]["volumes"]
    assert (conf["type"], conf["source"], conf["read_only"]) == ("bind", "/state/one$$two/files/conf", True)
    assert (data["type"], data["source"], data["read_only"]) == ("bind", "/state/one$$two/volumes/data", False)
    assert cache == {"type": "volume", "target": "/cache"}
    assert "volumes" not in made()


def test_everything_carries_the_sandboxs_label() -> None:
    """Containers and networks can be told as the sandbox's, beside the labels that they have."""
    label = {LABEL: "/state/one$$two"}
    found = made()
    assert found["services"]["web"]["labels"] == {"theirs": "kept", **label}
    assert all(network["labels"] == label for network in found["networks"].values())


def test_nothing_is_built_pulled_or_named_for_all() -> None:
    """Two sandboxes of one file can stand beside each other, of images that are there."""
    web = made()["services"]["web"]
    assert (web["image"], web["pull_policy"]) == ("web:1", "never")
    assert not {"build", "container_name", "expose"} & set(web)


def test_given_environment_lies_over_the_files() -> None:
    """A value given by hand is taken as it is, whatever Compose makes of dollars; the others stay."""
    web = made(environment={"web": {"MODE": "a$b", "NEW": "1"}})["services"]["web"]
    assert web["environment"] == {"PRICE": "1$$2", "MODE": "a$$b", "NEW": "1"}


@pytest.mark.parametrize(("version", "sooner"), [((1, 41), False), ((1, 44), True)])
def test_looks_come_sooner_where_the_engine_knows_how(version: tuple[int, ...], sooner: bool) -> None:
    """An engine before 25 refuses `start_interval`; what the file says itself is left alone."""
    services = made(api_version=version)["services"]
    assert ("start_interval" in services["web"]["healthcheck"]) == sooner
    assert services["web"]["healthcheck"]["interval"] == "5s"
    assert services["store"]["healthcheck"]["start_interval"] == "2s"
