"""Page: the reference of all rules, written from their own words; `python -m harness.lint.page` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from harness.lint.finding import Rule
from harness.lint.rules import RULES

HEAD = """\
# The rules of `gameday runbook check`

What is said of a runbook by reading it. This page is made from the code; how to use it is said in
[How to check a runbook](../how-to/check-a-runbook.md). A rule that needs an option is silent without it.

| rule | severity | needs |
|---|---|---|
"""


def page() -> str:
    """The whole page, in Markdown."""
    rows = (
        f"| [`{rule.id}`](#{rule.id}) | {rule.severity} | {f'`{rule.needs}`' if rule.needs else ''} |" for rule in RULES
    )
    return HEAD + "\n".join([*rows, "", *(line for rule in RULES for line in _section(rule))])


def _section(rule: Rule) -> Iterator[str]:
    yield from (f"## {rule.id}", "", rule.says, "", "It speaks here:", "", *_shown(rule.bad))
    yield from ("", "And not here:", "", *_shown(rule.good), "")


def _shown(markdown: str) -> Iterator[str]:
    yield "````text"
    yield from markdown.rstrip("\n").split("\n")
    yield "````"


if __name__ == "__main__":
    sys.stdout.write(page())
