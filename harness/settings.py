"""Settings: what a person may choose about a run, whichever way they start it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.model.verdict import Control

# Those that a person may ask for by name; an ablation follows from the steps that they leave out.
CONTROLS = tuple(control for control in Control if control is not Control.ABLATION)
EACH = "each"  # of `gameday run`: as it is, and under every control that has something to leave out
RuntimeName = Literal["auto", "compose", "processes"]
RUNTIMES: tuple[RuntimeName, ...] = ("auto", "compose", "processes")
DEFAULT_SCALE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`compose` is the topology's file; `runs` the folder that run folders go to; `time_scale` runbook seconds per
    wall second; `seed` makes load and draws repeatable; `environment` fills `${…}` in the compose file. The runbook's
    steps `without` are left out, and those in `order` performed in that order where one call names several of them.
    `repetition` numbers the runs of a series from 1, each with draws of its own; 0 is a run by itself."""

    compose: Path = Path("docker-compose.yml")
    runtime: RuntimeName = "auto"
    time_scale: float = DEFAULT_SCALE
    control: Control = Control.NONE
    seed: int = 1
    repetition: int = 0
    without: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    runs: Path = Path("runs")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def problems_of(
    *,
    runtime: str,
    control: str,
    time_scale: float = 1,
    without: Sequence[str] = (),
    order: Sequence[str] = (),
    controls: Sequence[str] = CONTROLS,
) -> list[str]:
    """What is wrong with options as somebody wrote them, one line each; empty if nothing is."""
    problems = []
    if runtime not in RUNTIMES:
        problems.append(f"--runtime {runtime}: choose one of {', '.join(RUNTIMES)}")
    if control not in controls:
        problems.append(f"--control {control}: choose one of {', '.join(controls)}")
    elif control != Control.NONE and (without or order):
        problems.append(f"--control {control} goes with neither --without nor --order: it leaves out more than they do")
    if not 1 <= time_scale <= 1000:
        problems.append(f"--time-scale {time_scale:g}: choose a number between 1 (real time) and 1000")
    return problems


def problems_of_many(*, control: str, names: Sequence[str], every: bool, repeat: int, missing: bool) -> list[str]:
    """What is wrong with asking for several runs so, one line each; empty if nothing is."""
    problems = []
    if bool(names) == every:
        problems.append("name the scenarios to be run, or say --all" + (", not both" if every else ""))
    if control == EACH and repeat > 1:
        problems.append(f"--control {EACH} goes without --repeat: what is repeated is one control")
    if missing and control != EACH and repeat == 1:
        problems.append(f"--missing goes with --control {EACH} or --repeat: there is nothing to go on with")
    return problems


def control_of(name: str, without: Sequence[str], order: Sequence[str]) -> Control:
    """The control that sound options ask for."""
    return Control.ABLATION if without or order else Control(name)
