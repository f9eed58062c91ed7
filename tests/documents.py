"""Documents: README and docs/ as data: their code blocks, commands, inline code, links and anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent
SHELL = frozenset({"sh", "console"})


@dataclass(frozen=True, slots=True)
class Found:
    """Something that stands in a document, and where: `docs/x.md:12`."""

    document: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block(Found):
    """A code block; `language` is empty for one that is only indented, or whose fence names none."""

    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Found):
    """One command line of a shell block, without its comment; `output` is what the document shows below it."""

    output: tuple[str, ...] = ()


def documents() -> list[str]:
    """README, the changelog and every page of docs/, relative to the project's folder."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    return ["README.md", "CHANGELOG.md", *(page.relative_to(ROOT).as_posix() for page in pages)]


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


@cache
def _tokens(document: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(read(document))


def blocks() -> Iterator[Block]:
    for document in documents():
        for token in _tokens(document):
            if token.type in ("fence", "code_block"):
                begin = token.map[0] + 1 if token.map else 0
                yield Block(document, begin, token.content, language=token.info.strip())


def block(document: str, containing: str) -> str:
    """The text of the one code block of `document` that has `containing` in it."""
    (found,) = (each.text for each in blocks() if each.document == document and containing in each.text)
    return found


def commands() -> Iterator[Command]:
    for each in blocks():
        if each.language in SHELL:
            yield from commands_in(each)


def commands_in(shell: Block) -> Iterator[Command]:
    """The command lines of a block. In a `console` block they begin with `$ `, and the lines below are output."""
    lines = shell.text.replace("\\\n", " ").splitlines()
    for number, line in enumerate(lines, start=1):
        if shell.language == "console":
            if line.startswith("$ "):
                rest = lines[number:]
                end = next((n for n, below in enumerate(rest) if below.startswith("$ ")), len(rest))
                yield Command(shell.document, shell.line + number, _bare(line[2:]), output=tuple(rest[:end]))
        elif _bare(line):
            yield Command(shell.document, shell.line + number, _bare(line))


def _bare(line: str) -> str:
    return re.sub(r"(^|\s)#\s.*$", "", line).strip()


def inline(kind: str) -> Iterator[tuple[str, int, Token]]:
    """Every token `kind` inside the text of every document, with its document and line."""
    for document in documents():
        for token in _tokens(document):
            for child in token.children or ():
                if child.type == kind:
                    yield document, token.map[0] + 1 if token.map else 0, child


def spans() -> Iterator[Found]:
    """Inline code."""
    return (Found(document, line, token.content) for document, line, token in inline("code_inline"))


def links() -> Iterator[Found]:
    """Where links lead."""
    return (Found(document, line, str(token.attrs["href"])) for document, line, token in inline("link_open"))


@cache
def anchors(document: str) -> frozenset[str]:
    """What a link into `document` can name: its headings as GitHub makes them into anchors."""
    tokens = _tokens(document)
    titles = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    seen: dict[str, int] = {}
    found = set()
    for title in titles:
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        found.add(f"{slug}-{count}" if count else slug)
    return frozenset(found)


def sections(document: str) -> dict[str, list[list[str]]]:
    """The rows of all tables of `document`, by the heading above them; cells as Markdown text, header rows left out."""
    found: dict[str, list[list[str]]] = {}
    title, in_head = "", False
    tokens = _tokens(document)
    for token, after in pairwise(tokens):
        if token.type == "heading_open":
            title = after.content
        in_head = token.type == "thead_open" or (in_head and token.type != "thead_close")
        if token.type == "tr_open" and not in_head:
            found.setdefault(title, []).append([])
        if token.type == "td_open":
            found[title][-1].append(after.content)
    return found


def code(cell: str) -> list[str]:
    """The inline code in a table's cell."""
    return re.findall(r"`([^`]+)`", cell)
