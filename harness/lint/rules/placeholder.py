"""Placeholder: something in a command that somebody has to fill in before it can run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.script import PLACEHOLDER
from harness.lint.subject import Subject
from harness.lint.tools import KNOWN

_YOURS = re.compile(
    r"(?<![\w/])/(?:path/to|your/path)/[\w./-]*|\b(?:YOUR|REPLACE|INSERT)[_-][A-Z][A-Z0-9_-]*|\byour-[a-z][a-z0-9-]*|"
    r"(?<![A-Za-z])(?:CHANGE_?ME|REPLACE_?ME|FIX_?ME)\b|(?<![\w$.-])[xX]{4,}(?![\w-])"
)
_SYNOPSIS = re.compile(r"\[(?:--?[\w-]+[ =])?<|\[<")  # `tool [<name>]` shows what a program takes
_HTML = frozenset(
    [
        "a",
        "b",
        "i",
        "p",
        "td",
        "tr",
        "th",
        "ul",
        "ol",
        "li",
        "br",
        "hr",
        "h1",
        "h2",
        "h3",
        "div",
        "span",
        "html",
        "head",
        "body",
        "code",
        "pre",
        "em",
        "strong",
        "title",
    ]
)


def check(subject: Subject) -> Iterator[Said]:
    """One finding for each name: what is filled in once is filled in everywhere."""
    found: dict[str, list[tuple[int, int]]] = {}
    for block in subject.blocks:
        for number, text in enumerate(_code(block.script.text), block.script.line):
            if _SYNOPSIS.search(text) or not (block.script.sure or _typed(text)):
                continue
            named = list(PLACEHOLDER.finditer(text))
            yours = [one for one in _YOURS.finditer(text) if not any(n.start() < one.start() < n.end() for n in named)]
            for match in (*named, *yours):
                if _is_one(match, text):
                    column = subject.document.column(number, match[0])
                    found.setdefault(match[0], []).append((number, column))
    for name, places in found.items():
        line, column = places[0]
        more = f", and in {len(places) - 1} more place{'s' * (len(places) > 2)}" if len(places) > 1 else ""
        yield Said(
            line=line,
            column=column,
            why=f"`{name}` is no value, and no line says where to get one{more}",
            mend="put the value there, or a variable that a line above it sets",
        )


def _code(text: str) -> Iterator[str]:
    """The lines without their comments."""
    for line in text.split("\n"):
        yield re.sub(r"(^|\s)#.*$", r"\1", line)


def _typed(text: str) -> bool:
    """Whether a line of a block that may be no shell begins with a well-known program."""
    words = text.split(maxsplit=1)
    return bool(words) and words[0] in KNOWN


def _is_one(match: re.Match[str], text: str) -> bool:
    if match.re is _YOURS:
        return True
    name = match[1]
    markup = name.lower() in _HTML or f"</{name}" in text or ("/" in name and " " not in name and name.startswith("/"))
    # In `(?<name>…)` of a regular expression, in a comparison of jq or SQL.
    return not markup and not re.search(r"\s\d*$", name) and not re.search(r"\b(and|or|AND|OR)\b", name)


RULE = Rule(
    id="placeholder",
    severity="warning",
    says="Something that somebody has to fill in before the line can run: `/path/to/…`, `<name>`, `YOUR_TOKEN`.",
    bad="```sh\nlsof /path/to/database.db\n```\n",
    good="```sh\nlsof /var/lib/shop/shop.db\n```\n",
    check=check,
)
