"""Torture: kill -9 the harness at random instants of real runs, and look whether anything is left 5 s later (10 s
where the sandbox is made of containers).

    python -m tests.torture --count 20 --seed 1            of each scenario in its turn, so with each fault in force
    python -m tests.torture --scenario llm_outage          of this one alone
    python -m tests.torture --runtime compose              in containers

Exit status 0 if nothing was left after any of the kills, 1 otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.catalogue import scenarios
from harness.errors import HarnessError
from harness.journal import Journal
from harness.sandbox.engine import LABEL
from harness.sandbox.identity import Identity, belonging, marked
from harness.sandbox.layout import LAYOUT
from harness.sandbox.ports import is_taken
from harness.sandbox.state import read_state

PROMISED = {"processes": 5.0, "compose": 10.0}  # seconds after the kill
LONGEST = 25.0  # the latest instant of a kill, in seconds; most runs at scale 60 take about as long
LOOK = 60.0  # how long we keep looking, to say how late it was
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """One kill: when, in which phase of the run, how long until all was gone (None: never), what was left at 5 s."""

    instant: float
    phase: str
    took: float | None
    left: tuple[str, ...]

    @property
    def survived(self) -> bool:
        return not self.left

    def __str__(self) -> str:
        took = "never" if self.took is None else f"{self.took:.2f} s"
        return f"{self.instant:7.2f} s  {self.phase:22} {took:>8}  {', '.join(self.left) or 'nothing left'}"


@dataclass(frozen=True, slots=True)
class Ground:
    """Folders of our own, so that what is found in them is the victim's: sandboxes, temporary files, run records."""

    state: Path
    temporary: Path
    runs: Path

    @staticmethod
    @contextmanager
    def fresh() -> Iterator[Ground]:
        base = Path(tempfile.mkdtemp(prefix="gdt-"))
        try:
            ground = Ground(base / "s", base / "t", base / "r")
            ground.state.mkdir(mode=0o700)
            ground.temporary.mkdir()
            yield ground
        finally:
            shutil.rmtree(base, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        return {**os.environ, "GAMEDAY_STATE_DIR": str(self.state), "TMPDIR": str(self.temporary)}

    def sandboxes(self) -> list[Path]:
        return list(self.state.iterdir())

    def processes(self) -> set[Identity]:
        folders = {Path(name) for name in marked() if Path(name).parent == self.state} | set(self.sandboxes())
        return {identity for folder in folders for identity in belonging(folder)}

    def ports(self) -> set[int]:
        return {port for folder in self.sandboxes() if (state := read_state(folder)) for port in state.ports}

    def phase(self) -> str:
        """How far the run has come, by what its sandbox has on the disk."""
        folders = self.sandboxes()
        if not folders:
            return "no sandbox yet, or over"
        if not (folders[0] / LAYOUT).exists():
            return "supervisor up"
        with contextlib.suppress(HarnessError):
            if Journal(folders[0]).open_promises():
                return "fault in force"
        return "sandbox up or starting"


def engine_has(ground: Ground) -> tuple[str, ...]:
    """What the engine has of the victim."""
    found = []
    for kind, words in (("container", ("ps", "--all")), ("network", ("network", "ls")), ("volume", ("volume", "ls"))):
        said = subprocess.run(
            ["docker", *words, "--filter", f"label={LABEL}", "--format", f'{{{{.Label "{LABEL}"}}}}'],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
        found += [kind for line in said.splitlines() if line.startswith(str(ground.state))]
    return tuple(found)


def left(ground: Ground, processes: set[Identity], ports: set[int], runtime: str) -> tuple[str, ...]:
    """What is there of the victim now: `processes` and `ports` are those that it had when it was killed."""
    still = {identity for identity in processes | ground.processes() if identity.alive}
    return (
        *(f"process {identity.pid}" for identity in sorted(still, key=lambda one: one.pid)),
        *(f"port {port}" for port in sorted(ports) if is_taken(port)),
        *(f"folder {path.name}" for path in ground.sandboxes()),
        *(f"temporary {path.name}" for path in ground.temporary.iterdir()),
        *(engine_has(ground) if runtime == "compose" else ()),
    )


def strike(victim: list[str], instant: float, runtime: str) -> Blow:
    """Start `victim`, kill it at `instant` seconds, and watch what becomes of all that it had."""
    promised = PROMISED[runtime]
    with Ground.fresh() as ground:
        process = subprocess.Popen(
            [*victim, "--runtime", runtime, "--runs", str(ground.runs)],
            cwd=ROOT,
            env=ground.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(instant)
        phase = ground.phase() if process.poll() is None else f"over, status {process.returncode}"
        processes, ports = ground.processes(), ground.ports()
        process.kill()
        killed = time.monotonic()
        process.wait()
        at_limit: tuple[str, ...] = ()
        took: float | None = None
        while took is None and (elapsed := time.monotonic() - killed) < LOOK:
            now = left(ground, processes, ports, runtime)
            if not now:
                took = time.monotonic() - killed
            elif elapsed <= promised or not at_limit:
                at_limit = now
            time.sleep(0.05)
        on_time = took is not None and took <= promised
        return Blow(instant=instant, phase=phase, took=took, left=() if on_time else at_limit or ("late",))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenario", help="kill runs of this one (default: each in its turn)")
    parser.add_argument("--runtime", choices=tuple(PROMISED), default="processes")
    parser.add_argument("--latest", type=float, default=LONGEST, help="latest instant of a kill, in seconds")
    asked = parser.parse_args()
    gameday = Path(sys.executable).with_name("gameday")
    if not gameday.exists():
        parser.error(f"there is no {gameday}: run `make setup` first")
    known = [entry.name for entry in scenarios(ROOT / "scenarios", ROOT / "runs")]
    names = [asked.scenario] if asked.scenario else known
    draw = random.Random(asked.seed)
    first = draw.randrange(len(names))
    blows = []
    for number in range(1, asked.count + 1):
        name = names[(first + number) % len(names)]
        victim = [str(gameday), "run", name, "--time-scale", "60"]
        blows.append(strike(victim, draw.uniform(0, asked.latest), asked.runtime))
        sys.stdout.write(f"{number:3}  {blows[-1]}  {name}\n")
        sys.stdout.flush()
    survived = sum(blow.survived for blow in blows)
    slowest = max((blow.took for blow in blows if blow.took is not None), default=0.0)
    promised = f"{PROMISED[asked.runtime]:g} s"
    sys.stdout.write(
        f"{survived} of {len(blows)} kills left nothing after {promised}; the slowest took {slowest:.2f} s\n"
    )
    return 0 if survived == len(blows) else 1


if __name__ == "__main__":
    sys.exit(main())
