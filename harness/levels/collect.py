"""Collect: read from Prometheus, once and at the end, the values that claims speak of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.alerts import promql
from harness.alerts.prometheus import Prometheus
from harness.errors import EvidenceMissing
from harness.model.record import LevelEvidence
from harness.model.timeline import Span

KIND = "level."  # how the kind of each claim about a level begins
STEP = 0.25  # wall seconds between two values; longer where a window would have more than MOST of them
MOST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelReader:
    """Asks the Prometheus at `url`, whose time runs `scale` times as fast as the expressions are meant."""

    url: str
    scale: float

    def read(self, checks: Sequence[Mapping[str, Any]], windows: Sequence[Span]) -> tuple[LevelEvidence, ...]:
        """The evidence for those of `checks` (in their JSON form) that are about levels. Never raises: what can't be
        read is said in `problem`."""
        spans = {span.name: span for span in windows}
        wanted = dict.fromkeys(
            (str(check.get("expr", "")), str(window))
            for check in checks
            if str(check.get("kind", "")).startswith(KIND)
            for window in check.get("windows", ())
        )
        if not wanted:
            return ()
        with Prometheus(self.url) as prometheus:
            try:
                scrape = prometheus.intervals().scrape
            except EvidenceMissing as gone:
                said = str(gone.args[0])
                return tuple(LevelEvidence(expr=expr, window=window, problem=said) for expr, window in wanted)
            return tuple(
                self._one(prometheus, expr, spans[window], scrape) for expr, window in wanted if window in spans
            )

    def _one(self, prometheus: Prometheus, expr: str, span: Span, scrape: float) -> LevelEvidence:
        # Until the first scrape within it, a window shows what was before it.
        began, ended = span.began + scrape, span.ended
        if ended is None or ended <= began:
            said = "the window never ended" if ended is None else "the window is shorter than the time between scrapes"
            return LevelEvidence(expr=expr, window=span.name, problem=said)
        step = max(STEP, (ended - began) / MOST)
        try:
            scaled = promql.scale_durations(expr, self.scale)
            series = prometheus.values(scaled, began, ended, step)
        except (EvidenceMissing, ValueError) as problem:
            return LevelEvidence(expr=expr, window=span.name, began=began, step=step, problem=str(problem.args[0]))
        return LevelEvidence(expr=expr, window=span.name, began=began, step=step, series=series)
