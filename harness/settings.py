"""Settings: what a person may choose about a run, whichever way they start it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.model.verdict import Control

RuntimeName = Literal["auto", "compose", "processes"]
RUNTIMES: tuple[RuntimeName, ...] = ("auto", "compose", "processes")
DEFAULT_SCALE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`compose` is the topology's file; `runs` the folder that run folders go to; `time_scale` runbook seconds per
    wall second; `seed` makes load and draws repeatable; `environment` fills `${…}` in the compose file."""

    compose: Path = Path("docker-compose.yml")
    runtime: RuntimeName = "auto"
    time_scale: float = DEFAULT_SCALE
    control: Control = Control.NONE
    seed: int = 1
    runs: Path = Path("runs")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
