"""Document: a Markdown file as its headings, code blocks, inline code, links and switch-offs, each with its line.

Blocks are read as CommonMark 0.31 has them, with GitHub's tables; anchors are made as GitHub makes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.errors import UsageError
from harness.runbook.parse import without_front_matter

Kind = Literal["shell", "sql", "yaml", "promql", "other"]

_SHELLS = frozenset({"bash", "sh", "shell", "zsh", "ksh", "console", "shell-session", "shellsession", "terminal"})
SESSIONS = frozenset({"console", "shell-session", "shellsession", "terminal"})
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(_SHELLS, "shell"),
    **dict.fromkeys(("sql", "postgresql", "postgres", "mysql", "sqlite", "plsql"), "sql"),
    **dict.fromkeys(("yaml", "yml"), "yaml"),
    "promql": "promql",
}
_OFF = re.compile(r"<!--\s*gameday:\s*off(?:\s+(?P<rule>[\w-]+))?(?P<reason>.*?)-->", re.DOTALL)
_HTML_ANCHOR = re.compile(r"<[a-z][^>]*\s(?:id|name)\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """`line` counts from 1; `level` is 1 to 6."""

    title: str
    anchor: str
    level: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A code block. `language` is what its fence says in small letters, `line` the line of its first line of
    text."""

    kind: Kind
    language: str
    text: str
    line: int
    fenced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of inline code, or the target of a link."""

    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Off:
    """A comment `<!-- gameday: off RULE reason -->`: it switches `rule` off from line `first` to line `last`."""

    rule: str
    reason: str
    line: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A Markdown file. `prose` is its text without code blocks and comments."""

    path: Path
    name: str
    lines: tuple[str, ...]
    headings: tuple[Heading, ...]
    blocks: tuple[Block, ...]
    spans: tuple[Span, ...]
    links: tuple[Span, ...]
    anchors: frozenset[str]
    offs: tuple[Off, ...]
    prose: str

    def above(self, line: int) -> tuple[Heading, ...]:
        """The headings over `line`, outermost first."""
        found: list[Heading] = []
        for heading in self.headings:
            if heading.line > line:
                break
            found = [one for one in found if one.level < heading.level] + [heading]
        return tuple(found)

    def column(self, line: int, text: str) -> int:
        """Where `text` begins in `line`, counted from 1; 0 where it does not stand there."""
        return self.lines[line - 1].find(text) + 1 if 0 < line <= len(self.lines) else 0


def read_document(path: Path, name: str = "") -> Document:
    """Read the Markdown file at `path`. Raises UsageError where it can't be read."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise UsageError(
            f"{path}: byte {cause.start + 1} is not UTF-8", hint="a runbook must be a Markdown file in UTF-8"
        ) from cause
    except OSError as cause:
        raise UsageError(f"{path}: the runbook can't be read: {cause.strerror}", hint="name a Markdown file") from cause
    return parse_document(text, path=path, name=name)


def parse_document(text: str, *, path: Path, name: str = "") -> Document:
    """Markdown `text` that stands at `path`; links are followed from there. `name` is how findings call it."""
    plain = without_front_matter(text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd"))
    tokens = MarkdownIt("commonmark").enable("table").parse(plain)
    headings = tuple(_headings(tokens))
    html = "\n".join(piece.content for token in tokens for piece in (token, *(token.children or ())) if _is_html(piece))
    return Document(
        path=path,
        name=name or path.as_posix(),
        lines=tuple(plain.split("\n")),
        headings=headings,
        blocks=tuple(_blocks(tokens, plain.split("\n"))),
        spans=tuple(_inline(tokens, "code_inline")),
        links=tuple(_inline(tokens, "link_open")),
        anchors=frozenset({heading.anchor for heading in headings} | set(_HTML_ANCHOR.findall(html))),
        offs=tuple(_offs(tokens)),
        prose="\n".join(token.content for token in tokens if token.type == "inline"),
    )


def _is_html(token: Token) -> bool:
    return token.type in ("html_block", "html_inline")


def _first(token: Token) -> int:
    return token.map[0] + 1 if token.map else 1


def _headings(tokens: list[Token]) -> Iterator[Heading]:
    """Anchors as GitHub makes them: small letters, no punctuation, hyphens for spaces, `-1` for a second one."""
    seen: dict[str, int] = {}
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            words = (child.content for child in inline.children or () if child.type in ("text", "code_inline"))
            title = "".join(words).strip()
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            explicit = re.search(r"\{#([\w.-]+)\}\s*$", title)  # as Hugo, Pandoc and kramdown write it
            count = seen[slug] = seen.get(slug, -1) + 1
            anchor = explicit[1] if explicit else f"{slug}-{count}" if count else slug
            yield Heading(title=title, anchor=anchor, level=int(token.tag[1:]), line=_first(token))


def _blocks(tokens: list[Token], lines: list[str]) -> Iterator[Block]:
    for token in tokens:
        if token.type in ("fence", "code_block") and token.map:
            info = re.match(r"[{.\s]*([\w+#-]*)", token.info)
            language = info[1].lower() if info else ""
            fenced = token.type == "fence"
            yield Block(
                kind=_KINDS.get(language, "other") if fenced else "other",
                language=language if fenced else "",
                text=token.content.replace("\t", "    ") if not fenced else token.content,
                line=_first(token) + fenced,
                fenced=fenced,
            )


def _inline(tokens: list[Token], kind: str) -> Iterator[Span]:
    """Inline code or links; of a paragraph over several lines each piece has the line that it begins in."""
    for token in tokens:
        line = _first(token)
        for child in token.children or ():
            if child.type in ("softbreak", "hardbreak"):
                line += 1
            elif child.type == kind:
                text = str(child.attrs["href"]) if kind == "link_open" else child.content
                yield Span(text=text, line=line)


def _offs(tokens: list[Token]) -> Iterator[Off]:
    for at, token in enumerate(tokens):
        pieces = [token] if token.type == "html_block" else token.children or []
        for found in (match for piece in pieces if _is_html(piece) for match in _OFF.finditer(piece.content)):
            line = _first(token) + token.content.count("\n", 0, max(token.content.find(found[0]), 0))
            first, last = line, line + 1
            if token.type == "html_block":
                below = next((one.map for one in tokens[at + 1 :] if one.map), None)
                first, last = (below[0] + 1, below[1]) if below else (line, line)
            yield Off(rule=found["rule"] or "", reason=_reason(found["reason"]), line=line, first=first, last=last)


def _reason(text: str) -> str:
    return " ".join(text.split()).strip(" :-")
