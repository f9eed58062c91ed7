"""What performing a step records: the text as written first, then the correction, and what each brought about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest

from harness.clock import Clock
from harness.errors import EvidenceMissing, SandboxError
from harness.mitigations.operator import RunbookOperator
from harness.mitigations.runbook_step import RunbookStep
from harness.model.record import CommandRecord, StepRecord
from harness.runbook.effect import CommandAnswer, CommandNumber, CommandOutput, Effect, PromQuery, Source
from harness.runbook.parse import Command
from harness.runbook.steps import Purpose, Step, Steps
from harness.testing import FakeClock

State = dict[str, str]


class FakeTerminal:
    """Each command text has an action on the state, and what it prints and exits with."""

    def __init__(self, clock: FakeClock, actions: dict[str, Callable[[], tuple[int | None, str]]]) -> None:
        self._clock = clock
        self._actions = actions
        self.ran: list[str] = []

    def run(
        self, text: str, *, variant: Literal["as-written", "corrected"], limit: timedelta | None = None
    ) -> CommandRecord:
        began = self._clock.now()
        self.ran.append(text)
        self._clock.sleep(1)
        status, output = self._actions[text]()
        return CommandRecord(
            variant=variant, text=text, began=began, ended=self._clock.now(), exit_status=status, output=output
        )


class FakeProbe:
    """Reads from the state; what is not in it can't be read."""

    def __init__(self, state: State) -> None:
        self._state = state

    def read(self, source: Source) -> str:
        if str(source) not in self._state:
            raise EvidenceMissing(f"no {source}")
        return self._state[str(source)]


def effect(name: str = "forced", becomes: str = "== 1", within: float = 1) -> Effect:
    return Effect(source=PromQuery(name), becomes=becomes, within=timedelta(seconds=within))


def step(
    *commands: str,
    effects: Sequence[Effect] | None = None,
    corrected: str = "",
    accepted: str = "",
    name: str = "fix",
    purpose: Purpose = "mitigate",
) -> Step:
    lines = [Command(id="", path=(), block=1, number=n, text=text, line=n) for n, text in enumerate(commands, 1)]
    return Step(
        name=name, purpose=purpose, source="book.md:1", commands=tuple(lines), effects=tuple(effects or [effect()]),
        deadline=timedelta(seconds=30), corrected=corrected, accepted=accepted and "known", accepted_finding=accepted,
        no_undo="none",
    )  # fmt: skip


def perform(
    what: Step, state: State, actions: dict[str, Callable[[], tuple[int | None, str]]]
) -> tuple[StepRecord, FakeTerminal]:
    clock = FakeClock()
    terminal = FakeTerminal(clock, actions)
    return RunbookStep(what).apply(terminal, FakeProbe(state), clock, window="w"), terminal


def sets(state: State, status: int | None = 0, output: str = "", **values: str) -> Callable[[], tuple[int | None, str]]:
    def act() -> tuple[int | None, str]:
        state.update(values)
        return status, output

    return act


def says(output: str, status: int | None = 0) -> Callable[[], tuple[int | None, str]]:
    return lambda: (status, output)


def held(record: StepRecord) -> list[tuple[str, bool | None]]:
    return [(effect.variant, effect.held) for effect in record.effects]


def test_what_the_runbook_lacks_is_done_and_said() -> None:
    """Its commands are run at once, as a correction, and the finding is that it has no line for them."""
    state = {"forced": "0"}
    what = replace(step(corrected="c"), missing="it never says how", after=7)
    record, terminal = perform(what, state, {"c": sets(state, forced="1")})
    assert terminal.ran == ["c"]
    assert held(record) == [("corrected", True)]
    assert (record.finding, record.accepted) == ("the runbook has no line for it", "it never says how")


def test_text_that_works_is_not_corrected() -> None:
    """Where the text as written has its effect, the correction is never run, and there is no finding."""
    state = {"forced": "0"}
    record, terminal = perform(step("a", "b", corrected="c"), state, {"a": says("x"), "b": sets(state, forced="1")})
    assert terminal.ran == ["a", "b"]
    assert held(record) == [("as-written", True)]
    assert (record.finding, record.problem, record.window, record.source) == ("", "", "w", "book.md:1")
    [seen] = record.effects
    assert (seen.before, seen.after) == ("0", "1")


def test_text_without_effect_is_corrected() -> None:
    """Where the effect fails to come, that is a finding with its evidence, and the correction is run line by line."""
    state = {"forced": "0"}
    actions = {"a": says("unauthorized"), "c \\\n d": says(""), "e": sets(state, forced="1")}
    record, terminal = perform(step("a", corrected="c \\\n d\ne\n", accepted="unauthorized"), state, actions)
    assert terminal.ran == ["a", "c \\\n d", "e"]
    assert held(record) == [("as-written", False), ("corrected", True)]
    assert [command.variant for command in record.commands] == ["as-written", "corrected", "corrected"]
    assert "`a` exited with 0 and said: unauthorized" in record.finding
    assert "did not have its effect: forced == 1 (before: 0, after: 0)" in record.finding
    assert record.accepted == "known"


def test_another_finding_than_the_accepted_one_is_new() -> None:
    """A finding that does not contain the accepted text is not accepted."""
    record, _ = perform(step("a", accepted="unauthorized"), {"forced": "0"}, {"a": says("timeout")})
    assert record.finding
    assert record.accepted == ""


def test_an_accepted_finding_that_did_not_occur_keeps_its_reason() -> None:
    """So that the judge can say that it is out of date."""
    state = {"forced": "0"}
    record, _ = perform(step("a", accepted="unauthorized"), state, {"a": sets(state, forced="1")})
    assert (record.finding, record.accepted) == ("", "known")


@pytest.mark.parametrize("status", [22, -9, None])
def test_a_command_that_fails_is_a_finding_though_the_effect_came(status: int | None) -> None:
    """An exit status other than 0 is told even where the effect came about."""
    state = {"forced": "0"}
    record, _ = perform(step("a"), state, {"a": sets(state, status, forced="1")})
    assert held(record) == [("as-written", True)]
    assert "`a`" in record.finding


def test_an_effect_may_take_its_time() -> None:
    """The effect is looked at until it holds, for as long as it is given."""
    state = {"forced": "0"}
    clock = FakeClock()

    def later() -> tuple[int, str]:
        clock.at(clock.now() + 3, lambda: state.update(forced="1"))
        return 0, ""

    terminal = FakeTerminal(clock, {"a": later})
    record = RunbookStep(step("a", effects=[effect(within=5)])).apply(terminal, FakeProbe(state), clock)
    assert held(record) == [("as-written", True)]
    assert record.effects[0].at - record.commands[0].ended == pytest.approx(3, abs=0.06)


@pytest.mark.parametrize(
    ("before", "after", "becomes", "result"),
    [
        ("1", "1", "== 1", None),  # it was so before: the step proves nothing
        (None, "1", "== 1", None),  # nobody knows what it was before
        ("0", None, "== 1", None),
        ("0", "absent", "== 1", None),
        ("absent", "absent", "== 1", None),
        ("absent", "1", "== 1", True),
        ("0", "0", "== 1", False),
        (None, "0", "== 1", False),
        ("1", "2", "increased", True),
        ("1", "1", "increased", False),
        (None, "2", "increased", None),
    ],
)
def test_an_effect_is_what_changed(before: str | None, after: str | None, becomes: str, result: bool | None) -> None:
    """Only a change from not so to so is an effect of the step; what can't be told is told as such."""
    state: State = {} if before is None else {"forced": before}

    def act() -> tuple[int, str]:
        state.clear()
        state.update({} if after is None else {"forced": after})
        return 0, ""

    record, _ = perform(step("a", effects=[effect(becomes=becomes)]), state, {"a": act})
    assert held(record) == [("as-written", result)]
    assert (record.effects[0].before, record.effects[0].after) == (before, after)


def test_a_series_that_is_not_there_yet_does_not_stop_the_correction() -> None:
    """A gauge that appears with the first order is no reason to leave the service broken."""
    state = {"forced": "absent"}
    record, _ = perform(step("a", corrected="c"), state, {"a": says(""), "c": sets(state, forced="1")})
    assert held(record) == [("as-written", None), ("corrected", True)]


def test_only_what_was_missed_is_looked_at_again() -> None:
    """Of two effects, the one that the text as written had is not asked of the correction."""
    state = {"one": "0", "two": "0"}
    actions = {"a": sets(state, one="1"), "c": sets(state, two="1")}
    record, _ = perform(step("a", corrected="c", effects=[effect("one"), effect("two")]), state, actions)
    assert [(seen.claim, seen.variant, seen.held) for seen in record.effects] == [
        ("one == 1", "as-written", True),
        ("two == 1", "as-written", False),
        ("two == 1", "corrected", True),
    ]


@pytest.mark.parametrize(
    ("as_written", "corrected", "results"),
    [
        ('{"error": "unauthorized"}', '100 {"ok": true}', [("as-written", False), ("corrected", True)]),
        ('{"ok": true}', "", [("as-written", True)]),
        ("no JSON", '{"ok": false}', [("as-written", False), ("corrected", False)]),
    ],
)
def test_an_answer_is_read_from_what_the_command_printed(
    as_written: str, corrected: str, results: list[tuple[str, bool | None]]
) -> None:
    """A step that only asks is judged by the answer it got."""
    answer = Effect(source=CommandAnswer("/ok"), becomes="== true", within=timedelta(0))
    record, _ = perform(step("a", corrected="c", effects=[answer]), {}, {"a": says(as_written), "c": says(corrected)})
    assert held(record) == results


@pytest.mark.parametrize(("printed", "result"), [("it is 12", True), ("", False), ("absent", False)])
def test_what_a_step_prints_can_be_its_effect(printed: str, result: bool) -> None:
    """All that its lines print counts, and nothing of what stood there before."""
    looks = Effect(source=CommandOutput(), becomes=r"matches is \d+", within=timedelta(0))
    record, _ = perform(step("a", "b", effects=[looks]), {}, {"a": says(printed), "b": says("")})
    assert held(record) == [("as-written", result)]


@pytest.mark.parametrize(
    ("printed", "result", "after"),
    [
        ("rate: 61.5 /s", True, "61.5"),
        ("rate: 50.0 /s", False, "50.0"),
        ("rate: 10 /s\nrate: 70 /s", True, "70"),  # the last one counts
        ("rate: nan /s", False, "absent"),
        ("", False, "absent"),
    ],
)
def test_a_number_that_a_step_prints_can_be_its_effect(printed: str, result: bool, after: str) -> None:
    """The group of a pattern is compared as any reading is; a number that was not printed is no effect."""
    fast = Effect(source=CommandNumber(r"^rate: ([\d.]+)"), becomes="> 50", within=timedelta(0))
    record, _ = perform(step("a", effects=[fast], purpose="look"), {}, {"a": says(printed)})
    assert held(record) == [("as-written", result)]
    assert record.effects[0].after == after


def test_trouble_of_our_own_is_a_problem_and_no_finding() -> None:
    """Where the sandbox can't run a line, that is told as such, with what was run before it."""

    def broken() -> tuple[int, str]:
        raise SandboxError("the supervisor is gone")

    record, _ = perform(step("a", "b"), {"forced": "0"}, {"a": says(""), "b": broken})
    assert record.problem == "the supervisor is gone"
    assert [command.text for command in record.commands] == ["a"]
    assert (record.finding, record.effects) == ("", ())


def test_an_operator_performs_steps_by_name() -> None:
    """The operator's steps are found, performed, skipped and taken back by name."""
    state = {"forced": "0"}
    clock: Clock = FakeClock()
    steps = Steps(source="steps.yml", by_name={"fix": step("a"), "back": step("b", name="back", purpose="restore")})
    terminal = FakeTerminal(FakeClock(), {"a": sets(state, forced="1")})
    operator = RunbookOperator(steps=steps, shell=terminal, probe=FakeProbe(state), clock=clock)
    assert operator.problems(["fix", "fixx"]) == ["steps.yml has no step 'fixx'; did you mean 'fix'?"]
    assert operator.perform("fix", "w").effects[0].held is True
    skipped = operator.skip("fix", "w")
    assert (skipped.skipped, skipped.commands, skipped.deadline) == (True, (), 30)
    assert operator.taking_back("back") == ["back"]
