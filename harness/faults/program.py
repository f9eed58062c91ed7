"""Program: a small program of ours that does a fault's harm, and belongs to the sandbox's supervisor."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, HealFailed, InjectFailed, UsageError
from harness.faults.base import Fault
from harness.model.units import hours, seconds
from harness.sandbox.base import CanSpawn, HasLogs

FOLDER = Path(__file__).parent / "programs"
ORDER = "GAMEDAY_ORDER"  # in the environment and not on the command line: it may hold a token, and `ps` is for all
LIVES_AT_MOST = hours(2)  # whoever forgets it
GRACE = seconds(2)


@dataclass(frozen=True, slots=True)
class Program:
    """One file of `programs`, and the `subject` that it is let loose on, which tells it from others of its kind."""

    file: str
    subject: str

    @property
    def name(self) -> str:
        """What the sandbox knows it by."""
        return re.sub(r"[^\w.]+", "-", f"{self.file}-{self.subject}")

    def start(self, sandbox: CanSpawn, order: Mapping[str, Any]) -> None:
        """Start it with `order`, as JSON. Raises InjectFailed.

        It runs from its file and without site packages: `-m` would import all that the harness needs (20 MB and
        0.2 s of CPU a process, measured), which is a load of its own."""
        text = json.dumps({**order, "at_most": LIVES_AT_MOST.total_seconds()})
        argv = [sys.executable, "-I", "-S", str(FOLDER / f"{self.file}.py")]
        try:
            sandbox.spawn(self.name, argv, environment={ORDER: text}, directory=FOLDER)
        except HarnessError as cause:
            raise InjectFailed(f"the program {self.name} could not be started", hint=str(cause)) from cause

    def pid(self, sandbox: CanSpawn) -> int | None:
        """Its process id; None where it does not run. Raises SandboxError."""
        try:
            now = sandbox.spawned(self.name)
        except UsageError:  # it was never started
            return None
        return now.pid if now.status is None else None

    def end(self, sandbox: CanSpawn) -> None:
        """End it, if it runs. Raises HealFailed."""
        with suppress(UsageError):  # it was never started
            try:
                ended = sandbox.end(self.name, grace=GRACE.total_seconds())
            except UsageError:
                raise
            except HarnessError as cause:
                raise HealFailed(f"the program {self.name} could not be ended", hint=str(cause)) from cause
            if ended.status is None:
                raise HealFailed(f"the program {self.name} (pid {ended.pid}) did not end")

    def until_in_force(self, fault: Fault, sandbox: CanSpawn, *, within: timedelta) -> None:
        """Wait until the receipt says that `fault` is in force. Raises InjectFailed where it does not, or where the
        program has ended."""
        deadline = time.monotonic() + within.total_seconds()
        while not (receipt := fault.receipt(sandbox, time.time())).in_force:
            alive = self.pid(sandbox) is not None
            if not alive or time.monotonic() >= deadline:
                why = f"not in force after {within.total_seconds():g} s" if alive else "its program ended"
                raise InjectFailed(f"{fault}: {why}; measured: {receipt.measured}", hint=self._last_words(sandbox))
            time.sleep(0.05)

    def _last_words(self, sandbox: CanSpawn) -> str:
        """What it has said last, or where to look for it."""
        with suppress(HarnessError):
            if isinstance(sandbox, HasLogs) and (said := sandbox.log(self.name).splitlines()):
                return f"{self.name} said last: {said[-1][:200]}"
        return f"see the sandbox's log {self.name}.log"
