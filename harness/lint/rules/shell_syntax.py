"""Shell syntax: a block that no shell can read.

Two witnesses: what bash itself refuses (`bash -n` reads a script and runs nothing) is wrong; the grammar says where,
and speaks alone only on a machine without bash. Each has gaps that the other has not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache

from harness.lint.finding import Rule, Said
from harness.lint.script import Parsed, masked
from harness.lint.subject import Subject
from harness.lint.tools import KNOWN

_KEYWORDS = frozenset(
    {"if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "function"}
)
_LIMIT = 5.0  # seconds: reading a block takes milliseconds
_SAYS = re.compile(r"line (\d+): (.*)")
_UNFILLED = re.compile(
    r"<[^<>\n]+>|\.\.\.|…|\{\{|\[[A-Za-z ]+\.\.\.\]"
)  # what a reader has to fill in is another rule's


def check(subject: Subject) -> Iterator[Said]:
    for block in subject.blocks:
        if not block.script.sure or block.script.dialect in ("zsh", "ksh"):
            continue
        refused = _refusal(masked(block.script.text))
        if refused is None and block.errors:
            line, column = block.errors[0]
            yield _said(line, column, "the grammar can't read this; there is no bash here to ask", sure=False)
        elif refused and refused[0]:
            line, why = refused
            line, column = _nearest(block, block.script.line + line - 1)
            if not _UNFILLED.search(subject.document.lines[line - 1]):
                typed = _begins_a_command(subject.document.lines[line - 1])
                yield _said(line, column, f"bash can't read this block: {why}", sure=typed)


def _said(line: int, column: int, why: str, *, sure: bool) -> Said:
    mend = "correct it, or say in the fence what it is if it is no shell (`text` for output)"
    return Said(line=line, column=column, why=why, mend=mend, severity="error" if sure else "note")


def _begins_a_command(line: str) -> bool:
    """Whether a line was meant to be typed: what a program printed often stands in the same block."""
    first = re.match(r"\s*(?:\S*\$\s+)?(?:sudo\s+)?([\w./-]+)", line)
    return (first is not None and (first[1] in KNOWN or first[1] in _KEYWORDS)) or line.strip() in (")", "}")


def _nearest(block: Parsed, line: int) -> tuple[int, int]:
    """Where the grammar stumbles in or before the line that bash names; that line itself where it does not."""
    before = [place for place in block.errors if place[0] <= line]
    last = block.script.line + max(block.script.text.rstrip("\n").count("\n"), 0)
    return before[-1] if before and before[-1][0] >= line - 3 else (min(line, last), 0)


@cache
def _bash() -> str | None:
    return shutil.which("bash")


def _refusal(text: str) -> tuple[int, str] | None:
    """What bash says of `text`: the line in it and the words, 0 where it is content; None where bash can't be asked."""
    bash = _bash()
    if bash is None:
        return None
    try:
        done = subprocess.run(
            [bash, "--norc", "--noprofile", "-O", "extglob", "-n"],
            input=text.encode(),
            capture_output=True,
            timeout=_LIMIT,
            env={"LC_ALL": "C"},  # no BASH_ENV, which even `-n` would read
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _SAYS.search(done.stderr.decode(errors="replace"))
    if done.returncode == 0 or found is None:
        return 0, ""
    return int(found[1]), found[2].removeprefix("syntax error: ")


RULE = Rule(
    id="shell-syntax",
    severity="error",
    says="A block marked as shell that bash can't read.",
    bad='```bash\nif [ "$LOAD" -gt 80 ]; then\n    systemctl restart web\n```\n\nSet `LOAD` first.\n',
    good='```bash\nif [ "$LOAD" -gt 80 ]; then\n    systemctl restart web\nfi\n```\n\nSet `LOAD` first.\n',
    check=check,
)
