"""Shells: the shell text of a document, block by block: what was typed, without prompts and output."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.lint.document import SESSIONS, Block, Document
from harness.lint.tools import TOOLS
from harness.runbook.lexer import UnterminatedError, lex

# `$ ` begins no command, so it is a prompt wherever it stands; `# ` begins a comment unless a host stands before it.
_HOST = r"(?:\([\w.-]+\)\s*)?(?:\[[^\]\n]*[@ ][^\]\n]*\]|[\w.-]+@[\w.-]+(?:[:\s][^$#%\n]*)?)"
_PROMPT = re.compile(rf"\s*(?:{_HOST}\s?[$#%]|\$|\u276f)\s+(?=\S)")
_ROOT_PROMPT = re.compile(r"\s*#\s+(?=[\w./])")
_MOST_LINES = 60  # that one command in a session goes on for: an apostrophe in its output must not swallow the rest
_ELISION = re.compile(r"^\s*(?:\.\.\.|…)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Shell text. `text` has as many lines as the block; `line` is that of its first. `sure` says that the author calls
    it shell, `session` that it shows a terminal, `dialect` which shell."""

    text: str
    line: int
    dialect: str
    sure: bool
    session: bool = False
    inline: bool = False


def scripts(document: Document) -> Iterator[Script]:
    """The shell blocks of `document`, in order. A block that names no language is one where it begins as a command
    does, and all of it could be shell."""
    for block in document.blocks:
        if block.kind == "shell":
            yield _script(block)
        elif not block.language and _looks_typed(block.text):
            yield _script(block, sure=False)


def _script(block: Block, *, sure: bool = True) -> Script:
    text = _ELISION.sub(lambda found: " " * len(found[0]), block.text)
    session = block.language in SESSIONS
    typed = _typed(text, root=session)
    if typed is not None:
        text, session = typed, True
    elif session:
        sure = False  # a session without a prompt: nobody can tell what was typed from what was answered
    dialect = block.language if block.language in ("sh", "zsh", "ksh") else "bash"
    return Script(text=text, line=block.line, dialect=dialect, sure=sure, session=session)


def _looks_typed(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if any(_PROMPT.match(line) for line in lines):
        return True
    first = re.match(r"(?:sudo\s+)?([\w.-]+)(?:\s+\S|$)", lines[0].strip()) if lines else None
    return first is not None and first[1] in TOOLS and not re.search(r"[:,]\s*$", lines[0])


def _typed(text: str, *, root: bool) -> str | None:
    """What stands behind the prompts, other lines emptied; None where there is no prompt."""
    lines = text.split("\n")
    if not any(_prompt(line, root=root) for line in lines):
        return None
    typed: list[str] = []
    open_since = -1
    for number, line in enumerate(lines):
        prompt = _prompt(line, root=root)
        if prompt:
            typed.append(line[prompt.end() :])
            open_since = number if _goes_on(typed[number:]) else -1
        elif open_since >= 0 and number - open_since < _MOST_LINES:
            typed.append(re.sub(r"^\s*> ", "", line))
            open_since = open_since if _goes_on(typed[open_since:]) else -1
        else:
            typed.append("")
    return "\n".join(typed)


def _prompt(line: str, *, root: bool) -> re.Match[str] | None:
    return _PROMPT.match(line) or (_ROOT_PROMPT.match(line) if root else None)


def _goes_on(lines: list[str]) -> bool:
    if lines[-1].endswith("\\"):
        return True
    try:
        list(lex("\n".join([*lines, ""])))
    except UnterminatedError:
        return True
    return False
