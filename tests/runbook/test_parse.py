"""What counts as a command line of a runbook, and the id that it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.runbook.parse import Runbook, parse_runbook, read_runbook, slug_of

RUNBOOK = Path(__file__).parents[2] / "fixtures" / "runbook" / "503-error-spike.md"


def parsed(text: str) -> Runbook:
    return parse_runbook(text, source="book.md")


def fenced(content: str, language: str = "bash") -> str:
    return f"## Do\n\n```{language}\n{content}\n```\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(fenced("a\nb"), ["do/1.1 a", "do/1.2 b"], id="one command a line"),
        pytest.param(fenced("a\nb").replace("\n", "\r\n"), ["do/1.1 a", "do/1.2 b"], id="Windows line ends"),
        pytest.param(fenced("a").replace("```bash", "~~~bash").replace("```", "~~~"), ["do/1.1 a"], id="tilde fence"),
        pytest.param(fenced("a").replace("```", "`````"), ["do/1.1 a"], id="long fence"),
        pytest.param("## Do\n```sh\na", ["do/1.1 a"], id="a fence never closed"),
        pytest.param("```sh\na\n```\n", ["1.1 a"], id="no heading at all"),
        pytest.param("# T\n```sh\na\n```\n", ["1.1 a"], id="only a title, which is no part of the id"),
        pytest.param("# T\n# U\n```sh\na\n```\n", ["u/1.1 a"], id="two top headings are sections"),
        pytest.param("Do\n--\n```sh\na\n```\n", ["do/1.1 a"], id="underlined heading"),
        pytest.param("# Do #\n# Else ##\n```\na\n```\n", ["else/1.1 a"], id="closed heading, no language"),
        pytest.param(fenced("a", "BASH"), ["do/1.1 a"], id="language in capitals"),
        pytest.param(fenced("a", "bash title=x"), ["do/1.1 a"], id="more words behind the language"),
        pytest.param(fenced("a", "{.bash}"), ["do/1.1 a"], id="language in braces"),
        pytest.param(fenced("a", "yaml"), [], id="another language"),
        pytest.param("## Do\n\n    a\n", [], id="an indented block is no step"),
        pytest.param(
            "## Do\n\n- x\n  - y\n\n    ```sh\n    a\n    b\n    ```\n", ["do/1.1 a", "do/1.2 b"], id="in lists"
        ),
        pytest.param(
            "## Do\n\n1. x\n   ```sh\n   a\n   ```\n2. y\n   ```sh\n   b\n   ```\n",
            ["do/1.1 a", "do/2.1 b"],
            id="numbered",
        ),
        pytest.param("## Do\n> ```sh\n> a\n> ```\n", ["do/1.1 a"], id="in a quotation"),
        pytest.param("## Do\n> ## No\n\n```sh\na\n```\n", ["do/1.1 a"], id="a quoted heading is none"),
        pytest.param(fenced("a \\\n  b"), ["do/1.1 a \\\n  b"], id="backslash"),
        pytest.param(fenced("a 'x\ny'\nb"), ["do/1.1 a 'x\ny'", "do/1.2 b"], id="quotes over lines"),
        pytest.param(fenced('a "x\n$(b\n)"'), ['do/1.1 a "x\n$(b\n)"'], id="a substitution over lines"),
        pytest.param(fenced("if a; then\n  b\nfi\nc"), ["do/1.1 if a; then\n  b\nfi", "do/1.2 c"], id="if"),
        pytest.param(
            fenced("for x in done fi; do\n echo done\ndone\nc"),
            ["do/1.1 for x in done fi; do\n echo done\ndone", "do/1.2 c"],
            id="for",
        ),
        pytest.param(
            fenced("while a; do if b; then\nc; fi\ndone; d\ne"),
            ["do/1.1 while a; do if b; then\nc; fi\ndone; d", "do/1.2 e"],
            id="nested",
        ),
        pytest.param(
            fenced("case $x in\n a) b;;\n (c) d;;\nesac\ne"),
            ["do/1.1 case $x in\n a) b;;\n (c) d;;\nesac", "do/1.2 e"],
            id="case",
        ),
        pytest.param(fenced("f() {\n a\n}\nf"), ["do/1.1 f() {\n a\n}", "do/1.2 f"], id="function"),
        pytest.param(fenced("( a\nb )\nc"), ["do/1.1 ( a\nb )", "do/1.2 c"], id="subshell"),
        pytest.param(
            fenced("a |\n b &&\n\n c\nd"), ["do/1.1 a |\n b &&\n\n c", "do/1.2 d"], id="a pipe at the line's end"
        ),
        pytest.param(fenced("a <<E\nif x\nE\nb"), ["do/1.1 a <<E\nif x\nE", "do/1.2 b"], id="here-document"),
        pytest.param(
            fenced("a <<-'E F'\n\tx\n\tE F\nb"),
            ["do/1.1 a <<-'E F'\n\tx\n\tE F", "do/1.2 b"],
            id="tabbed here-document",
        ),
        pytest.param(fenced("a #if\nb"), ["do/1.1 a #if", "do/1.2 b"], id="a comment behind a command"),
        pytest.param(fenced("a x#y if\nb"), ["do/1.1 a x#y if", "do/1.2 b"], id="no comment inside a word"),
        pytest.param(fenced("# why\n\na"), ["do/1.1 a"], id="a comment above"),
        pytest.param(fenced("# only\n# words"), [], id="comments alone are no command"),
        pytest.param(fenced(""), [], id="empty block"),
        pytest.param(fenced("a\necho 'open"), ["do/1.1 a", "do/1.2 echo 'open"], id="a quote never closed"),
        pytest.param(fenced("echo ${x:-'}'} $((1<2))\nb"), ["do/1.1 echo ${x:-'}'} $((1<2))", "do/1.2 b"], id="braces"),
        pytest.param(fenced("$ a\nout\n$ b \\\n> c\nout"), ["do/1.1 a", "do/1.2 b \\\nc"], id="prompts"),
        pytest.param(fenced("# a\nout", "console"), ["do/1.1 a"], id="root's prompt in a session"),
        pytest.param("## 1) Do\n```sh\na\n```\n", ["do/1.1 a"], id="the number of a heading is not part of the id"),
        pytest.param("## Do `x`!\n```sh\na\n```\n", ["do-x/1.1 a"], id="code and punctuation in a heading"),
        pytest.param("## 복구 절차\n```sh\na\n```\n", ["복구-절차/1.1 a"], id="Korean heading"),
        pytest.param("## !!!\n```sh\na\n```\n", ["section/1.1 a"], id="a heading without a letter"),
        pytest.param("---\nx: y\n---\n```sh\na\n```\n", ["1.1 a"], id="front matter"),
        pytest.param("", [], id="empty document"),
    ],
)
def test_command_lines(text: str, expected: list[str]) -> None:
    """A command line is a command of a shell block, whole, under its heading."""
    assert [f"{command.id} {command.text}" for command in parsed(text).commands] == expected


def test_line_numbers_are_those_of_the_file() -> None:
    """Line numbers count in the file, behind front matter, comments and empty lines too."""
    book = parsed("---\nx: y\n---\n# T\n\n- one\n\n  ```sh\n  # why\n\n  a\n  b \\\n   c\n  d\n  ```\n")
    assert [(command.text.split()[0], command.line) for command in book.commands] == [("a", 11), ("b", 12), ("d", 14)]


def test_comments_above_a_command_belong_to_it() -> None:
    """Comment lines attach to the next command, not to the one before."""
    book = parsed(fenced("a\n# first\n# second\nb"))
    assert [command.comment for command in book.commands] == ["", "first\nsecond"]


def test_ids_are_as_short_as_they_can_be() -> None:
    """Where two sections share a name, the id takes in their parents; elsewhere it does not."""
    book = parsed("## A\n### X\n```sh\na\n```\n## B\n### X\n```sh\nb\n```\n### Y\n```sh\nc\n```\n")
    assert [command.id for command in book.commands] == ["a/x/1.1", "b/x/1.1", "y/1.1"]


def test_an_id_does_not_change_when_other_sections_do() -> None:
    """Sections before it, new or renumbered, leave a command's id as it was."""
    before = parsed("## 1. A\n```sh\na\n```\n## 2. B\n```sh\nb\n```\n")
    after = parsed("## 1. New\n```sh\nx\ny\n```\n## 2. A\n```sh\na\n```\n## 3. B\n```sh\nb\n```\n")
    assert {command.text: command.id for command in before.commands}.items() <= {
        command.text: command.id for command in after.commands
    }.items()


def test_sections_of_one_name_get_a_number() -> None:
    """The second section of a name under one parent is told apart by -2."""
    book = parsed("## A\n```sh\na\n```\n## A\n```sh\nb\n```\n")
    assert [command.id for command in book.commands] == ["a/1.1", "a-2/1.1"]


@pytest.mark.parametrize("reference", ["x/1.2", "a/x/1.2"])
def test_find_takes_any_unique_ending(reference: str) -> None:
    """The short id and the whole path lead to the same command."""
    book = parsed("## A\n### X\n```sh\na\nb\n```\n")
    assert [command.text for command in book.find(reference)] == ["b"]


def test_find_takes_a_whole_block() -> None:
    """An id without a line number is all lines of the block, and of that block alone."""
    book = parsed("## A\n```sh\na\nb\n```\n```sh\nc\n```\n")
    assert [command.text for command in book.find("a/1")] == ["a", "b"]


def test_find_prefers_the_whole_path() -> None:
    """A section whose path ends another's is found by its own path all the same."""
    book = parsed("## A\n```sh\nouter\n```\n## B\n### A\n```sh\ninner\n```\n")
    assert [book.find(command.id)[0].text for command in book.commands] == ["outer", "inner"]


@pytest.mark.parametrize(
    ("reference", "said"),
    [("x/1.1", "ambiguous"), ("a/x/1.9", "a/x/1.1"), ("bx/1.1", "b/x/1.1"), ("", "no command line")],
)
def test_find_says_what_is_near(reference: str, said: str) -> None:
    """An id that is not there, or not alone, is refused with the nearest ones."""
    book = parsed("## A\n### X\n```sh\na\n```\n## B\n### X\n```sh\nb\n```\n")
    with pytest.raises(UsageError, match=said):
        book.find(reference)


def test_sections_form_a_tree() -> None:
    """Each section holds its own commands and the sections below it."""
    [a, b] = parsed("# T\n## A\n```sh\na\n```\n#### Deep\n```sh\nd\n```\n## B\n").sections
    assert [(a.title, a.commands[0].text, a.sections[0].title), b.title] == [("A", "a", "Deep"), "B"]


def test_outline_has_id_line_and_command() -> None:
    """The outline shows every command with its id and line, under its headings."""
    outline = parsed("# T\n## A\n```sh\na \\\n b\n```\n").outline()
    assert outline == "T  (book.md)\n\nA\n  a/1.1     4  a \\  (+1 lines)\n"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_what_can_not_be_read_is_a_usage_error(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing or not UTF-8 is refused with its name."""
    path = tmp_path / "book.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"book\.md"):
        read_runbook(path)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    """A file saved with a byte order mark still begins with its heading."""
    path = tmp_path / "book.md"
    path.write_bytes(b"\xef\xbb\xbf# T\n```sh\na\n```\n")
    assert (read_runbook(path).title, read_runbook(path).commands[0].id) == ("T", "1.1")


def test_slugs_keep_what_tells_headings_apart() -> None:
    """A leading number goes, a version inside stays."""
    assert [slug_of("3. API v2 (x, y)"), slug_of("2.1. Go"), slug_of("503 errors")] == [
        "api-v2-x-y",
        "go",
        "503-errors",
    ]


def test_the_projects_own_runbook_is_read_whole() -> None:
    """The runbook of this project has its 57 command lines, each once, each found by its id."""
    book = read_runbook(RUNBOOK)
    assert len({command.id for command in book.commands}) == len(book.commands) == 57
    assert all(book.find(command.id) == (command,) for command in book.commands)
    text = RUNBOOK.read_text(encoding="utf-8").splitlines()
    assert all(text[command.line - 1].strip() == command.text.splitlines()[0].strip() for command in book.commands)


def test_inline_code_can_be_named() -> None:
    """Each piece of inline code has an id of its own under its heading, in tables as well; none is a command line by
    itself, nor in the outline."""
    book = parsed("# T\n## Checks\nSay `a`, or\n`b c`.\n\n| x | y |\n|---|---|\n| `d e` | z |\n\n## `Other`\n`f`\n")
    assert [(one.id, one.text, one.line) for one in book.quoted] == [
        ("checks/code.1", "a", 3),
        ("checks/code.2", "b c", 4),
        ("checks/code.3", "d e", 8),
        ("other/code.1", "f", 11),
    ]
    assert book.commands == ()
    assert "d e" not in book.outline()
    assert [one.text for one in book.find("checks/code.3")] == ["d e"]
    with pytest.raises(UsageError, match=r"no command line has the id checks/code\.4"):
        book.find("checks/code.4")
    with pytest.raises(UsageError, match="no command line"):
        book.find("checks/0")
