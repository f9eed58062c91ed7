"""Bench: measures again what docs/measurements.md says, and prints it as a table.

    python -m tests.bench                 a few minutes
    python -m tests.bench --real-time     also the LLM outage at time scale 1: a quarter of an hour more

Figures depend on the machine: compare those of one run with each other, not with another machine's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from harness.model.load import Arrivals
from harness.sandbox.processes import ProcessSandbox, attach, sandboxes
from reports import html
from tests.reports import outage

ROOT = Path(__file__).parents[1]
GAMEDAY = (sys.executable, "-m", "harness.cli")
IDLE_SECONDS = 20.0
LOAD_SECONDS = 10.0
RATE = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real-time", action="store_true", help="also run the LLM outage at time scale 1")
    parser.add_argument("--repeat", type=int, default=5, help="how often the quick ones are measured (5)")
    options = parser.parse_args()
    say("figure", "minimum", "median", "maximum")
    say("---", "---", "---", "---")
    with tempfile.TemporaryDirectory(prefix="gd-") as folder:
        os.environ["GAMEDAY_STATE_DIR"] = f"{folder}/s"
        starts(options.repeat)
        with up(1) as sandbox:
            idle(sandbox)
        with up(60) as sandbox:
            loaded(sandbox, Path(folder))
        drawn()
        scales = [60, 1] if options.real_time else [60]
        for scale in scales:
            whole(scale, Path(folder))
    return 0


def say(*cells: str) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


def figures(name: str, values: Sequence[float], unit: str) -> None:
    spread = (min(values), statistics.median(values), max(values))
    say(name, *(f"{value:.3g} {unit}" for value in spread))


def gameday(*arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GAMEDAY, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )


@contextmanager
def up(scale: int) -> Iterator[ProcessSandbox]:
    """The sandbox by itself while the block lasts."""
    done = gameday("up", "--time-scale", str(scale), timeout=60)
    if done.returncode:
        raise SystemExit(done.stderr)
    try:
        (state,) = sandboxes()
        yield attach(state.name)
    finally:
        gameday("down", timeout=60)


def starts(repeat: int) -> None:
    """How long the commands take that people wait for."""
    took: dict[str, list[float]] = {"gameday up, warm": [], "gameday down": [], "gameday doctor": []}
    for _ in range(repeat):
        for name, command in (("gameday up, warm", "up"), ("gameday down", "down"), ("gameday doctor", "doctor")):
            began = time.monotonic()
            gameday(command, timeout=60)
            took[name].append(time.monotonic() - began)
    for name, values in took.items():
        figures(name, values, "s")


def cpu_of(sandbox: ProcessSandbox) -> dict[str, float]:
    """CPU seconds that each service has used, its children included."""
    used = {}
    for service in sandbox.services():
        if service.identity:
            process = psutil.Process(int(service.identity))
            family = [process, *process.children(recursive=True)]
            used[service.name] = sum(sum(each.cpu_times()[:2]) for each in family)
    (state,) = sandboxes()
    used["supervisor"] = sum(psutil.Process(state.supervisor.pid).cpu_times()[:2])
    return used


def grown(sandbox: ProcessSandbox, seconds: float) -> dict[str, float]:
    """The share of one core that each service uses over the next `seconds`, in percent."""
    before, began = cpu_of(sandbox), time.monotonic()
    time.sleep(seconds)
    after, took = cpu_of(sandbox), time.monotonic() - began
    return {name: (after[name] - before[name]) / took * 100 for name in after}


def idle(sandbox: ProcessSandbox) -> None:
    time.sleep(5)  # what starting has stirred up settles
    say("idle sandbox, share of one core", "", f"{sum(grown(sandbox, IDLE_SECONDS).values()):.2g} %", "")


def loaded(sandbox: ProcessSandbox, folder: Path) -> None:
    """CPU by service under the scenarios' load."""
    plan = folder / "plan.json"
    plan.write_text(json.dumps(Arrivals.constant(RATE).to_json()))
    files = {name: folder / name for name in ("samples", "progress", "sign-off")}
    entry = sandbox.address("nginx", 8080).url
    given = {"plan": plan, "users": "loadtests/users.py", "host": entry, **files, "at-most": 60}
    engine = subprocess.Popen(
        [sys.executable, "-m", "loadtests.open_model", *(f"--{name}={value}" for name, value in given.items())],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(4)
        process = psutil.Process(engine.pid)
        before = sum(process.cpu_times()[:2])
        shares = grown(sandbox, LOAD_SECONDS)
        shares["load engine"] = (sum(process.cpu_times()[:2]) - before) / LOAD_SECONDS * 100
    finally:
        engine.terminate()
        engine.wait(30)
    for name, share in sorted(shares.items(), key=lambda entry: -entry[1]):
        if share >= 1:
            say(f"{name} at {RATE:g}/s", "", f"{share:.3g} % of a core, {share * 10 / RATE:.2g} ms per arrival", "")


def drawn() -> None:
    """A quarter of an hour of samples as a page."""
    record = outage.record(rate=970.0)
    began = time.process_time()
    page = html.render(record, outage.judgement())
    took = time.process_time() - began
    say(f"report of {len(record.samples)} samples", "", f"{took:.2g} s of CPU, {len(page) / 1000:.0f} kB", "")


def whole(scale: int, folder: Path) -> None:
    """The shipped LLM outage: how long it takes, what it measures."""
    runs = folder / f"runs-{scale}"
    began = time.monotonic()
    done = gameday("run", "llm_outage", "--time-scale", str(scale), "--runs", str(runs), "--json", timeout=2400)
    took = time.monotonic() - began
    (result,) = json.loads(done.stdout)
    say(f"llm_outage at scale {scale}", "", f"{took:.3g} s, {result['outcome']}", "")
    for name, measured in result["times"].items():
        value, off = measured["value_seconds_runbook"], measured["resolution_seconds"]
        say(f"- {name}", "", f"{value:.4g} s ± {off:.3g} s", "")


if __name__ == "__main__":
    sys.exit(main())
