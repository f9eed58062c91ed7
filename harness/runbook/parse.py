"""Parse: a runbook in Markdown as sections and command lines, each with an id that scenarios can use.

The id of a command line is the path of its headings, the number of its block under that heading, and its number in
the block: `back-to-normal/1.3`. Headings are made into slugs as GitHub does, without a leading number (`3. Outage`
is `outage`), so that other sections can come, go and be renumbered. The document's own title is not part of it.
Any ending of the path that is unique will do; `Command.id` is the shortest. Inline code is a command line only where
somebody names it: `recovery-checks/code.3` is the third piece of it under that heading, tables included.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token as MarkdownToken

from harness.errors import UsageError
from harness.runbook.lexer import Token, UnterminatedError, lex

# A block without a language is read as shell: to list a line too many is better than to lose one.
SHELL_LANGUAGES = frozenset({"", "bash", "sh", "shell", "zsh", "console", "shell-session", "shellsession", "terminal"})
_SESSIONS = frozenset({"console", "shell-session", "shellsession", "terminal"})
_OPENING = {"if": "fi", "case": "esac", "for": "done", "while": "done", "until": "done", "select": "done", "{": "}"}
CODE = "code"  # stands in ids where others have the number of a block
_JOINING = frozenset({"|", "||", "&&", "|&"})
_BEFORE_COMMAND = frozenset({"then", "else", "elif", "do", "!", "time", "{", "if", "while", "until"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command line of a runbook, `text` verbatim. `line` counts from 1 in the file; `comment` holds the comment
    lines above it. `block` is 0 for inline code, of which `number` is the number under its heading."""

    id: str
    path: tuple[str, ...]  # slugs of the headings above, outermost first
    block: int
    number: int
    text: str
    line: int
    comment: str = ""

    @property
    def place(self) -> str:
        """Where below its heading it stands."""
        return f"{self.block}.{self.number}" if self.block else f"{CODE}.{self.number}"

    @property
    def full_id(self) -> str:
        return "/".join([*self.path, self.place])


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One heading with its command lines and the sections below it."""

    title: str
    path: tuple[str, ...]
    level: int
    line: int
    commands: tuple[Command, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """A runbook as read from `source`. `commands` has every command line of the blocks of the document `text`, in
    order, `quoted` each piece of inline code."""

    source: str
    title: str
    sections: tuple[Section, ...]
    commands: tuple[Command, ...]
    quoted: tuple[Command, ...] = ()
    text: str = field(default="", repr=False)

    def find(self, reference: str) -> tuple[Command, ...]:
        """The command line with this id (`section/1.2`), all lines of a block (`section/1`), or a piece of inline code
        (`section/code.1`).

        Raises UsageError, naming the nearest ids, where there is none or more than one.
        """
        *path, place = reference.strip().strip("/").split("/")
        found = [command for command in (*self.commands, *self.quoted) if self._matches(command, path, place)]
        found = [command for command in found if list(command.path) == path] or found
        if len({(command.path, command.block) for command in found}) > 1:
            raise UsageError(
                f"{self.source}: {reference} is ambiguous",
                hint="say which: " + ", ".join(command.full_id for command in found[:5]),
            )
        if not found:
            ids = [command.id for command in self.commands]
            near = get_close_matches(reference, ids, n=3, cutoff=0.5) or ids[:3]
            raise UsageError(
                f"{self.source}: no command line has the id {reference}",
                hint=f"near it: {', '.join(near)}" if near else "this document has no shell block",
            )
        return tuple(found)

    @staticmethod
    def _matches(command: Command, path: list[str], place: str) -> bool:
        whole = list(command.path)
        return place in (command.place, str(command.block or CODE)) and (
            not path if not whole else bool(path) and whole[-len(path) :] == path
        )

    def outline(self) -> str:
        """Every command line with its id and line number, under its headings: what `gameday runbook outline` prints."""
        width = max((len(command.id) for command in self.commands), default=0)
        lines = [f"{self.title}  ({self.source})"]
        above: tuple[str, ...] | None = None
        for command in self.commands:
            if command.path != above:
                above = command.path
                lines += ["", " / ".join(_titles(self.sections, above)) or "(before the first heading)"]
            first, *more = command.text.splitlines()
            ending = f"  (+{len(more)} lines)" if more else ""
            lines.append(f"  {command.id:{width}}  {command.line:>4}  {first}{ending}")
        return "\n".join(lines) + "\n"


def read_runbook(path: Path) -> Runbook:
    """Read the Markdown file at `path`. Raises UsageError where it can't be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as cause:
        raise UsageError(
            f"{path}: the runbook can't be read: {cause}", hint="it must be a Markdown file in UTF-8"
        ) from cause
    return parse_runbook(text, source=path.name)


def parse_runbook(text: str, *, source: str) -> Runbook:
    """Parse Markdown `text`; `source` is the name it goes by in ids and messages."""
    tokens = MarkdownIt("commonmark").parse(without_front_matter(text.replace("\r\n", "\n").replace("\r", "\n")))
    headings = [Section(title=_title_at(tokens, at), path=(), level=int(token.tag[1:]), line=_line(token))
                for at, token in enumerate(tokens) if _is_heading(token)]  # fmt: skip
    top = [heading for heading in headings if heading.level == 1]
    title = top[0] if len(top) == 1 and headings[0] is top[0] else None
    sections = _with_paths([heading for heading in headings if heading is not title])
    commands = tuple(_with_ids(list(_commands(tokens, sections))))
    quoted = tuple(_with_ids(list(_quoted(tokens, sections))))
    return Runbook(
        source=source,
        title=title.title if title else Path(source).stem,
        sections=_tree(sections, commands),
        commands=commands,
        quoted=quoted,
        text=text,
    )


def slug_of(title: str) -> str:
    """A heading as part of an id, as GitHub makes it, but without a leading number: `3. API outage` is `api-outage`."""
    plain = re.sub(r"^\s*(\d+[.)]\s*)+(?=\S)", "", title).strip().lower()
    slug = re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", plain)).strip("-")
    return re.sub(r"-{2,}", "-", slug) or "section"


def _is_heading(token: MarkdownToken) -> bool:
    return token.type == "heading_open" and token.level == 0  # not one inside a list or a quotation


def _line(token: MarkdownToken) -> int:
    return token.map[0] + 1 if token.map else 0


def _title_at(tokens: Sequence[MarkdownToken], at: int) -> str:
    spoken = [child.content for child in tokens[at + 1].children or () if child.type in ("text", "code_inline")]
    return "".join(spoken).strip()


def _with_paths(headings: Sequence[Section]) -> list[Section]:
    """The headings with the path of slugs that leads to each; a second one of the same name gets `-2`."""
    found: list[Section] = []
    above: list[tuple[int, str]] = []
    taken: set[tuple[str, ...]] = set()
    for heading in headings:
        above = [(level, slug) for level, slug in above if level < heading.level]
        parent = tuple(slug for _, slug in above)
        slug = first = slug_of(heading.title)
        count = 1
        while (*parent, slug) in taken:
            count += 1
            slug = f"{first}-{count}"
        taken.add((*parent, slug))
        above.append((heading.level, slug))
        found.append(replace(heading, path=(*parent, slug)))
    return found


def _commands(tokens: Sequence[MarkdownToken], sections: Sequence[Section]) -> Iterator[Command]:
    blocks: dict[tuple[str, ...], int] = {}
    for token in tokens:
        language = token.info.strip().split(maxsplit=1)[0].strip("{}.").lower() if token.info.strip() else ""
        if token.type != "fence" or language not in SHELL_LANGUAGES:
            continue
        path = _path_above(_line(token), sections)
        lines = list(split_block(token.content, session=language in _SESSIONS))
        if lines:
            blocks[path] = blocks.get(path, 0) + 1
        for number, (offset, text, comment) in enumerate(lines, 1):
            yield Command(
                id="", path=path, block=blocks[path], number=number, text=text, line=_line(token) + 1 + offset,
                comment=comment,
            )  # fmt: skip


def _path_above(line: int, sections: Sequence[Section]) -> tuple[str, ...]:
    """The slugs of the headings above `line`, outermost first."""
    return next((section.path for section in reversed(sections) if section.line < line), ())


def _quoted(tokens: Sequence[MarkdownToken], sections: Sequence[Section]) -> Iterator[Command]:
    """Each piece of inline code outside of headings."""
    counts: Counter[tuple[str, ...]] = Counter()
    for before, token in pairwise(tokens):
        if token.type != "inline" or token.map is None or before.type == "heading_open":
            continue
        line = token.map[0] + 1
        for child in token.children or ():
            line += child.type in ("softbreak", "hardbreak")
            if child.type == "code_inline":
                path = _path_above(line, sections)
                counts[path] += 1
                yield Command(id="", path=path, block=0, number=counts[path], text=child.content, line=line)


def split_block(content: str, *, session: bool = False) -> Iterator[tuple[int, str, str]]:
    """The command lines of a shell block: (line within the block, text, comment above it).

    A command that goes on over several lines (backslash, quotes, if … fi, a here-document) is one. In a terminal
    `session`, or where lines begin with the prompt `$ `, only what stands behind a prompt is a command.
    """
    if session or re.search(r"^\s*\$ ", content, re.MULTILINE):
        content = _typed(content)
    tokens: list[Token] = []
    try:
        tokens.extend(lex(content))
    except UnterminatedError:
        tokens = _tokens_until_open(content)
    line: list[Token] = []
    comments: list[str] = []
    depth = _Nesting()
    for token in tokens:
        depth.see(token)
        if token.kind == "comment" and not line:
            comments.append(token.text.lstrip("#").strip())
        elif token.kind != "newline":
            line.append(token)
        elif line and not depth.goes_on:
            yield _one_line(content, line, comments)
            line, comments = [], []
    if line:
        yield _one_line(content, line, comments)


def _one_line(content: str, line: Sequence[Token], comments: Sequence[str]) -> tuple[int, str, str]:
    start = line[0].start
    return content.count("\n", 0, start), content[start : line[-1].end].rstrip(), "\n".join(comments)


def _tokens_until_open(content: str) -> list[Token]:
    """The tokens before a quote that is never closed, then all the rest as one word: bash shall say what is wrong."""
    tokens: list[Token] = []
    try:
        for token in lex(content):
            tokens.append(token)  # noqa: PERF402 - list(lex(content)) would lose the tokens before the error
    except UnterminatedError:
        end = tokens[-1].end if tokens else 0
        start = end + len(content[end:]) - len(content[end:].lstrip())
        tokens.append(Token("word", content[start:].rstrip(), start, len(content.rstrip())))
    return tokens


def _typed(content: str) -> str:
    """What was typed behind the prompts of a terminal session; other lines become empty, so that lines keep their
    number."""
    typed: list[str] = []
    goes_on = False
    for line in content.split("\n"):
        prompt = re.match(r"\s*[$#>] ", line) if goes_on else re.match(r"\s*[$#] ", line)
        text = line[prompt.end() :] if prompt else (line if goes_on else "")
        goes_on = text.rstrip().endswith("\\")
        typed.append(text)
    return "\n".join(typed)


class _Nesting:
    """Whether a command goes on behind a newline, told from the words seen so far."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._at_command = True
        self._joins = False
        self._case_head = False

    @property
    def goes_on(self) -> bool:
        return bool(self._open) or self._joins

    def see(self, token: Token) -> None:
        text = token.text
        if token.kind == "newline":
            self._at_command = True
        elif token.kind == "operator":
            self._see_operator(text)
        elif token.kind == "word":
            if self._open and text == self._open[-1] and (self._at_command or text == "]]"):
                self._open.pop()
                self._at_command = False
            elif self._at_command and text in _OPENING:
                self._open.append(_OPENING[text])
                self._at_command = text in _BEFORE_COMMAND
            else:
                # `for x in fi` and `echo done` hold no keywords; an assignment may stand before a command
                self._at_command = self._at_command and (text in _BEFORE_COMMAND or text == "function")
            self._joins = False

    def _see_operator(self, text: str) -> None:
        in_case = bool(self._open) and self._open[-1] == "esac"
        if text == "(" and not in_case:
            self._open.append(")")
        elif text == ")" and self._open and self._open[-1] == ")":
            self._open.pop()
        self._at_command = not text.startswith(("<", ">", "&>"))
        self._joins = text in _JOINING


def _with_ids(commands: Sequence[Command]) -> Iterator[Command]:
    """Each command with the shortest ending of its path that no other section shares."""
    endings = Counter(path[at:] for path in {command.path for command in commands} for at in range(len(path)))
    for command in commands:
        path = command.path
        short = next((path[at:] for at in reversed(range(len(path))) if endings[path[at:]] == 1), path)
        yield replace(command, id="/".join([*short, command.place]))


def _tree(sections: Sequence[Section], commands: Sequence[Command], above: tuple[str, ...] = ()) -> tuple[Section, ...]:
    return tuple(
        replace(
            section,
            commands=tuple(command for command in commands if command.path == section.path),
            sections=_tree(sections, commands, section.path),
        )
        for section in sections
        if section.path[:-1] == above
    )


def _titles(sections: Sequence[Section], path: tuple[str, ...]) -> list[str]:
    for section in sections:
        if section.path == path[: len(section.path)]:
            return [section.title, *_titles(section.sections, path)]
    return []


def without_front_matter(text: str) -> str:
    """`text` with the lines of a YAML front matter emptied: Markdown would take its end for a heading's underline."""
    matter = re.match(r"---[ \t]*\n(.*?\n)?(---|\.\.\.)[ \t]*(\n|\Z)", text, re.DOTALL)
    return "\n" * text.count("\n", 0, matter.end()) + text[matter.end() :] if matter else text
