"""Queries: the SQL that a runbook has its operators ask, one statement each, verbatim."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from harness.errors import UsageError
from harness.runbook.parse import without_front_matter

SQL_LANGUAGES = frozenset({"sql", "sqlite", "sqlite3"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlQuery:
    """One statement as the runbook writes it, without the semicolon; `source` is its place: `page.md:12`."""

    text: str
    source: str


def read_queries(path: Path) -> tuple[SqlQuery, ...]:
    """Every SQL statement of the Markdown file at `path`, in order. Raises UsageError where it can't be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as cause:
        hint = "it must be a Markdown file in UTF-8"
        raise UsageError(f"{path}: the runbook can't be read: {cause}", hint=hint) from cause
    return parse_queries(text, source=path.name)


def parse_queries(text: str, *, source: str) -> tuple[SqlQuery, ...]:
    """The SQL statements in the fenced blocks of Markdown `text` whose language is SQL."""
    plain = without_front_matter(text.replace("\r\n", "\n").replace("\r", "\n"))
    found: list[SqlQuery] = []
    for token in MarkdownIt("commonmark").parse(plain):
        language = token.info.strip().split(maxsplit=1)[0].strip("{}.").lower() if token.info.strip() else ""
        if token.type != "fence" or language not in SQL_LANGUAGES or token.map is None:
            continue
        for offset, statement in _statements(token.content):
            found.append(SqlQuery(text=statement, source=f"{source}:{token.map[0] + 2 + offset}"))
    return tuple(found)


def _statements(block: str) -> Iterator[tuple[int, str]]:
    """Each statement with the number of the line, from 0, on which it begins; a last one may lack its semicolon.

    A semicolon in quotes or a comment ends nothing: SQLite's own test for a complete statement decides
    (https://sqlite.org/c3ref/complete.html).
    """
    began = 0
    for at, character in enumerate(block):
        if character == ";" and sqlite3.complete_statement(block[began : at + 1]):
            yield from _placed(block, began, at)
            began = at + 1
    yield from _placed(block, began, len(block))


def _placed(block: str, began: int, ended: int) -> Iterator[tuple[int, str]]:
    text = block[began:ended]
    if code := [line for line in text.splitlines() if line.strip() and not line.strip().startswith("--")]:
        start = began + text.index(code[0]) + len(code[0]) - len(code[0].lstrip())
        yield block.count("\n", 0, start), block[start:ended].rstrip()
