"""gameday proves, by experiment, that an incident runbook works. These are the names that a scenario needs.

They are imported when first used: the load generator and the notification receiver are processes of their own that
import single modules of this package, and must stay small.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.alerts.alert import Alert
    from harness.benchmark.benchmark import Benchmark
    from harness.checkpoint import Checkpoint
    from harness.errors import HarnessError, UsageError
    from harness.levels.level import Level
    from harness.logs.logs import Logs
    from harness.model.load import Arrivals
    from harness.model.record import Record, Scenario
    from harness.model.timeline import Moment, Window
    from harness.model.units import hours, minutes, percent, seconds
    from harness.model.verdict import Control, Outcome, Verdict
    from harness.run import NotProven, Run
    from harness.slo.objective import Slo

__all__ = [
    "Alert",
    "Arrivals",
    "Benchmark",
    "Checkpoint",
    "Control",
    "HarnessError",
    "Level",
    "Logs",
    "Moment",
    "NotProven",
    "Outcome",
    "Record",
    "Run",
    "Scenario",
    "Slo",
    "UsageError",
    "Verdict",
    "Window",
    "hours",
    "minutes",
    "percent",
    "seconds",
]

_HOME = {
    "harness.alerts.alert": ("Alert",),
    "harness.benchmark.benchmark": ("Benchmark",),
    "harness.checkpoint": ("Checkpoint",),
    "harness.errors": ("HarnessError", "UsageError"),
    "harness.levels.level": ("Level",),
    "harness.logs.logs": ("Logs",),
    "harness.model.load": ("Arrivals",),
    "harness.model.record": ("Record", "Scenario"),
    "harness.model.timeline": ("Moment", "Window"),
    "harness.model.units": ("hours", "minutes", "percent", "seconds"),
    "harness.model.verdict": ("Control", "Outcome", "Verdict"),
    "harness.run": ("NotProven", "Run"),
    "harness.slo.objective": ("Slo",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
