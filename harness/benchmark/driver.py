"""Driver: run a benchmark in a process of its own, and keep every request of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.benchmark.benchmark import Benchmark
from harness.clock import Clock
from harness.errors import HarnessError
from harness.model.benchmark import BenchmarkRecord, Reply
from harness.sandbox.base import Address, CanSpawn, Sandbox

PROGRAM = "harness.benchmark.ab"
FORMAT = 1
GRACE = 15.0  # wall seconds beyond what it may take: to start, and to write down
TICK = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkDriver:
    """Runs benchmarks against `sandbox`, under its supervisor; what they say goes to `folder`/benchmark/<window>/."""

    sandbox: Sandbox
    folder: Path
    clock: Clock

    def run(self, benchmark: Benchmark, window: str) -> BenchmarkRecord:
        """Run it to its end. Never raises for what a server does; what keeps it from being run or told is in
        `problem`."""
        told = BenchmarkRecord(
            window=window, target=benchmark.target, requests=benchmark.requests, at_once=benchmark.at_once
        )
        try:
            return _settled(told, self._made(benchmark, window))
        except (HarnessError, OSError) as problem:
            return replace(told, problem=str(problem.args[0] if isinstance(problem, HarnessError) else problem))
        except (ValueError, KeyError, TypeError) as odd:
            return replace(told, problem=f"its account can't be read: {odd!r}")

    def _made(self, benchmark: Benchmark, window: str) -> Mapping[str, Any]:
        """What the program wrote down."""
        sandbox = self.sandbox
        if not isinstance(sandbox, CanSpawn):
            raise HarnessError(f"this sandbox ({sandbox.runtime}) can't run a benchmark")
        address = sandbox.address(benchmark.service, benchmark.port)
        folder = _new_folder(self.folder.absolute() / "benchmark", window)
        file, name = folder / "requests.json", f"benchmark-{folder.name}"
        most = benchmark.at_most.total_seconds()
        sandbox.spawn(
            name,
            _argv(benchmark, address, file),
            environment={"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
            directory=folder,
            log=folder / "ab.log",
        )
        try:
            until = self.clock.now() + most + GRACE
            while sandbox.spawned(name).status is None and self.clock.now() < until:
                self.clock.sleep(TICK)
        finally:
            with suppress(HarnessError):  # the reader wants what became of it
                sandbox.end(name, grace=0.0)
        if not file.exists():
            words = (folder / "ab.log").read_text(encoding="utf-8", errors="replace").strip()[-300:]
            raise HarnessError(f"the benchmark left no account: {words or 'it said nothing'}")
        found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found


def _argv(benchmark: Benchmark, address: Address, file: Path) -> Sequence[str]:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return [
        # -P: a folder of our packages' name where it happens to be started must not stand in for ours.
        *(sys.executable, "-P", "-m", PROGRAM),
        *("-n", str(benchmark.requests), "-c", str(benchmark.at_once)),
        f"--at-most={benchmark.at_most.total_seconds():g}",
        f"--allow={address.host}",
        f"--record={file}",
        f"http://{host}:{address.port}{benchmark.path}",
    ]


def _settled(told: BenchmarkRecord, found: Mapping[str, Any]) -> BenchmarkRecord:
    """The record of a benchmark by its own account. Raises ValueError, KeyError or TypeError for an odd one."""
    if found["format"] != FORMAT:
        raise ValueError(f"format {found['format']!r}")
    began, ended = float(found["began"]), float(found["ended"])
    lasted = ended - began
    return replace(
        told,
        began=began,
        ended=ended,
        replies=tuple(Reply(**each) for each in found["replies"]),
        stopped=str(found["stopped"]),
        client_cpu=float(found["cpu_seconds"]) / lasted if lasted > 0 else None,
    )


def _new_folder(parent: Path, window: str) -> Path:
    """A folder for one benchmark, named after its window."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", window).strip(".-") or "benchmark"
    for attempt in range(1, 1000):
        folder = parent / (plain if attempt == 1 else f"{plain}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise HarnessError(f"{parent} holds a thousand benchmarks of this name already")
