"""What the documents name is there: links, commands, options, make targets, files, outcomes and claims."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from harness import (
    Benchmark,
    Checkpoint,
    Control,
    Level,
    Logs,
    Outcome,
    Slo,
    UsageError,
    Window,
    cli,
    minutes,
    store,
)
from harness.census.unchanged import Unchanged
from harness.faults.gone import FaultGone
from harness.faults.in_force import FaultInForce
from harness.load.checks import LoadKeptUp
from harness.mitigations.checks import StepWorked
from harness.model.judgement import Time
from harness.sandbox.topology import Operations, Role
from scenarios import test_llm_outage as llm_outage
from tests.documents import ROOT, anchors, code, commands, documents, links, read, sections, spans
from tests.reports import outage

REFERENCE, VERDICT = "docs/reference/command-line.md", "docs/reference/verdict.md"

# -- links and names ---------------------------------------------------------------------------------------------


def leads_nowhere(document: str, target: str) -> str:
    """What is wrong with a link of `document` to `target`; empty if nothing is, or if it leads out of the project."""
    if re.match(r"[a-z]+:", target):
        return ""
    path, _, anchor = target.partition("#")
    place = (ROOT / document).parent / path if path else ROOT / document
    if not place.exists():
        return f"there is no {path}"
    if not place.resolve().is_relative_to(ROOT.resolve()):
        return "it leads out of the project"
    page = place.resolve().relative_to(ROOT.resolve()).as_posix()
    return f"{page} has no heading #{anchor}" if anchor and anchor not in anchors(page) else ""


def test_every_link_leads_somewhere() -> None:
    """Each relative link of each document leads to a file, a folder or a heading that is there."""
    found = list(links())
    assert len(found) > 30
    broken = [f"{link}: {odd}" for link in found if (odd := leads_nowhere(link.document, link.text))]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("target", "odd"),
    [
        ("docs/architecture.md#the-folders", ""),
        ("docs/architecture.md#the-cellars", "no heading"),
        ("docs/nowhere.md", "there is no"),
        ("#the-map", ""),
        ("#the-territory", "no heading"),
        ("../outside.md", "there is no"),
        ("https://example.com/", ""),
    ],
)
def test_a_broken_link_would_be_noticed(target: str, odd: str) -> None:
    """Files and anchors that are not there are told from those that are."""
    found = leads_nowhere("README.md", target)
    assert odd in found
    assert bool(odd) == bool(found)


TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
# Options in the documents that are not ours: whose they are.
FOREIGN = {
    "--reruns": "pytest-rerunfailures",
    "--only-rerun": "pytest-rerunfailures",
    "--wait": "docker compose up",
    "--query.lookback-delta": "Prometheus",
    "--scrape.discovery-reload-interval": "Prometheus",
    "--rules.alert.resend-delay": "Prometheus",
    "--connect-to": "curl",
    "--help": "every command's",
}


@cache
def command_line() -> dict[str, Any]:
    """Every command of `gameday` by its full name, as the library that parses them has them."""
    found: dict[str, Any] = {}

    def walk(group: Any, name: str) -> None:
        for each, command in group.commands.items():
            (
                walk(command, f"{name} {each}")
                if hasattr(command, "commands")
                else found.update({f"{name} {each}": command})
            )

    walk(typer.main.get_command(cli.app), "gameday")
    return found


def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("-")}


def misnamed(text: str) -> str:
    """What a document's piece of code names that is not there: a command, an option or a make target."""
    known = command_line()
    words = text.split()
    words = words[: words.index("|")] if "|" in words else words
    if words[:1] == ["make"]:
        odd = [word for word in words[1:] if "=" not in word and word not in TARGETS and not word.isupper()]
        return f"make has no target {odd[0]}" if odd else ""
    ours = set().union(*map(options, known.values()))
    if words and Path(words[0]).name == "gameday" and len(words) > 1 and words[1] not in ("--help", "COMMAND"):
        name = next((each for each in known if words[1:][: len(each.split()) - 1] == each.split()[1:]), "")
        if not name:
            return f"gameday has no command {words[1]}"
        ours = options(known[name])
    elif not words or not words[0].startswith("--"):
        return ""
    odd = [word for word in words if re.match(r"--?[a-z]", word) and word not in ours and word not in FOREIGN]
    return f"there is no option {odd[0]} here" if odd else ""


def test_no_document_names_what_is_not_there() -> None:
    """Each command of gameday, each option and each make target that a document names is there."""
    pieces = [*spans(), *commands()]
    wrong = [f"{piece}: {odd}" for piece in pieces if (odd := misnamed(piece.text))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("gameday list", True),
        (".venv/bin/gameday run x --control no-fault", True),
        ("gameday runbook outline x.md", True),
        ("gameday doctor | up | down", True),
        ("gameday fly", False),
        ("gameday runbook mend", False),
        ("gameday list --control no-fault", False),
        ("gameday report x -o y", True),
        ("gameday report x -c y", False),
        ("--time-scale 60", True),
        ("--wait", True),
        ("--time-machine", False),
        ("make drill", True),
        ("make bench COUNT=3", True),
        ("make TARGET", True),
        ("make hay", False),
        ("gameday", True),
    ],
)
def test_a_wrong_name_would_be_noticed(text: str, right: bool) -> None:
    """Names that are not there are told from those that are."""
    assert (misnamed(text) == "") is right


# -- the reference -----------------------------------------------------------------------------------------------


def parameter_row(parameter: Any) -> tuple[str, ...]:
    """How the reference names a parameter."""
    if type(parameter).__name__.endswith("Argument"):
        return (parameter.name.upper() + ("..." if parameter.nargs == -1 else ""),)
    return tuple(parameter.opts)


def default_of(parameter: Any) -> str | None:
    """Its default as the reference has it; None where the reference says it in words."""
    if parameter.required:
        return "required"
    if getattr(parameter, "is_flag", False):
        return ""
    if parameter.default in (None, "") or type(parameter).__name__.endswith("Argument"):
        return None
    return f"`{parameter.default:g}`" if isinstance(parameter.default, float) else f"`{parameter.default}`"


def test_the_reference_has_every_command() -> None:
    """The page has a section for each command, and for no other."""
    titled = re.findall(r"^## (gameday .+)$", read(REFERENCE), re.MULTILINE)
    assert sorted(titled) == sorted(command_line())


@pytest.mark.parametrize("name", command_line())
def test_the_reference_has_every_option_with_its_default(name: str) -> None:
    """A command's table has each of its arguments and options, spelled and with the default as the program has them."""
    rows = sections(REFERENCE).get(name, [])
    parameters = command_line()[name].params
    assert [tuple(code(row[0])) for row in rows] == [parameter_row(each) for each in parameters]
    for row, parameter in zip(rows, parameters, strict=True):
        expected = default_of(parameter)
        if expected is None:
            assert row[1] not in ("", "required"), f"{name} {row[0]}: say what is done without it"
        else:
            assert row[1] == expected, f"{name} {row[0]}"


@pytest.mark.parametrize(("document", "heading"), [("README.md", "Two commands"), (REFERENCE, "Exit status")])
def test_exit_statuses_are_as_documented(document: str, heading: str) -> None:
    """The table of exit statuses is that of the program."""
    real = {outcome.exit_code: outcome.value for outcome in Outcome} | {UsageError.exit_code: ""}
    assert {int(row[0]): row[1] for row in sections(document)[heading]} == real


def test_the_verdict_file_is_as_documented() -> None:
    """The page names each key of verdict.json, of a check and of a time."""
    rows = sections(VERDICT)["verdict.json"]
    plain = json.loads(store.verdict_json(outage.judgement()))
    assert [code(row[0])[0] for row in rows] == [*plain, *plain["checks"][0]]
    (times,) = [row[1] for row in rows if row[0] == "`times`"]
    assert code(times) == [field.name for field in fields(Time)]


def test_the_outcomes_are_as_documented() -> None:
    """The page has the five outcomes, from best to worst."""
    assert [row[0] for row in sections(VERDICT)["Outcomes"]] == [outcome.value for outcome in Outcome]


def test_the_claims_of_every_run_are_as_documented() -> None:
    """The page quotes the claims that every run makes as they are worded."""
    made = [check(window="…").claim for check in (FaultInForce, FaultGone, LoadKeptUp, StepWorked)]
    made.append(Unchanged().claim)
    rows = [row[0] for row in sections(VERDICT)["The claims that every run makes"]]
    assert rows[:5] == made
    text = (ROOT / "harness/judge.py").read_text(encoding="utf-8")
    assert len(rows) == 10
    assert all(f'"{claim}"' in text for claim in rows[5:])


def test_what_must_turn_red_is_as_documented() -> None:
    """For each claim of a scenario the page names the controls under which it must turn red."""
    alert, objective, fault = llm_outage.ALERT, llm_outage.RECOVERED, Window(outage.FAULT)
    record = outage.record()
    better, calm = Window("on the fallback"), Window("calm")
    checks: Mapping[str, Sequence[Any]] = {
        "ALERT.fires": [alert.fires(within=minutes(1), of=fault.start)],
        "ALERT.delivered": [alert.delivered()],
        "ALERT.resolves": [alert.resolves(within=minutes(1), of=fault.end)],
        "ALERT.stays_quiet": [alert.stays_quiet(during=calm)],
        "ALERT.does_not_fire": [alert.does_not_fire(during=calm)],
        "ALERT.is_only_pending": [alert.is_only_pending(during=calm)],
        "LOGS.shows": [Logs("web").shows("x", during=calm), Logs("web").shows("x", during=better)],
        "LOGS.lacks": [Logs("web").lacks("x", during=calm)],
        "OBJECTIVE.during": [objective.during(calm), objective.during(better)],
        "OBJECTIVE.within": [objective.within(minutes(1), of=fault.start, by=fault.end)],
    }
    level, begun = Level("the CPU", "cpu"), Checkpoint("c", minutes(1), minutes(1), (objective,))
    ours = Benchmark("a", 80, "/", requests=100, at_once=1, p99=minutes(1), rate=50, mean=minutes(1))
    checks = {
        **checks,
        "SMOKE.during": [Slo.smoke("GET /").during(calm)],
        "LIMIT.during": [level.below(1).during(calm, better)],
        "LEVEL.goes": [level.goes(0, 1, during=better)],
        "BENCHMARK.during": [ours.during(better)],
        "run.check": begun.claims(calm, fault.end)[:1],
    }
    controls = {each.value for each in Control}
    documented = {
        code(row[0])[0].partition("(")[0]: set(code(row[2])) & controls
        for row in sections(VERDICT)["The claims of a scenario"]
    }
    real = {name: {c.value for check in made for c in check.red_under(record)} for name, made in checks.items()}
    assert documented == real


def test_the_roles_of_a_compose_file_are_all_documented() -> None:
    """The page of the compose file names each key of x-gameday and of its operations."""
    named = set(re.findall(r"`([a-z]+)`", read("docs/reference/compose-file.md").partition("## `x-gameday`")[2]))
    assert named >= {*get_args(Role), "time", "users", "runbook", "steps", "operations"}
    assert named >= {field.name for field in fields(Operations)}


# -- decisions ---------------------------------------------------------------------------------------------------


def test_decisions_are_numbered_and_listed() -> None:
    """Each decision has a number of its own, without a hole, and stands in the index under its own title."""
    folder = ROOT / "docs/decisions"
    pages = sorted(path for path in folder.iterdir() if path.name != "README.md")
    assert [path.name[:5] for path in pages] == [f"{number:04}-" for number in range(1, len(pages) + 1)]
    titles = [path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for path in pages]
    listed = re.findall(r"^\| \[(\d+)\]\((.+)\) \| (.+) \|$", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    assert listed == [(path.name[:4], path.name, title) for path, title in zip(pages, titles, strict=True)]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert all(f"**{part}.**" in text for part in ("Problem", "Decision", "What we give up")), path.name


def test_every_page_can_be_reached() -> None:
    """From README a reader gets to every page of docs/, by links alone."""
    reached, todo = set[str](), ["README.md"]
    while todo:
        page = todo.pop()
        if page in reached or page not in documents():
            continue
        reached.add(page)
        for link in links():
            if link.document == page and not re.match(r"[a-z]+:", link.text):
                place = ((ROOT / page).parent / link.text.partition("#")[0]).resolve()
                place = place / "README.md" if place.is_dir() else place
                todo.append(place.relative_to(ROOT.resolve()).as_posix())
    assert reached >= set(documents()) - {"CHANGELOG.md"}
