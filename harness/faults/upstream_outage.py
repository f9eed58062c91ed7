"""Upstream outage: every link to one service fails, as when a provider goes down, blacks out, resets or slows."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

from harness.errors import HarnessError, HealFailed, InjectFailed
from harness.faults.breakage import Breakage, How
from harness.model.record import Receipt
from harness.sandbox.base import HasLinks


@dataclass(frozen=True, slots=True)
class UpstreamOutage:
    """Break every link whose far end is the service `upstream`, in the way `how` says (see `Breakage`)."""

    upstream: str
    how: How = "down"
    delay: timedelta = timedelta(seconds=5)
    kind: Literal["upstream-outage"] = "upstream-outage"
    needs: ClassVar[tuple[type, ...]] = (HasLinks,)
    curable: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"{self.upstream} {self._breakage}"

    @property
    def _breakage(self) -> Breakage:
        return Breakage(self.how, self.delay)

    def problems(self, sandbox: HasLinks) -> Sequence[str]:
        found = self._breakage.problems()
        if not sandbox.links_to(self.upstream):
            known = sorted({link.upstream_service for link in sandbox.links()})
            found.append(f"no proxied link leads to {self.upstream!r}; links lead to: {', '.join(known) or 'nowhere'}")
        return found

    def inject(self, sandbox: HasLinks) -> None:
        for link in sandbox.links_to(self.upstream):
            try:
                self._breakage.put_into(link)
            except HarnessError as cause:
                raise InjectFailed(f"{self}: link {link.name} could not be broken", hint=str(cause)) from cause

    def heal(self, sandbox: HasLinks) -> None:
        failures = []
        for link in sandbox.links_to(self.upstream):
            try:
                self._breakage.take_out_of(link)
            except HarnessError as cause:  # one stuck link must not keep the others broken
                failures.append(f"{link.name}: {cause}")
        if failures:
            raise HealFailed(f"{self} is still in {'; '.join(failures)}", hint="gameday rollback ends the sandbox")

    def receipt(self, sandbox: HasLinks, at: float) -> Receipt:
        """A caller of each link, and what the proxy says of it: both must agree."""
        links = sandbox.links_to(self.upstream)
        with ThreadPoolExecutor(max_workers=len(links) or 1) as side_by_side:  # a probe of a slow link is slow itself
            seen = list(side_by_side.map(self._breakage.seen_on, links))
        states = {in_force for in_force, _ in seen}
        in_force = states.pop() if len(states) == 1 else None if None in states or not states else False
        measured = {link.name: words for link, (_, words) in zip(links, seen, strict=True)}
        said = "; ".join(f"{name} {words}" for name, words in measured.items()) or "no link"
        return Receipt(at=at, in_force=in_force, intended=str(self), measured=said, details=measured)

    def traffic(self, sandbox: HasLinks) -> int | None:
        return sum(link.bytes_passed() for link in sandbox.links_to(self.upstream))

    def flush(self, sandbox: HasLinks) -> None:
        for link in sandbox.links_to(self.upstream):
            link.cut()
