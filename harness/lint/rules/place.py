"""Place: what is said of a call or a word, with the line and the column where it stands."""

from __future__ import annotations

from harness.lint.finding import Said, Severity
from harness.lint.script import Call, Word


def at(where: Call | Word, why: str, mend: str, severity: Severity | None = None) -> Said:
    """Something to say of `where`. Inline code has its line and no column: the line is that of the paragraph's text."""
    inline = isinstance(where, Call) and where.script.inline
    return Said(line=where.line, column=0 if inline else where.column, why=why, mend=mend, severity=severity or "")
