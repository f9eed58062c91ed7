"""`gameday run` and plain pytest: no scenario comes out green that was not proven to the end."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from harness import Control, Outcome, UsageError, judge, running, session
from harness.catalogue import find, scenarios
from harness.errors import SandboxError
from harness.model.judgement import Judgement
from harness.model.record import Record, Scenario
from harness.run import Run
from harness.running import Done, run_scenarios
from harness.settings import Settings
from harness.testing import FakeClock, ScriptedLoad, fake_cast

HEAD = """
import pytest
from harness import Arrivals, Run, Slo, minutes, percent, seconds
from harness.run import NotProven

WELL = Slo.availability(at_least=percent(50))
BADLY = Slo.latency(p50=seconds(0.001))


def story(run):
    with run.load(Arrivals.constant(per_second=20)):
        return run.observe("calm", seconds(60))

"""
PASSING = """
def test_{name}(run: Run) -> None:
    run.verify(WELL.during(story(run)))
"""

NUMBERS = count()
Play = Callable[[str], Done]


@pytest.fixture
def ending() -> list[Exception]:
    """What the sandbox of a run fails with when it ends."""
    return []


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: list[Exception]) -> Play:
    """Runs the scenarios of a file's text on fakes, by `gameday run`'s own way."""

    @contextmanager
    def on_fakes(settings: Settings, scenario: Scenario, progress: object, named: Sequence[str]) -> Iterator[Run]:
        clock = FakeClock()
        loads = ScriptedLoad(clock)

        def conclude(record: Record) -> Any:
            return judge.judge(replace(record, samples=loads.samples))

        cast = fake_cast(clock=clock, loads=loads, conclude=conclude)
        yield Run(cast, scenario=scenario, folder=Path("1"), control=settings.control, seed=1)
        for problem in ending:
            raise problem

    monkeypatch.setattr(session, "open_run", on_fakes)
    monkeypatch.chdir(tmp_path)

    def played(text: str) -> Done:
        path = tmp_path / "scenarios" / f"test_played_{next(NUMBERS)}.py"  # each module is imported once
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + textwrap.dedent(text))
        settings = Settings(compose=Path("x.yml"), control=Control.NONE, runs=tmp_path / "runs")
        return run_scenarios(scenarios(path.parent, settings.runs), settings, quiet=True)

    return played


def test_a_scenario_that_was_proven_is_a_pass(play: Play) -> None:
    """The honest story comes out with exit status 0."""
    done = play(PASSING.format(name="honest"))
    assert (done.exit_code, done.broken) == (0, ())


CAUGHT = "w = story(run)\n    with pytest.raises(NotProven):\n        run.verify(BADLY.during(w))"
STORIES = {  # what a scenario does, and the outcome that it must come to
    "without_verify": ("story(run)", Outcome.UNKNOWN),
    "red": ("run.verify(BADLY.during(story(run)))", Outcome.FAIL),
    "red_and_caught": (CAUGHT, Outcome.FAIL),
    "red_and_judged_again": (f"{CAUGHT}\n    run.verify(WELL.during(w))", Outcome.FAIL),
    "green_then_an_assertion": ("run.verify(WELL.during(story(run)))\n    assert False", Outcome.ERROR),
    "green_and_it_goes_on": ("run.verify(WELL.during(story(run)))\n    run.observe('b', seconds(1))", Outcome.ERROR),
    "green_then_skipped": ("run.verify(WELL.during(story(run)))\n    pytest.skip('done')", Outcome.ERROR),
    "green_then_expected_to_fail": ("run.verify(WELL.during(story(run)))\n    pytest.xfail('done')", Outcome.ERROR),
}


def test_what_was_not_proven_is_no_pass(play: Play) -> None:
    """Whatever a scenario catches, leaves out or breaks after its verdict, it does not come out as a PASS."""
    done = play("\n\n".join(f"def test_{name}(run: Run) -> None:\n    {text}\n" for name, (text, _) in STORIES.items()))
    assert {judgement.scenario: judgement.outcome for judgement, _ in done.judged} == {
        name: outcome for name, (_, outcome) in STORIES.items()
    }


def test_plain_pytest_is_red_as_well(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    """A scenario that never asked for a verdict, or swallowed it, fails its test too."""
    told = [
        f"def test_{name}(run: Run) -> None:\n    {STORIES[name][0]}\n" for name in ("without_verify", "red_and_caught")
    ]
    play("\n\n".join(told))
    assert "2 failed" in capsys.readouterr().err


@pytest.mark.parametrize("problem", [OSError("disk full"), SandboxError("it would not end")], ids=repr)
def test_a_sandbox_that_ends_badly_spoils_the_pass(play: Play, ending: list[Exception], problem: Exception) -> None:
    """An error after the verdict, while everything is taken down, is not lost behind a PASS."""
    ending.append(problem)
    done = play(PASSING.format(name="it"))
    assert done.exit_code == 5
    assert done.broken


def test_repetitions_that_are_there_are_not_run_again(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a series those that are recorded are judged again in their folders; the others are run, by their number."""
    ran: list[int] = []
    arguments = running._arguments

    def asked(settings: Settings, number: int) -> list[str]:
        ran.append(number)
        return arguments(settings, number)

    monkeypatch.setattr(running, "_arguments", asked)
    monkeypatch.setattr(
        running, "judge_folder", lambda folder: (Judgement(scenario="it", outcome=Outcome.FAIL, verdicts=()), "")
    )
    assert play(PASSING.format(name="it")).exit_code == 0
    assert ran.pop() == 0  # a run by itself is no repetition
    found = scenarios(tmp_path / "scenarios", tmp_path / "runs")
    settings = Settings(compose=Path("x.yml"), runs=tmp_path / "runs")
    done = run_scenarios(found, settings, repeat=3, quiet=True, have={"it": {2: Path("there")}})
    assert ran == [1, 3]
    assert [judgement.outcome for judgement, _ in done.judged] == [Outcome.FAIL, Outcome.PASS, Outcome.PASS]
    assert (done.expected, done.exit_code) == (3, 1)


def test_one_scenario_judged_twice_does_not_stand_in_for_another(play: Play) -> None:
    """Judgements are counted by scenario: one that was skipped is missed, however many others there are."""
    twice = "@pytest.mark.parametrize('n', [1, 2])\ndef test_a(run: Run, n: int) -> None:\n"
    done = play(
        twice + "    run.verify(WELL.during(story(run)))\n\n\n@pytest.mark.skip\n" + PASSING.format(name="b")[1:]
    )
    assert [judgement.outcome for judgement, _ in done.judged] == [Outcome.PASS, Outcome.PASS]
    assert done.exit_code == 5


def test_two_scenarios_of_one_name_are_refused(tmp_path: Path) -> None:
    """A name that stands for two scenarios would run one of them and leave the other out without a word."""
    for file in ("test_one.py", "test_two.py"):
        (tmp_path / file).write_text(HEAD + PASSING.format(name="outage"))
    with pytest.raises(UsageError, match="stands for several"):
        find(tmp_path, ["outage"])


def test_an_interrupted_run_is_an_interrupt(play: Play) -> None:
    """Ctrl-C in mid-run ends the command as an interrupt does (130), with no scenario begun after it."""
    with pytest.raises(KeyboardInterrupt):
        play("def test_it(run: Run) -> None:\n    raise KeyboardInterrupt\n" + PASSING.format(name="later"))


def test_a_scenario_that_can_not_be_imported_says_why(play: Play) -> None:
    """A name that is wrong at the top of the file is a configuration problem, told with the file and the cause."""
    done = play("from harness import Allert\n" + PASSING.format(name="it"))
    assert done.exit_code == 2
    assert "test_played_" in done.unusable[0]
    assert "ImportError: cannot import name 'Allert'" in done.unusable[0]
