"""The check as a whole: what it reads, what can be switched off, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from harness import UsageError, cli
from harness.lint import show
from harness.lint.check import check_file
from harness.lint.document import read_document
from harness.lint.given import read_given
from harness.lint.rules import RULES
from tests.documents import ROOT
from tests.lint.reading import read, sh

# UPDATE_GOLDEN=1 writes the golden files anew; read the difference before you commit it.
GOLDEN = Path(__file__).parent / "golden"
RUNBOOK = (
    "# Shop\n\n## Restore (within 1 minute)\n\n```sh\nredis-cli FLUSHDB 1\nsleep 90\n```\n\n"
    "<!-- gameday: off dangerous the images are on the mirror -->\n```sh\ndocker system prune -f\n```\n\n"
    "```sh\nhtop\n```\n"
)


# -- the project's own runbook -----------------------------------------------------------------------------------

UNTYPED, NO_TOKEN, LOST = "curl-body-untyped", "authentication-missing", "setting-lost"
# What steps.yml accepts and a reader can see: the line, and the rule that must say it.
SEEN = [
    *((line, UNTYPED) for line in (108, 119, 140, 156, 167, 185, 196)),
    *(
        (line, NO_TOKEN)
        for line in (108, 118, 119, 135, 136, 140, 156, 167, 175, 176, 185, 196, 218, 219, 220, 221, 223)
    ),
    *((line, LOST) for line in (151, 152, 166, 177, 178, 224, 225)),
    *((line, "word-compared") for line in (150, 155)),
    (138, "redis-cli-misused"),
    (165, "placeholder"),
    # What it says the runbook has no way back from.
    *((line, "rollback-missing") for line in (119, 156, 158, 166, 177, 185, 196)),
    (187, "not-idempotent"),
    (123, "dangerous"),
]


def test_the_known_defects_of_the_runbook_are_found() -> None:
    """Each known defect of the project's runbook that can be seen without a system is found."""
    found = {(one.line, one.rule) for one in check_file(ROOT / "fixtures/runbook/503-error-spike.md").findings}
    assert [seen for seen in SEEN if seen not in found] == []
    assert {rule for line, rule in found if line == 103} == {"curl-failure-unseen"}


# -- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dressed", [str, lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text])
def test_line_ends_and_marks_change_nothing(dressed: Any, tmp_path: Path) -> None:
    """Windows line ends and a byte order mark change neither the findings nor their lines."""
    file = tmp_path / "a runbook.md"
    file.write_bytes(dressed(RUNBOOK).encode())
    assert next(heading.title for heading in read_document(file).headings) == "Shop"
    found = [(one.rule, one.line, one.column) for one in check_file(file).findings]
    assert found == [("deadline-impossible", 3, 0), ("redis-cli-misused", 6, 1), ("interactive-command", 16, 1)]


def test_front_matter_keeps_the_lines() -> None:
    """A YAML front matter is no heading, and what stands below keeps its line."""
    (found,) = read("---\ntitle: x\n---\n\n" + sh("redis-cli FLUSHDB 1")).findings
    assert found.line == 6


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A file that is missing or not UTF-8, and files to hold it against, are refused with all problems."""
    file = tmp_path / "x.md"
    with pytest.raises(UsageError, match="can't be read"):
        check_file(file)
    file.write_bytes("# \u20ac".encode("utf-16"))
    with pytest.raises(UsageError, match="byte 1 is not UTF-8"):
        check_file(file)
    (tmp_path / "no.yml").write_text("a: [", encoding="utf-8")
    (tmp_path / "no.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        read_given([tmp_path / "no.yml", tmp_path / "gone.yml"], [str(tmp_path / "no.json")])
    assert len(refused.value.problems) == 3


# -- switching off -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<!-- gameday: off redis-cli-misused old server -->\n" + sh("redis-cli FLUSHDB 1"), []),
        (sh("# gameday: off redis-cli-misused old server", "redis-cli FLUSHDB 1"), []),
        (
            sh("# gameday: off redis-cli-misused old", "redis-cli FLUSHDB 1", "redis-cli FLUSHDB 2"),
            [("redis-cli-misused", 4)],
        ),
        (
            "<!-- gameday: off redis-cli-misused -->\n" + sh("redis-cli FLUSHDB 1"),
            [("switch-off", 1), ("redis-cli-misused", 3)],
        ),
        ("<!-- gameday: off no-such-rule because -->\n", [("switch-off", 1)]),
        (
            "<!-- gameday: off redis-cli-misused old -->\nText.\n\n" + sh("redis-cli FLUSHDB 1"),
            [("redis-cli-misused", 5)],
        ),
    ],
)
def test_a_rule_is_switched_off_with_a_reason(text: str, left: list[tuple[str, int]]) -> None:
    """A comment with a reason silences the next block or line; one without is a finding and silences nothing."""
    assert [(one.rule, one.line) for one in read(text).findings] == left


def test_a_switch_off_needs_a_rule_and_a_reason(tmp_path: Path) -> None:
    """`--off` names a rule and a reason; all that is wrong with it is said at once."""
    file = tmp_path / "x.md"
    file.write_text(sh("redis-cli FLUSHDB 1"), encoding="utf-8")
    done = check_file(file, off=["redis-cli-misused=old server"])
    assert (done.findings, [reason for _, reason in done.silenced]) == ((), ["old server"])
    with pytest.raises(UsageError) as refused:
        check_file(file, off=["dangerous", "dangeros=x"])
    assert len(refused.value.problems) == 2


# -- what is printed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("text.txt", lambda done: show.text(done) + "\n"),
        ("json.json", lambda done: json.dumps(show.json(done), indent=1, ensure_ascii=False) + "\n"),
        ("results.json", lambda done: json.dumps(show.sarif(done)["runs"][0]["results"], indent=1) + "\n"),
    ],
)
def test_it_prints_what_it_printed(name: str, made: Any) -> None:
    """Text, JSON and the results of SARIF are those of the golden file."""
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(made(read(RUNBOOK)), encoding="utf-8")
    assert made(read(RUNBOOK)) == (GOLDEN / name).read_text(encoding="utf-8")


def test_sarif_has_what_its_standard_requires() -> None:
    """The properties that SARIF 2.1.0 requires are there, and each result points to its rule."""
    log = show.sarif(read(RUNBOOK))
    (one,) = log["runs"]
    rules = one["tool"]["driver"]["rules"]
    assert (log["version"], one["tool"]["driver"]["name"]) == ("2.1.0", "gameday")
    assert [rule["id"] for rule in rules] == [rule.id for rule in RULES]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in one["results"]:
        (place,) = result["locations"]
        region = place["physicalLocation"]["region"]
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        assert place["physicalLocation"]["artifactLocation"]["uri"] == "shop.md"
        assert region["startLine"] >= 1
        assert region.get("startColumn", 1) >= 1
        assert all(each["kind"] in ("inSource", "external") for each in result.get("suppressions", ()))


@pytest.mark.parametrize(
    ("text", "options", "status"),
    [
        ("# Well\n", [], 0),
        (sh("htop"), [], 0),
        (sh("docker system prune"), [], 1),
        (sh("docker system prune"), ["--off", "dangerous=a test machine"], 0),
        (sh("redis-cli FLUSHDB 1"), ["--format", "sarif"], 1),
        (sh("htop"), ["--format", "xml"], 2),
        (sh("htop"), ["--rules", "gone.yml"], 2),
    ],
)
def test_it_ends_as_documented(
    text: str, options: list[str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 for nothing or notes, 1 for errors and warnings, 2 for what can't be used."""
    (tmp_path / "x.md").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gameday", "runbook", "check", "x.md", *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code or 0) == status


# -- anything ----------------------------------------------------------------------------------------------------

SHELLISH = st.text(alphabet="ab1 \n\t\r'\"`$(){}[]<>|&;#\\!*?~=-./:é\0\u2028", max_size=120)


@settings(max_examples=60, deadline=None)
@drawn(
    st.one_of(st.text(max_size=200), SHELLISH),
    st.sampled_from(["", "```sh\n", "```console\n$ ", "    curl ", "`curl ", "# "]),
)
def test_no_text_breaks_it(text: str, before: str) -> None:
    """Whatever the text is, the check ends, and every finding has a line that is there."""
    done = read(before + text)
    lines = (before + text).replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    assert all(1 <= one.line <= lines + 1 and one.column >= 0 for one in done.findings)


DEEP = [
    "(" * 3000 + "ls" + ")" * 3000 + " | cat",
    "[ " + "( " * 2000 + "A -gt 1" + " )" * 2000 + " ]",
    "echo " + "$(" * 2000,
]


@pytest.mark.parametrize("line", DEEP, ids=["subshells", "test", "substitutions"])
def test_no_depth_breaks_it(line: str) -> None:
    """A line that is nested thousands of times is read as far as anybody could."""
    assert {one.rule for one in read(sh(line)).findings} <= {"shell-syntax", "word-compared"}
