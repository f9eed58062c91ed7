"""The steps file: what it says, and that all its problems are told at once."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.runbook.effect import (
    CommandAnswer,
    CommandOutput,
    Effect,
    JsonAnswer,
    Metric,
    PromQuery,
    RedisAnswer,
    Start,
)
from harness.runbook.parse import parse_runbook, read_runbook
from harness.runbook.steps import Correction, Improves, Steps, join_steps, read_steps

FIXTURES = Path(__file__).parents[2] / "fixtures" / "runbook"
BOOK = parse_runbook("## Do\n```sh\nfix it \\\n  now\nwait\n```\n## Back\n```sh\nundo\n```\n", source="book.md")
GOOD = """\
steps:
  fix:
    purpose: mitigate
    deadline: 30 s
    run: {do/1.1: fix it now}
    effects: [{metric: 'm{a="b"}', of: app:80, becomes: "== 1", within: 500 ms}]
    undo: [unfix]
  unfix:
    purpose: restore
    run: {back/1.1: undo}
    effects: [{get: "app:80/x?y", pointer: /a/0, becomes: "!= open"}, {promql: up, becomes: ">= 1"}]
"""


def read(tmp_path: Path, text: str) -> Steps:
    path = tmp_path / "steps.yml"
    path.write_text(text, encoding="utf-8")
    return read_steps(path, BOOK)


def test_a_step_says_what_it_runs_and_what_that_must_do(tmp_path: Path) -> None:
    """Lines, place in the runbook, deadline and effects are read as written."""
    steps = read(tmp_path, GOOD)
    fix, unfix = steps.step("fix"), steps.step("unfix")
    assert ([command.text for command in fix.commands], fix.source) == (["fix it \\\n  now"], "book.md:3")
    assert fix.deadline == timedelta(seconds=30)
    assert fix.effects == (
        Effect(source=Metric("app", 80, "m", (("a", "b"),)), becomes="== 1", within=timedelta(seconds=0.5)),
    )
    assert [effect.source for effect in unfix.effects] == [JsonAnswer("app", 80, "/x?y", "/a/0"), PromQuery("up")]
    assert unfix.deadline is None


def test_an_answer_is_looked_at_at_once(tmp_path: Path) -> None:
    """What a command has printed can't change, so there is nothing to wait for."""
    text = GOOD.replace(
        '{metric: \'m{a="b"}\', of: app:80, becomes: "== 1", within: 500 ms}', '{answer: /ok, becomes: "== 1"}'
    )
    [effect] = read(tmp_path, text).step("fix").effects
    assert (effect.source, effect.within) == (CommandAnswer("/ok"), timedelta(0))


def test_what_is_printed_can_be_an_effect(tmp_path: Path) -> None:
    """For a step that looks: a regular expression that is found in a line of it, at once."""
    text = GOOD.replace('{metric: \'m{a="b"}\', of: app:80, becomes: "== 1", within: 500 ms}', "{prints: '^PO'}")
    [effect] = read(tmp_path, text).step("fix").effects
    assert (effect.source, effect.within) == (CommandOutput(), timedelta(0))
    assert [effect.holds("absent", said) for said in ("x\nPONG", "SPONG", "")] == [True, False, False]


def test_a_mitigation_is_taken_back_by_its_undo(tmp_path: Path) -> None:
    """To take a mitigation back is to perform its restore steps; a restore step stands for itself."""
    steps = read(tmp_path, GOOD)
    assert [step.name for step in steps.taking_back("fix")] == ["unfix"]
    assert [step.name for step in steps.taking_back("unfix")] == ["unfix"]


def test_a_runbook_without_a_way_back_says_so(tmp_path: Path) -> None:
    """A mitigation that nothing takes back is refused with the reason, which is a gap of the runbook."""
    steps = read(tmp_path, GOOD.replace("undo: [unfix]", "no_undo: nobody wrote it"))
    with pytest.raises(UsageError, match="nobody wrote it"):
        steps.taking_back("fix")
    assert steps.gaps() == ("fix: nobody wrote it",)


def test_what_leaves_nothing_is_no_gap(tmp_path: Path) -> None:
    """A mitigation that needs no way back is refused one with the reason, and is no gap of the runbook."""
    steps = read(tmp_path, GOOD.replace("undo: [unfix]", "nothing_to_undo: it ends by itself"))
    with pytest.raises(UsageError, match=r"leaves nothing to take back[\s\S]*it ends by itself"):
        steps.taking_back("fix")
    assert steps.gaps() == ()


def test_a_redis_can_be_asked(tmp_path: Path) -> None:
    """An effect may be what a database of a Redis answers to a command."""
    text = GOOD.replace("promql: up", 'redis: "app:6379/1", ask: CONFIG GET maxmemory')
    [_, effect] = read(tmp_path, text).step("unfix").effects
    assert effect.source == RedisAnswer("app", 6379, 1, "CONFIG GET maxmemory")


def test_a_start_can_be_an_effect(tmp_path: Path) -> None:
    """An effect may be that a service was started."""
    [_, effect] = read(tmp_path, GOOD.replace("promql: up", "start: app")).step("unfix").effects
    assert effect.source == Start("app")
    assert str(effect.source) == "start of app"


def test_an_unknown_step_is_refused_with_the_nearest(tmp_path: Path) -> None:
    """A name that is not there is answered with the one that was perhaps meant."""
    steps = read(tmp_path, GOOD)
    assert steps.problems(["fix", "fixx", "zzz"]) == [
        "steps.yml has no step 'fixx'; did you mean 'fix'?",
        "steps.yml has no step 'zzz'",
    ]
    with pytest.raises(UsageError, match="did you mean 'unfix'"):
        steps.step("unfixx")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("do/1.1: fix it now", "do/1.9: fix it now", "no command line has the id do/1.9; near it: do/1.2, do/1.1"),
        ("do/1.1: fix it now", "do/1.2: fix it now", "now reads 'wait', not what is expected; that text is now do/1.1"),
        ("do/1.1: fix it now", "do/1.1: fix it later", "now reads"),
        ("mitigate", "repair", "purpose"),
        ("30 s", "30", "no duration"),
        ("30 s", "30", "30"),
        ("30 s", "soon", "'soon' is no duration"),
        ("30 s", "30 parsecs", "no duration"),
        ("undo: [unfix]", "undo: [unfixx]", "there is no step 'unfixx'; did you mean 'unfix'?"),
        ("undo: [unfix]", "undo: [fix]", "fix is no restore step"),
        ("    undo: [unfix]\n", "", "say either undo"),
        ("undo: [unfix]", "undo: [unfix]\n    nothing_to_undo: x", "say either undo"),
        ("promql: up", "promql: up, ask: DBSIZE", "it belongs to a redis"),
        ("promql: up", "redis: app:80/0", "a redis needs one"),
        ("promql: up", "redis: app:80, ask: DBSIZE", "service:port/database"),
        ("undo: [unfix]", "undo: [unfix]\n    no_undo: x", "say either undo"),
        ("run: {back/1.1: undo}", "run: {back/1.1: undo}\n    undo: [unfix]", "a restore step has no undo"),
        ("== 1", "= 1", "is no comparison"),
        ("== 1", "> many", "is no comparison"),
        ("of: app:80", "of: app", "service:port"),
        ("of: app:80, ", "", "service:port"),
        ('m{a="b"}', "m{a=b}", "name{label"),
        ('m{a="b"}', 'm{a="b"', "name{label"),
        ('m{a="b"}', "", "metric"),
        ("promql: up", "promql: up, metric: m", "say one of"),
        ("promql: up, ", "", "say one of"),
        ("pointer: /a/0", "pointer: a", "no JSON pointer"),
        ("app:80/x?y", "http://app/x", "service:port/path"),
        ("promql: up", "promql: up, pointer: /x", "belongs to a get"),
        ("promql: up", "promql: up, of: app:80", "belongs to a metric"),
        ("promql: up, ", "prints: '(', ", "`prints` says it itself"),
        ('{promql: up, becomes: ">= 1"}', "{prints: '('}", "no regular expression"),
        ("promql: up", "number: '('", "number: '(' is no regular expression"),
        ("promql: up", "number: 'a'", "number: 'a' has 0 groups"),
        ("promql: up", "number: '(a)(b)'", "has 2 groups"),
        ("undo: [unfix]", "undo: [unfix]\n    not_here: x", "say either its effects or"),
        ("purpose: restore", "purpose: look", "fix: undo: unfix is no restore step"),
        ("deadline:", "dead_line:", "dead_line"),
        ("    run: {back/1.1: undo}\n", "", "unfix.run"),
        ("  unfix:", "  fix:", "'fix' stands twice"),
        ("steps:", "steps: [", "can't be read"),
        ("steps:", "stairs:", "stairs"),
        ("run: {back/1.1: undo}", "missing: none\n    after: back/1.1", "what is missing has corrected and after"),
        ("run: {back/1.1: undo}", "missing: none\n    corrected: x", "what is missing has corrected and after"),
        ("run: {back/1.1: undo}", "missing: none\n    corrected: x\n    after: back/1.9", "has the id back/1.9"),
        ("run: {back/1.1: undo}", "run: {back/1.1: undo}\n    after: do/1.1", "unfix.run"),
        ("run: {back/1.1: undo}", "run: {back/1.1: undo}\n    improves: {alert: A}", "a mitigation says one of alert"),
        ("deadline: 30 s", "improves: {}", "a mitigation says one of alert and requests"),
        ("deadline: 30 s", "improves: {alert: A, requests: B}", "a mitigation says one of alert and requests"),
        ("deadline: 30 s", "improves: {memory: A}", "memory"),
        ("steps:", "corrections: [{text: gone, put: x, because: y}]\nsteps:", "'gone' stands in book.md 0 times"),
        ("steps:", 'corrections: [{text: "```", put: x, because: y}]\nsteps:', "stands in book.md 2 times, not once"),
        ("steps:", "corrections: [{text: wait, put: x}]\nsteps:", "because"),
    ],
)
def test_problems_are_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Each thing that can't work is refused in words that lead to it."""
    assert old in GOOD
    with pytest.raises(UsageError) as refused:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert said in str(refused.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Several problems of several steps come in one error."""
    text = GOOD.replace("do/1.1", "do/1.9").replace("back/1.1", "back/1.9").replace("== 1", "= 1")
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text)
    assert len(refused.value.problems) == 3


@pytest.mark.parametrize("text", ["", "steps: {}", "just words"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    """A file without steps is no steps file."""
    with pytest.raises(UsageError, match="steps"):
        read(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there is told by name."""
    with pytest.raises(UsageError, match=r"none\.yml"):
        read_steps(tmp_path / "none.yml", BOOK)


def test_the_projects_own_steps_fit_its_runbook() -> None:
    """Every step of this project refers to lines that are there; the way back is staged: probe, then switch off."""
    steps = read_steps(FIXTURES / "steps.yml", read_runbook(FIXTURES / "503-error-spike.md"))
    assert [step.name for step in steps.taking_back("openai-circuit-breaker")] == [
        "openai-probe",
        "openai-circuit-breaker-off",
    ]
    off = steps.step("openai-circuit-breaker-off")
    assert off.commands[0].text == "sleep 300"
    assert [gap.split(":")[0] for gap in steps.gaps()] == [
        "nginx-reload", "scale-down", "pause-heavy", "redis-maxmemory", "read-replica", "fallback-model",
        "connection-pool-resize", "tcp-keepalive", "auto-scale", "scale-out",
    ]  # fmt: skip


def test_a_step_that_the_runbook_lacks_is_a_gap_and_a_way_back(tmp_path: Path) -> None:
    """It has no command lines but a place, and says for the step that it takes back what the runbook leaves out."""
    lacking = "missing: it never says how\n    after: do/1.1\n    corrected: undo it"
    steps = read(tmp_path, GOOD.replace("run: {back/1.1: undo}", lacking))
    unfix = steps.step("unfix")
    assert (unfix.commands, unfix.after, unfix.source) == ((), 4, "book.md:4")  # behind both lines of the command
    assert [back.name for back in steps.taking_back("fix")] == ["unfix"]
    assert steps.gaps() == ("fix: it never says how",)


def test_what_a_step_claims_to_improve_is_read(tmp_path: Path) -> None:
    """Where nothing is said, it is all requests."""
    assert read(tmp_path, GOOD).step("fix").improves == Improves()
    for said, meant in (("{alert: Full}", Improves(alert="Full")), ("{requests: GET /}", Improves(requests="GET /"))):
        assert (
            read(tmp_path, GOOD.replace("deadline:", f"improves: {said}\n    deadline:")).step("fix").improves == meant
        )


def test_a_correction_is_found_by_its_text(tmp_path: Path) -> None:
    """Whole lines, blanks before them included, that stand once in the runbook."""
    [one] = read(tmp_path, GOOD + 'corrections: [{text: "  now", put: "  later\\n", because: it is late}]').corrections
    assert one == Correction(text="  now", put="  later", because="it is late", line=4)


# What the runbook says of each priority (its headings), and the priority that each response of a root cause belongs to.
PRIORITIES = {1: timedelta(seconds=30), 2: timedelta(minutes=2), 3: timedelta(minutes=5)}
BELONGS = {
    "openai-circuit-breaker": 1, "anthropic-circuit-breaker": 1,
    "pause-heavy": 2, "redis-maxmemory": 2, "kill-long-queries": 2, "connection-pool-resize": 2, "tcp-keepalive": 2,
    "auto-scale": 2,
    "rag-limits": 3, "read-replica": 3, "fallback-model": 3, "scale-out": 3,
}  # fmt: skip


def test_every_mitigation_has_the_deadline_of_its_priority() -> None:
    """Those of a priority that of its heading, the responses to a root cause that of the one they belong to: control
    traffic in 30 seconds, free resources in 2 minutes, restore service, which takes a restart, in 5."""
    runbook = read_runbook(FIXTURES / "503-error-spike.md")
    steps = read_steps(FIXTURES / "steps.yml", runbook)
    said = {}
    for found in re.finditer(r"^### Priority (\d): .* \(within (\d+) (second|minute)s\)$", runbook.text, re.MULTILINE):
        said[int(found[1])] = timedelta(**{f"{found[3]}s": int(found[2])})
    assert said == PRIORITIES
    for step in steps.by_name.values():
        if step.purpose == "mitigate":
            [section] = {command.path[-1] for command in step.commands}
            number = re.match(r"priority-(\d)-", section)
            assert (number is None) == (step.name in BELONGS), step.name
            assert step.deadline == PRIORITIES[int(number[1]) if number else BELONGS[step.name]], step.name


def test_steps_of_several_runbooks_are_one(tmp_path: Path) -> None:
    """Each is found by its name, and says where it stands; a name that two of them have is refused."""
    one = read(tmp_path, GOOD)
    other = read(tmp_path, GOOD.replace("unfix", "put-back").replace("  fix:", "  change:"))
    both = join_steps([one, other])
    assert list(both.by_name) == ["fix", "unfix", "change", "put-back"]
    assert both.source == "steps.yml and steps.yml"
    assert both.taking_back("change") == (other.step("put-back"),)
    with pytest.raises(UsageError, match="both have a step 'fix', 'unfix'"):
        join_steps([one, one])


def test_the_projects_own_changes_fit_their_procedures() -> None:
    """Every change can be taken back."""
    steps = read_steps(FIXTURES / "changes.yml", read_runbook(FIXTURES / "changes.md"))
    assert steps.gaps() == ()
    assert [back.name for back in steps.taking_back("larger-pool")] == ["usual-pool"]
