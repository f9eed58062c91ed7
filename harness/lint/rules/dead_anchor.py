"""Dead anchor: a link to a heading that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from harness.errors import UsageError
from harness.lint.document import read_document
from harness.lint.finding import Rule, Said
from harness.lint.rules.dead_link import leads_to, relative
from harness.lint.subject import Subject


def check(subject: Subject) -> Iterator[Said]:
    for link in subject.document.links:
        path, _, anchor = link.text.partition("#")
        if not anchor or (path and not relative(link.text)) or re.match(r"L\d+|:~:text", anchor):
            continue
        anchors = _anchors(subject, path.partition("?")[0])
        if anchors is not None and not known(anchor, anchors):
            yield Said(
                line=link.line,
                column=subject.document.column(link.line, f"#{anchor}"),
                why=f"{unquote(path) or 'the runbook'} has no heading `#{unquote(anchor)}`",
                mend="name a heading that is there",
            )


def known(anchor: str, anchors: frozenset[str]) -> bool:
    """Whether an anchor is one of `anchors`. Sites differ in hyphens and punctuation, so these do not count."""
    return _bare(unquote(anchor)) in {"", "top", *map(_bare, anchors)}


def _bare(anchor: str) -> str:
    return re.sub(r"[^\w]|_", "", anchor.lower()).removeprefix("usercontent")


def _anchors(subject: Subject, path: str) -> frozenset[str] | None:
    """The anchors of what `path` means; None where nobody can tell."""
    if not path:
        return subject.document.anchors
    place = leads_to(subject.document.path, path)
    if place is None or place.suffix not in (".md", ".markdown") or not place.is_file():
        return None
    if place not in subject.neighbours:
        try:
            subject.neighbours[place] = read_document(place).anchors
        except UsageError:
            subject.neighbours[place] = None
    return subject.neighbours[place]


RULE = Rule(
    id="dead-anchor",
    severity="warning",
    says="A link to a heading that is not there, in the runbook or in a Markdown file beside it.",
    bad="# Outage\n\nGo on [below](#restore).\n\n## Recovery\n",
    good="# Outage\n\nGo on [below](#recovery).\n\n## Recovery\n",
    check=check,
)
