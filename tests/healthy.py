"""Healthy: how often the harness cries wolf, by many runs of a healthy stack; writes it into docs/measurements.md.

    python -m tests.healthy --count 100     half an hour; what is recorded already below runs/healthy counts

Interrupted, it goes on where it was when it is started again.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from harness.catalogue import find
from harness.load.driver import read_samples
from harness.model.repeats import Series
from harness.model.verdict import Outcome
from harness.repeats import of_records, recorded
from harness.settings import Settings
from harness.store import load
from reports.markdown import escaped
from reports.repeats import say_bound

ROOT = Path(__file__).parents[1]
SCENARIO, RUNS, PAGE = "quiet_when_healthy", Path("runs") / "healthy", ROOT / "docs" / "measurements.md"
TITLE = "## False alarms"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="how many runs there are to be in all (100)")
    count = parser.parse_args().count
    if count < 2:
        parser.error("one run is no series: give 2 or more")
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "run", SCENARIO, f"--repeat={count}", "--missing", f"--runs={RUNS}"],
        cwd=ROOT,
        check=False,
    )
    if done.returncode in (2, 130):  # nothing was started, or somebody has had enough
        return done.returncode
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), section(series(count))), encoding="utf-8")
    return 0


def series(count: int) -> Series:
    """The runs recorded so far, of the scenario as it is now."""
    entries = find(ROOT / "scenarios", [SCENARIO])
    folders = recorded(entries, Settings(runs=ROOT / RUNS), count)[SCENARIO]
    (found,) = of_records(load(folder, read_samples) for folder in folders.values()).series
    return found


def section(found: Series) -> str:
    """What the page says of them."""
    counts = [str(found.outcomes.get(outcome, 0)) for outcome in Outcome]
    lines = [
        TITLE,
        "",
        f"`make healthy` runs the healthy stack under load (`{SCENARIO}`, time scale {found.time_scale:g}) again and",
        "again. A FAIL there is a false alarm; what is neither PASS nor FAIL is a run that said nothing.",
        "",
        f"| runs | {' | '.join(Outcome)} |",
        f"|{'---|' * (len(counts) + 1)}",
        f"| {len(found.runs)} | {' | '.join(counts)} |",
        "",
        f"False alarms, of the runs that said something: {say_bound(found.failed)}. No PASS, of all:",
        f"{say_bound(found.red)}. In brackets the 95 % interval of Clopper and Pearson.",
    ]
    odd = [
        f"- {', '.join(f'{number} {outcome}' for outcome, number in one.outcomes.items())}: {escaped(one.claim)}"
        for one in found.flaky
    ]
    return "\n".join([*lines, *(["", "Not the same in every run:", "", *odd] if odd else []), ""])


def replaced(page: str, text: str) -> str:
    """`page` with `text` in the place of its section of the same title, or at its end."""
    old = re.search(rf"^{re.escape(TITLE)}\n.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    if old is None:
        return f"{page.rstrip()}\n\n{text}"
    rest = page[old.end() :]
    return page[: old.start()] + text + (f"\n{rest}" if rest else "")


if __name__ == "__main__":
    sys.exit(main())
