"""Subject: a runbook as the rules see it: the document, the calls of its shell blocks, and what it is held against."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.lint.document import Document
from harness.lint.given import Given
from harness.lint.http import Request, request_of
from harness.lint.script import Call, Parsed, parse_script
from harness.lint.shells import Script, scripts
from harness.lint.tools import TOOLS


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a rule may look at. Nothing of it needs a system, a network or the clock."""

    document: Document
    given: Given

    @cached_property
    def blocks(self) -> tuple[Parsed, ...]:
        """The shell blocks, in order."""
        return tuple(map(parse_script, scripts(self.document)))

    @cached_property
    def neighbours(self) -> dict[Path, frozenset[str] | None]:
        """The anchors of the files that links lead to, each read once; None for one that can't be read."""
        return {}

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """Every call in a shell block, in order."""
        return tuple(call for block in self.blocks for call in block.calls)

    @cached_property
    def spoken(self) -> tuple[Call, ...]:
        """The calls that stand in the text as inline code: a well-known program with an operand."""
        found: list[Call] = []
        for span in self.document.spans:
            words = span.text.split()
            if len(words) > 1 and words[0] in TOOLS and not re.search(r"…|\.\.\.", span.text):
                parsed = parse_script(Script(text=span.text, line=span.line, dialect="bash", sure=False, inline=True))
                found += [] if parsed.errors else parsed.calls
        return tuple(found)

    @cached_property
    def requests(self) -> tuple[tuple[Call, Request], ...]:
        """The calls of curl in shell blocks, with what they ask for."""
        return tuple((call, request) for call in self.calling("curl") if (request := request_of(call)))

    def calling(self, *names: str, spoken: bool = False) -> Iterator[Call]:
        """The calls of programs with one of these names; with those in the text where `spoken`."""
        for call in (*self.calls, *(self.spoken if spoken else ())):
            if call.name in names:
                yield call

    @cached_property
    def defines(self) -> frozenset[str]:
        """Functions and aliases that the runbook defines anywhere."""
        return frozenset(name for block in self.blocks for name in block.defines)

    @cached_property
    def sets(self) -> frozenset[str]:
        """Variables that the runbook gives a value to anywhere."""
        return frozenset(name for block in self.blocks for name in block.sets)

    @cached_property
    def uses(self) -> frozenset[str]:
        """Variables that the runbook's shell blocks expand."""
        return frozenset(name for block in self.blocks for name, _, _ in block.uses)
