"""Runtimes: where a sandbox runs, chosen once; from then on nobody asks which it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import HarnessError, UsageError
from harness.sandbox import compose, processes
from harness.sandbox.compose import ComposeSandbox
from harness.sandbox.control import ask
from harness.sandbox.engine import connect
from harness.sandbox.images import absent
from harness.sandbox.layout import Layout
from harness.sandbox.prepare import PartLike
from harness.sandbox.processes import ProcessSandbox
from harness.sandbox.render import Render
from harness.sandbox.staging import resolve, services_of
from harness.sandbox.state import folder_of
from harness.sandbox.topology import Topology

Runtime = Literal["compose", "processes"]
AnySandbox = ProcessSandbox | ComposeSandbox


@dataclass(frozen=True, slots=True)
class Choice:
    """A runtime, and why that one."""

    runtime: Runtime
    why: str

    def __str__(self) -> str:
        return f"runtime {self.runtime}: {self.why}"


def choose(asked: Literal["auto", "compose", "processes"], topology: Topology, environ: Mapping[str, str]) -> Choice:
    """The runtime that was asked for; for `auto` containers, where an engine answers that can hold them and every image
    is here, else processes. Raises UsageError where it can't be had."""
    if asked == "processes":
        return Choice("processes", "asked for")
    if asked == "compose":
        try:
            with connect(environ) as engine:
                return Choice("compose", f"asked for, Docker engine {engine.version}")
        except UsageError as odd:
            problems = [f"{problem} ({odd.hint})" for problem in odd.problems]
            raise UsageError("no containers can be had", problems=problems, hint=odd.hint) from odd
    try:
        with connect(environ) as engine:
            resolved = resolve(topology, topology.name, environ)
            services_of(topology, resolved)
            missing = absent(engine, resolved["services"])
            if not missing:
                return Choice("compose", f"Docker engine {engine.version} answers, and the images are here")
            return Choice(
                "processes", f"these images are not here: {', '.join(missing)} (--runtime compose pulls them)"
            )
    except HarnessError as odd:
        return Choice("processes", str(odd).splitlines()[0])


@contextmanager
def open_sandbox(
    choice: Choice,
    topology: Topology,
    *,
    parts: Mapping[str, PartLike],
    render: Render,
    logs: Path,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    detached: bool = False,
) -> Iterator[AnySandbox]:
    """A sandbox of `topology` in the chosen runtime, which ends with the block; see the runtime's own function."""
    if choice.runtime == "compose":
        with compose.open_sandbox(
            topology, render=render, logs=logs, environ=environ, say=say, detached=detached
        ) as sandbox:
            yield sandbox
    else:
        with processes.open_sandbox(topology, parts=parts, render=render, logs=logs, detached=detached) as plain:
            yield plain


def sandbox_in(folder: Path) -> AnySandbox:
    """The sandbox whose layout stands in `folder`. Raises SandboxError where it is not up (or not yet)."""
    layout = Layout.load(folder)
    return ComposeSandbox(layout) if layout.runtime == "compose" else ProcessSandbox(layout)


def attach(name_or_folder: str | Path) -> AnySandbox:
    """A running sandbox of this user, by its name or its folder. Raises SandboxError where there is none."""
    folder = folder_of(name_or_folder)
    ask(folder, "ping")
    return sandbox_in(folder)
