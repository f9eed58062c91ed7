"""Unknown option: an option that a well-known program does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.rules.place import at
from harness.lint.script import Call, Word
from harness.lint.subject import Subject
from harness.lint.tools import TOOLS, Tool


def check(subject: Subject) -> Iterator[Said]:
    for call in subject.calling(*TOOLS, spoken=True):
        tool = TOOLS[call.name]
        if tool.whole and call.name not in subject.defines:
            for word in _options(call, tool):
                if not tool.knows(word.text):
                    yield at(
                        call if call.script.inline else word,
                        f"`{call.name}` has no option `{word.text.partition('=')[0]}`",
                        f"`{call.name} --help` lists what it has",
                    )


def _options(call: Call, tool: Tool) -> Iterator[Word]:
    """The words that are options: not a value of the one before, not behind `--`, nothing that is expanded."""
    value = False
    for at_, word in enumerate(call.words):
        if value:
            value = False
        elif word.text == "--" or (call.name == "redis-cli" and not word.text.startswith("-")):
            return  # what follows is Redis' own
        elif call.name == "find" and word.text in ("-exec", "-execdir", "-ok", "-okdir"):
            yield from _options(_behind(call, at_), tool)
            return
        elif re.match(r"--?[A-Za-z]", word.text) and word.fixed and not word.quoted:
            yield word
            value = tool.takes_value(word.text.partition("=")[0]) and "=" not in word.text


def _behind(call: Call, at_: int) -> Call:
    """`call` without what stands up to the end of the command that `find -exec` runs."""
    ends = [n for n, word in enumerate(call.words) if n > at_ and word.text in (";", "+")]
    return Call(
        name=call.name, words=call.words[ends[0] + 1 :] if ends else (), line=call.line, column=call.column,
        script=call.script,
    )  # fmt: skip


RULE = Rule(
    id="unknown-option",
    severity="error",
    says="An option that a well-known program does not have; only for programs whose options are all known.",
    bad="```sh\ncurl --fial http://localhost:8080/health\n```\n",
    good="```sh\ncurl --fail http://localhost:8080/health\n```\n",
    check=check,
)
