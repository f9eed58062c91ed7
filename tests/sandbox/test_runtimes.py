"""The runtime is chosen once, with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.sandbox import runtimes
from harness.sandbox.compose import ComposeSandbox
from harness.sandbox.engine import Whereabouts
from harness.sandbox.layout import Layout
from harness.sandbox.processes import ProcessSandbox
from harness.sandbox.render import Ground
from harness.sandbox.runtimes import choose, sandbox_in
from tests.sandbox.stack import write_stack


class Here:
    """An engine that answers."""

    version = "20.10"

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_processes_that_are_asked_for_ask_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wants no containers needs no Docker."""
    monkeypatch.setattr(runtimes, "connect", None)
    assert choose("processes", write_stack(tmp_path), {}).runtime == "processes"


def test_auto_without_an_engine_is_processes_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Docker the sandbox runs all the same, and the reason is there to be read."""
    monkeypatch.setenv("PATH", str(tmp_path))
    choice = choose("auto", write_stack(tmp_path), {})
    assert (choice.runtime, choice.why) == ("processes", "no docker on PATH")


def test_containers_that_are_asked_for_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for by name and not to be had is an error, with the way out."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"no docker on PATH.*--runtime processes"):
        choose("compose", write_stack(tmp_path), {})


@pytest.mark.parametrize(("missing", "runtime"), [([], "compose"), (["web:1"], "processes")])
def test_auto_is_containers_where_every_image_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: list[str], runtime: str
) -> None:
    """It never pulls of its own accord: an image that is missing is named, and processes are taken."""
    monkeypatch.setattr(runtimes, "connect", lambda environ: Here())
    monkeypatch.setattr(runtimes, "resolve", lambda *_: {"services": {}})
    monkeypatch.setattr(runtimes, "absent", lambda *_: missing)
    choice = choose("auto", write_stack(tmp_path), {})
    assert choice.runtime == runtime
    assert all(tag in choice.why for tag in missing)


@pytest.mark.parametrize(("runtime", "kind"), [("compose", ComposeSandbox), ("processes", ProcessSandbox)])
def test_a_sandbox_is_found_again_as_what_it_is(tmp_path: Path, runtime: str, kind: type) -> None:
    """Whoever comes later, to heal say, needs not to know the runtime."""
    ground = Ground(ports={}, aliases={}, folders={}, mounts={})
    Layout(folder=tmp_path, logs=tmp_path, ground=ground, schemes={}, runtime=runtime).save()
    Whereabouts(host="unix:///s", project="p", api_version="1.41").save(tmp_path)
    (tmp_path / "services.json").write_text(json.dumps({}))
    assert type(sandbox_in(tmp_path)) is kind
