"""Scrape gap: Prometheus can't reach the targets of one job, while the targets themselves go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from harness.errors import HarnessError, HealFailed, InjectFailed
from harness.faults.wait import becomes
from harness.model.record import Receipt
from harness.model.units import seconds
from harness.probes import scrapes
from harness.sandbox.base import HasFiles, Sandbox

# Until Prometheus has taken over its configuration and scraped once more (every 15 s, say).
TAKES_OVER = seconds(30)


class Watched(Sandbox, HasFiles, Protocol):
    """What this fault asks of a sandbox."""


@dataclass(frozen=True, slots=True)
class ScrapeGap:
    """Every scrape of `job` by the service `prometheus` fails: its configuration (`config`, a path inside it) gets a
    proxy for them that is not there. The targets keep their labels: `up` is 0, their other series end."""

    job: str
    prometheus: str = "prometheus"
    port: int = 9090
    config: str = "/etc/prometheus/prometheus.yml"
    kind: Literal["scrape-gap"] = "scrape-gap"
    needs: ClassVar[tuple[type, ...]] = (Sandbox, HasFiles)
    curable: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"{self.job} not scraped"

    def problems(self, sandbox: Watched) -> Sequence[str]:
        try:
            self._url(sandbox)
            jobs = scrapes.jobs_of(self._file(sandbox).read_text(encoding="utf-8"))
        except (HarnessError, OSError) as cause:
            return [f"the configuration of {self.prometheus} can't be read: {cause}"]
        return [] if self.job in jobs else [f"no job is called {self.job!r}; there are: {', '.join(jobs)}"]

    def inject(self, sandbox: Watched) -> None:
        try:
            scrapes.divert(self._file(sandbox), self.job)
            scrapes.reload(self._url(sandbox))
        except (HarnessError, OSError) as cause:
            raise InjectFailed(f"{self}: Prometheus could not be told", hint=str(cause)) from cause
        if not becomes(lambda: self.receipt(sandbox, 0.0).in_force is True, within=TAKES_OVER):
            raise InjectFailed(f"{self}: it was still scraped after {TAKES_OVER.total_seconds():g} s")

    def heal(self, sandbox: Watched) -> None:
        try:
            scrapes.give_back(self._file(sandbox))
            scrapes.reload(self._url(sandbox))
        except (HarnessError, OSError) as cause:
            raise HealFailed(f"{self}: {cause}", hint="gameday rollback ends the sandbox") from cause
        if not becomes(lambda: self.receipt(sandbox, 0.0).in_force is False, within=TAKES_OVER):
            raise HealFailed(f"{self}: still so after {TAKES_OVER.total_seconds():g} s")

    def receipt(self, sandbox: Watched, at: float) -> Receipt:
        """How each target's last scrape went by Prometheus' own account, and whether it failed on the way nowhere."""
        try:
            found = scrapes.targets(self._url(sandbox), self.job)
        except HarnessError as cause:
            return Receipt(at=at, in_force=None, intended=str(self), measured=f"nobody can tell: {cause}")
        cut = {one.health == "down" and scrapes.NOWHERE in one.error for one in found}
        known = len(cut) == 1 and all(one.health != "unknown" for one in found)
        said = ", ".join(map(str, found)) or "there is no target"
        return Receipt(at=at, in_force=cut.pop() if known else None, intended=str(self), measured=said)

    def traffic(self, sandbox: Watched) -> int | None:
        return None  # scrapes are the watchers' own traffic, and no user's

    def flush(self, sandbox: Watched) -> None:
        pass

    def _file(self, sandbox: Watched) -> Path:
        return sandbox.path(self.prometheus, self.config)

    def _url(self, sandbox: Watched) -> str:
        return f"http://{sandbox.address(self.prometheus, self.port)}"
