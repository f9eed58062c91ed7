"""What users must get, and how we tell from samples whether they got it."""

from __future__ import annotations

from harness.slo.during import During
from harness.slo.objective import Objectives, Slo
from harness.slo.recovered import RecoveredWithin

__all__ = ["During", "Objectives", "RecoveredWithin", "Slo"]
