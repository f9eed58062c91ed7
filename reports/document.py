"""Document: text of which every sentence names its evidence, as Markdown and as one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from reports import html, markdown

Place = Literal["record", "verdict", "report"]
_FILES: dict[Place, str] = {"record": "record.json", "verdict": "verdict.json", "report": "report.html"}


@dataclass(frozen=True, slots=True)
class Link:
    """Where a doubter can look, in the run's folder: a JSON pointer without its first slash (RFC 6901) into the record
    or the verdict, empty for all of it; or the anchor of a section of the report."""

    place: Place
    pointer: str = ""

    @property
    def said(self) -> str:
        return f"{self.place}: {self.pointer}" if self.pointer else self.place

    @property
    def href(self) -> str:
        slash = "" if self.place == "report" else "/"
        return f"{_FILES[self.place]}#{slash}{quote(self.pointer, safe='/~')}" if self.pointer else _FILES[self.place]


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence, or the cells of one row of a table, with the evidence for it. Raises ValueError without any."""

    cells: tuple[str, ...]
    links: tuple[Link, ...]

    def __post_init__(self) -> None:
        if not self.links:
            raise ValueError(f"nothing is said without evidence: {self.cells}")

    @property
    def text(self) -> str:
        return self.cells[0]


@dataclass(frozen=True, slots=True)
class Block:
    """Sentences that stand together: as a paragraph, as a list, or, with a `head`, as a table of rows."""

    kind: Literal["paragraph", "list", "table"]
    said: tuple[Said, ...]
    head: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it. `anchor` is its address in the page."""

    title: str
    anchor: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole document. `word` is the outcome of what it is about."""

    kind: str
    title: str
    word: str
    when: str
    sections: tuple[Section, ...]

    def everything_said(self) -> Iterator[Said]:
        """Every sentence and every row, in order."""
        for section in self.sections:
            for block in section.blocks:
                yield from block.said


def said(text: str, *links: Link) -> Said:
    """One sentence."""
    return Said((text,), links)


def row(*cells: str, of: tuple[Link, ...]) -> Said:
    """One row of a table."""
    return Said(cells, of)


def paragraph(*sentences: Said) -> Block:
    return Block("paragraph", sentences)


def listed(*sentences: Said) -> Block:
    return Block("list", sentences)


def record(*steps: str | int) -> Link:
    """The place in the record to which `steps` lead: `record("steps", 3, "finding")`."""
    return Link("record", _pointer(steps))


def verdict(*steps: str | int) -> Link:
    """The place in the verdict to which `steps` lead."""
    return Link("verdict", _pointer(steps))


def _pointer(steps: tuple[str | int, ...]) -> str:
    return "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def as_markdown(document: Document) -> str:
    """The document as Markdown; whatever comes from the run is escaped."""
    return markdown.tidy(markdown.template("document.md.j2").render(document=document))


def as_html(document: Document) -> str:
    """The document as one page that asks nothing of any other file or server; its links lead to files beside it."""
    return html.template("document.html.j2").render(document=document) + "\n"
