"""What recorded runs say of each claim: whether something turned it red, and what is still to be run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import Alert, Control, Outcome, Slo, UsageError, minutes, store
from harness import controls as subject
from harness.catalogue import Entry, scenarios
from harness.controls import check_form, latest, matrix_of, of_folders, of_runs, run_each, write
from harness.counterfactual.every import counterfactuals
from harness.judge import judge
from harness.model.check import Check
from harness.model.controls import Claim, ControlMatrix, ScenarioControls
from harness.model.load import SAMPLES_COLUMNS, SAMPLES_HEADER, sample_line
from harness.model.record import Record
from harness.running import Done
from harness.settings import Settings
from tests.alerts.story import NAME
from tests.counterfactual.whole import AFTER, CHECKS, KEPT, OUTAGE, claiming, under

NO_FAULT, NO_MITIGATION = under(Control.NO_FAULT), under(Control.NO_MITIGATION)
ROOT = Path(__file__).parent.parent


def scenario(*records: Record) -> ScenarioControls:
    """What these runs of one scenario come to."""
    matrix = matrix_of({"whole": {one.control: subject._kept(one) for one in records}}, {})
    return matrix.scenarios[0]


def claim(found: ScenarioControls, part: str) -> Claim:
    (one,) = (each for each in found.claims if part in each.claim)
    return one


@pytest.fixture(scope="module")
def whole() -> ScenarioControls:
    """All three runs of the scenario of which every claim holds."""
    return scenario(KEPT, NO_FAULT, NO_MITIGATION)


def test_every_claim_was_turned_by_something(whole: ScenarioControls) -> None:
    """With all its runs, a scenario whose claims can all fail has none that is vacuous or undecided."""
    assert (whole.missing, whole.spoilt) == ((), ())
    assert [one.claim for one in whole.claims if one.vacuous or one.undecided] == []
    assert len(whole.claims) == len(judge(KEPT).verdicts)
    assert ControlMatrix(scenarios=(whole,)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("part", "live", "moved", "made_up"),
    [
        ("fires", ("no-fault",), (), ("no alert stirs",)),
        ("s during better", ("no-mitigation",), ("users served as in the fault",), None),
        ("recovered", ("no-fault", "no-mitigation"), ("users served as in the fault",), None),
        ("kept to its plan", (), (), ("the generator fell behind",)),
        ("in force", (), ("faults never in force",), ()),
        ("the runbook step mend", (), ("steps without effect",), ()),
    ],
)
def test_what_turned_a_claim_is_said_by_its_grade(
    whole: ScenarioControls, part: str, live: tuple[str, ...], moved: tuple[str, ...], made_up: tuple[str, ...] | None
) -> None:
    """A run of its own, evidence from elsewhere and evidence that nobody recorded are told apart."""
    one = claim(whole, part)
    assert (one.turned_by("live"), one.turned_by("moved")) == (live, moved)
    assert made_up is None or one.turned_by("made up") == made_up


def test_a_claim_that_a_control_leaves_out_is_neither_green_nor_red(whole: ScenarioControls) -> None:
    """There is no step to be judged where the steps are left out."""
    cell = claim(whole, "the runbook step mend").under("no-mitigation")
    assert cell is not None
    assert (cell.outcome, cell.turned) == (None, False)


@pytest.fixture
def live_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is moved or made up: what is judged is the runs themselves, and quickly."""
    monkeypatch.setattr(subject, "counterfactuals", lambda _: iter(()))


@pytest.mark.usefixtures("live_alone")
def test_a_claim_that_nothing_turns_is_vacuous() -> None:
    """Every control was tried, and it never was anything but green."""
    one = claim(scenario(KEPT, NO_FAULT, NO_MITIGATION), "kept to its plan")
    assert (one.vacuous, one.remedy) == ("nothing turns it red", "tighten its limit, or drop it")


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (Slo.latency(mean=minutes(90)).during(AFTER), "at worst it is UNKNOWN"),
        (Alert(NAME).fires(within=minutes(200), of=OUTAGE.start), "at worst it is UNKNOWN"),
    ],
)
def test_a_claim_that_nothing_refutes_is_vacuous(check: Check, why: str) -> None:
    """A limit that no user waits for, and a time that no run outlasts, are vacuous, with what to do about it."""
    made = claiming(check)
    runs = [replace(one, checks=made.checks, events=made.events) for one in (KEPT, NO_FAULT, NO_MITIGATION)]
    found = scenario(*runs)
    one = claim(found, check.claim)
    assert why in one.vacuous
    assert "tighten its limit" in one.remedy
    assert ControlMatrix(scenarios=(found,)).vacuous() == (("whole", one),)


def test_a_claim_that_stays_green_where_it_must_not_is_vacuous() -> None:
    """A run under a control outweighs evidence that is moved or made up; another run outweighs it."""
    green = replace(NO_FAULT, alerts=KEPT.alerts)  # something else than the fault set the alert off
    found = scenario(KEPT, green, NO_MITIGATION)
    one = claim(found, "is delivered")
    assert one.vacuous == "it stays green under no-fault, which leaves out what it is about"
    assert ControlMatrix(scenarios=(found,)).outcome is Outcome.INVALID
    silent = replace(NO_MITIGATION, alerts=replace(KEPT.alerts, notifications=()))
    one = claim(scenario(KEPT, green, silent), "is delivered")
    assert (one.vacuous, one.turned_by("live")) == ("", ("no-mitigation",))
    cell = one.under("no-fault")
    assert cell is not None
    assert (cell.green, cell.outcome) == (True, Outcome.PASS)


def test_a_claim_that_passes_without_evidence_is_vacuous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else turned it: no evidence must never be a pass."""
    everything = {one.name: one for one in counterfactuals({})}
    blind = replace(everything["no evidence"], of=lambda record: record)
    monkeypatch.setattr(subject, "counterfactuals", lambda _: iter([*everything.values(), blind]))
    one = claim(scenario(KEPT, NO_FAULT, NO_MITIGATION), "fires")
    assert one.vacuous == "it passes without any evidence"


def test_what_was_not_run_leaves_it_open() -> None:
    """A missing run is said, and a claim that it might turn is undecided and not vacuous."""
    checks = claiming(Slo.latency(mean=minutes(90)).during(AFTER))
    found = scenario(checks)
    assert found.missing == ("no-fault", "no-mitigation")
    assert claim(found, "during after").undecided
    matrix = ControlMatrix(scenarios=(found,), absent=("another",))
    assert [name for name, _ in matrix.open_ends()] == ["another", "whole", "whole", "whole"]
    assert matrix.outcome is Outcome.UNKNOWN
    assert ControlMatrix(scenarios=()).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        (
            replace(NO_MITIGATION, faults=tuple(replace(one, during=()) for one in KEPT.faults)),
            "nobody saw it in force",
        ),
        (replace(NO_MITIGATION, error="it broke"), "it broke off"),
        (replace(NO_MITIGATION, samples=()), "samples were recorded"),
        (replace(NO_MITIGATION, checks=NO_MITIGATION.checks[:-1]), "other claims"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.usefixtures("live_alone")
def test_a_run_that_proves_nothing_turns_nothing(spoilt: Record, why: str) -> None:
    """A control whose fault was not in force, that broke, lost samples or is of another version counts for nothing."""
    found = scenario(KEPT, NO_FAULT, spoilt)
    (said,) = found.spoilt
    assert said.startswith("the run under no-mitigation: ")
    assert why in said
    assert not any(cell.control == "no-mitigation" for one in found.claims for cell in one.cells)
    assert ControlMatrix(scenarios=(found,)).outcome is Outcome.UNKNOWN


@pytest.mark.usefixtures("live_alone")
def test_a_run_as_it_is_that_proves_nothing_is_no_measure() -> None:
    """Where the run with nothing left out is UNKNOWN or worse, nothing is said of its claims."""
    found = scenario(replace(KEPT, samples=()), NO_FAULT)
    assert found.claims == ()
    assert "the run as it is" in found.spoilt[0]
    red = scenario(claiming(*CHECKS, samples=under(Control.NO_MITIGATION).samples), NO_FAULT, NO_MITIGATION)
    assert claim(red, "s during better").outcome is Outcome.FAIL
    assert red.outcome is Outcome.FAIL
    sound = replace(red, claims=tuple(replace(one, vacuous="") for one in red.claims))
    assert ControlMatrix(scenarios=(sound,)).outcome is Outcome.FAIL


def test_only_what_can_be_left_out_is_run() -> None:
    """A story without faults has no run without the fault, and one that only looks none without its steps."""
    bare = claiming(*CHECKS[4:6], faults=(), steps=(), windows=KEPT.windows[:2])
    assert subject.applicable(bare) == ()
    looks = tuple(replace(one, purpose="look") for one in KEPT.steps)
    assert subject.applicable(replace(KEPT, steps=looks)) == (Control.NO_FAULT,)


# -- folders -------------------------------------------------------------------------------------------------------


def save(record: Record, runs: Path, number: int) -> Path:
    """Save `record` as a run leaves it."""
    folder = runs / record.scenario.name / f"20260101-{number:06}"
    folder.mkdir(parents=True)
    text = "\n".join([SAMPLES_HEADER, SAMPLES_COLUMNS, *map(sample_line, record.samples), ""])
    (folder / "samples.csv").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    loads = tuple(replace(load, samples_file="samples.csv", sha256=digest) for load in record.loads)
    store.save_record(replace(record, run_id=folder.name, loads=loads), folder)
    return folder


@pytest.mark.usefixtures("live_alone")
def test_the_latest_run_that_proves_something_is_taken(tmp_path: Path) -> None:
    """Of each control the newest, unless it proves nothing and an older one does; an older version, another time scale
    and what is no run are passed over."""
    save(KEPT, tmp_path, 1)
    save(KEPT, tmp_path, 2)
    save(replace(KEPT, error="it broke"), tmp_path, 3)
    save(replace(KEPT, scenario=replace(KEPT.scenario, fingerprint="before")), tmp_path, 4)
    save(replace(NO_FAULT, time_scale=1.0), tmp_path, 5)
    for number in (6, 7):
        save(replace(NO_MITIGATION, error="it broke"), tmp_path, number)
    (tmp_path / "whole" / "20260101-000008").mkdir()
    (tmp_path / "whole" / "latest").symlink_to("20260101-000004")
    found = latest(tmp_path / "whole", "now", 60.0)
    assert {control: one.record.run_id[-1] for control, one in found.items()} == {
        Control.NONE: "2",
        Control.NO_MITIGATION: "7",
    }
    assert Control.NO_FAULT in latest(tmp_path / "whole", "now")
    assert of_runs(tmp_path, {"whole": "now", "other": "x"}).absent == ("other",)


@pytest.mark.usefixtures("live_alone")
def test_named_folders_are_taken_as_they_are(tmp_path: Path) -> None:
    """Of whatever version they are; a folder that holds no run is refused."""
    folders = [save(one, tmp_path, n) for n, one in enumerate((KEPT, NO_FAULT, NO_MITIGATION))]
    (found,) = of_folders(folders).scenarios
    assert [control for control, _ in found.runs] == ["none", "no-fault", "no-mitigation"]
    with pytest.raises(UsageError, match="not a run's folder"):
        of_folders([tmp_path])


# -- runs ----------------------------------------------------------------------------------------------------------

ENTRY = Entry(name="whole", hypothesis="h", source="s", function="test_whole", fingerprint="now")
Ran = list[Control]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live_alone: None) -> Ran:
    """The controls that were run, in their order; each run is the prepared one."""
    prepared = {one.control: one for one in (KEPT, NO_FAULT, NO_MITIGATION)}
    done: Ran = []

    def run(entries: Iterable[Entry], settings: Settings, *, quiet: bool) -> Done:
        done.append(settings.control)
        folder = save(prepared[settings.control], tmp_path, len(done))
        return Done(judged=((judge(prepared[settings.control]), folder),), expected=1, unusable=(), broken=())

    monkeypatch.setattr(subject, "run_scenarios", run)
    return done


def each(runs: Path, *, missing: bool, say: Callable[[str], None] = lambda _: None) -> ControlMatrix:
    return run_each([ENTRY], Settings(runs=runs), missing=missing, quiet=True, say=say)


def test_each_control_is_run_once(ran: Ran, tmp_path: Path) -> None:
    """As it is first: that run says what there is to leave out."""
    said: list[str] = []
    assert each(tmp_path, missing=False, say=said.append).open_ends() == ()
    assert ran == [Control.NONE, Control.NO_FAULT, Control.NO_MITIGATION]
    assert said == ["whole: as it is", "whole: no-fault", "whole: no-mitigation"]


def test_what_was_interrupted_goes_on(ran: Ran, tmp_path: Path) -> None:
    """With --missing only what is not there, or proves nothing, is run; without it all of it again."""
    save(KEPT, tmp_path, 900)
    save(replace(NO_FAULT, error="interrupted"), tmp_path, 901)
    assert each(tmp_path, missing=True).open_ends() == ()
    assert ran == [Control.NO_FAULT, Control.NO_MITIGATION]
    assert each(tmp_path, missing=True).open_ends() == ()
    assert len(ran) == 2
    each(tmp_path, missing=False)
    assert len(ran) == 5


def test_a_scenario_that_can_not_be_run_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before anything else is run."""
    done = Done(judged=(), expected=1, unusable=("no such name",), broken=())
    monkeypatch.setattr(subject, "run_scenarios", lambda *_, **__: done)
    with pytest.raises(UsageError, match="no such name"):
        each(tmp_path, missing=False)


# -- what people read ----------------------------------------------------------------------------------------------


def test_it_can_be_read_by_people_and_programs(whole: ScenarioControls) -> None:
    """Markdown, HTML and JSON say the same; any other form is refused before anything is run."""
    matrix = ControlMatrix(scenarios=(whole,), heard=(("Other", ("whole",)),))
    assert "15 claims of 1 scenario, none VACUOUS; complete." in write(matrix, "md")
    assert "none VACUOUS; complete." in write(matrix, "html")
    plain: Any = json.loads(write(matrix, "json"))
    cell = {"control": "no-fault", "grade": "live", "outcome": None, "turned": False}
    assert plain["scenarios"][0]["claims"][0]["cells"][0] == cell
    with pytest.raises(UsageError, match="--format pdf"):
        check_form("pdf")


PAGE = ROOT / "docs" / "controls.md"


def test_no_claim_of_the_page_is_vacuous() -> None:
    """docs/controls.md, as `make controls` wrote it, has no claim that can't turn red."""
    assert ", none VACUOUS; " in PAGE.read_text(encoding="utf-8")


@pytest.mark.xfail(
    strict=True, reason="`make controls` takes an hour on an idle machine, and has not been run to its end"
)
def test_the_page_is_of_the_scenarios_as_they_are() -> None:
    """docs/controls.md is complete: each scenario is in it, in the version that it has now. `make controls` runs what
    is missing and writes it anew."""
    text = PAGE.read_text(encoding="utf-8")
    found = dict(re.findall(r"^### (\w+)\n\nVersion (\w+)\.$", text, re.MULTILINE))
    assert found == {one.name: one.fingerprint for one in scenarios(ROOT / "scenarios", ROOT / "runs")}
    assert "none VACUOUS; complete." in text
