"""Controls: for each claim of each scenario, what has been seen to turn it red."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from harness.model.verdict import Outcome, worst

# live: a run of its own, with something left out. moved: evidence of a recorded run, judged where it does not belong.
# made up: evidence that nobody recorded. taken away: no evidence at all.
Grade = Literal["live", "moved", "made up", "taken away"]
GRADES: tuple[Grade, ...] = ("live", "moved", "made up", "taken away")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one control made of one claim: `outcome` is its verdict there, None where the control leaves the claim out.
    It is `turned` where that verdict is the word for a claim that is refuted, and `green` where it passed and, by what
    it says, must not have."""

    control: str
    grade: Grade
    outcome: Outcome | None
    turned: bool
    green: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim: its verdict in the run as it is, and what every live control, and every other one that turned it, made
    of it.

    `vacuous` says why it can't turn red, `remedy` what to do about it; both are empty where it can. `undecided` says
    why nobody knows.
    """

    claim: str
    outcome: Outcome
    cells: tuple[Cell, ...] = ()
    vacuous: str = ""
    remedy: str = ""
    undecided: str = ""

    def turned_by(self, grade: Grade) -> tuple[str, ...]:
        """The controls of this grade that turned it."""
        return tuple(cell.control for cell in self.cells if cell.turned and cell.grade == grade)

    def under(self, control: str) -> Cell | None:
        """What `control` made of it."""
        return next((cell for cell in self.cells if cell.control == control), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioControls:
    """The claims of one scenario. `runs` are the recorded runs by their control, `seconds` how long their stories took
    by the clock on the wall; `fingerprint` is that of the scenario's file.

    `missing` are live controls that nobody ran, `spoilt` says of each run that proves nothing why; with either, the
    scenario is not decided.
    """

    scenario: str
    fingerprint: str
    outcome: Outcome
    claims: tuple[Claim, ...]
    runs: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    spoilt: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMatrix:
    """All scenarios. `absent` are those of which there is no run; `heard` says for each alert in which scenarios' runs
    it was heard."""

    scenarios: tuple[ScenarioControls, ...]
    absent: tuple[str, ...] = ()
    heard: tuple[tuple[str, tuple[str, ...]], ...] = field(default=())

    @property
    def claims(self) -> tuple[tuple[str, Claim], ...]:
        """Every claim with its scenario."""
        return tuple((one.scenario, claim) for one in self.scenarios for claim in one.claims)

    def vacuous(self) -> tuple[tuple[str, Claim], ...]:
        """The claims that can't turn red."""
        return tuple((name, claim) for name, claim in self.claims if claim.vacuous)

    def by_made_up_alone(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The claims that nothing turned but evidence which nobody recorded, each with the scenarios that make it."""
        found: dict[str, list[str]] = {}
        for name, one in self.claims:
            if one.turned_by("made up") and not one.turned_by("live") and not one.turned_by("moved"):
                found.setdefault(one.claim, []).append(name)
        return tuple((claim, tuple(names)) for claim, names in found.items())

    def open_ends(self) -> tuple[tuple[str, str], ...]:
        """What keeps the matrix from being complete: pairs of a scenario and why."""
        return tuple(_open_ends(self))

    @property
    def outcome(self) -> Outcome:
        """INVALID where a claim is vacuous, UNKNOWN where the matrix is not complete, and no better than the runs as
        they are; PASS is a complete matrix of claims that hold and can turn red."""
        found: list[Outcome] = [one.outcome for one in self.scenarios if one.outcome is Outcome.FAIL]
        if self.vacuous():
            found.append(Outcome.INVALID)
        if self.open_ends() or not self.scenarios:
            found.append(Outcome.UNKNOWN)
        return worst([Outcome.PASS, *found])


def _open_ends(matrix: ControlMatrix) -> Iterable[tuple[str, str]]:
    for name in matrix.absent:
        yield name, "it has not been run as it is now"
    for one in matrix.scenarios:
        for control in one.missing:
            yield one.scenario, f"it has not been run under {control}"
        for why in one.spoilt:
            yield one.scenario, why
        for claim in one.claims:
            if claim.undecided:
                yield one.scenario, f"{claim.claim}: {claim.undecided}"
