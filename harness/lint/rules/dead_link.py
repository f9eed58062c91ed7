"""Dead link: a relative link to a file that is not there. Nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from harness.lint.finding import Rule, Said
from harness.lint.subject import Subject


def check(subject: Subject) -> Iterator[Said]:
    for link in subject.document.links:
        path = link.text.partition("#")[0].partition("?")[0]
        if path and relative(link.text) and not leads_to(subject.document.path, path):
            yield Said(
                line=link.line,
                column=subject.document.column(link.line, path),
                why=f"there is no {unquote(path)} beside the runbook",
                mend="correct the path, or take the link out",
            )


def relative(target: str) -> bool:
    """Whether a link can be followed here: not to a host, a site's root, a template's variable."""
    return re.match(r"[a-zA-Z][\w+.-]*:|/|%7[Bb]|[{<$\\]", target) is None and "{" not in target


def leads_to(document: Path, path: str) -> Path | None:
    """The file or folder that a relative link of `document` means; None where there is none. A site's generator may
    have taken the ending `.md` off, or made it `.html`."""
    place = document.parent / unquote(path)
    bare = place.with_suffix("") if place.suffix in (".html", ".htm") else place
    tries = (place, bare.with_name(f"{bare.name}.md"), bare.with_name(f"{bare.name}.markdown"))
    try:
        return next((one for one in tries if one.exists()), None)
    except (OSError, ValueError):  # no path at all
        return None


RULE = Rule(
    id="dead-link",
    severity="warning",
    says="A relative link to a file that is not there. Links to other hosts are not followed.",
    bad="See [the other one](no-such-file.md).\n",
    good="See [the other one](https://example.com/other.md).\n",
    check=check,
)
