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
            return tuple(self._one(prometheus, expr, spans[window]) for expr, window in wanted if window in spans)

    def _one(self, prometheus: Prometheus, expr: str, span: Span) -> LevelEvidence:
        if span.ended is None:
            return LevelEvidence(expr=expr, window=span.name, step=0.0, problem="the window never ended")
        step = max(STEP, (span.ended - span.began) / MOST)
        try:
            scaled = promql.scale_durations(expr, self.scale)
            series = prometheus.values(scaled, span.began, span.ended, step)
        except (EvidenceMissing, ValueError) as problem:
            return LevelEvidence(expr=expr, window=span.name, step=step, problem=str(problem.args[0]))
        return LevelEvidence(expr=expr, window=span.name, step=step, series=series)
