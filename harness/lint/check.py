"""Check: all rules on one runbook, less what was switched off with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.lint.document import Document, Off, read_document
from harness.lint.finding import SEVERITIES, Finding, Rule, Said
from harness.lint.given import Given, read_given
from harness.lint.rules import BY_ID, RULES, switch_off
from harness.lint.subject import Subject
from harness.lint.tools import near

_IN_SHELL = re.compile(r"(?:^|\s)#\s*gameday:\s*off\s+([\w-]+)[ \t]*(.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of a check. `silenced` are the findings that somebody switched off, each with the reason."""

    file: str
    findings: tuple[Finding, ...]
    silenced: tuple[tuple[Finding, str], ...] = ()

    @property
    def exit_code(self) -> int:
        """1 where there is an error or a warning, 0 for none and for notes alone."""
        return 1 if any(finding.severity != "note" for finding in self.findings) else 0


def check_file(
    path: Path,
    *,
    rules: Sequence[Path] = (),
    openapi: Sequence[str] = (),
    compose: Path | None = None,
    off: Sequence[str] = (),
) -> Checked:
    """Check the Markdown runbook at `path` against what is given; `off` has `RULE=REASON`.

    Raises UsageError where a file can't be read or a rule is not known.
    """
    switched = _switched(off)
    return check(read_document(path), read_given(rules, openapi, compose), switched)


def check(document: Document, given: Given, off: Mapping[str, str]) -> Checked:
    """Run every rule on `document`; `off` has the reason of each rule that is switched off altogether."""
    subject = Subject(document=document, given=given)
    offs = [one for one in (*document.offs, *_in_shell(document)) if one.reason]
    kept: list[Finding] = []
    silenced: list[tuple[Finding, str]] = []
    for rule in RULES:
        if not _speaks(rule, given):
            continue
        for said in dict.fromkeys(rule.check(subject)):
            finding = _finding(rule, said, document.name)
            reason = off.get(rule.id) or _reason(rule, said, offs)
            if reason and rule is not switch_off.RULE:
                silenced.append((finding, reason))
            else:
                kept.append(finding)
    return Checked(
        file=document.name,
        findings=tuple(sorted(kept, key=lambda one: (one.file != document.name, one.file, _place(one)))),
        silenced=tuple(sorted(silenced, key=lambda pair: (pair[0].file, _place(pair[0])))),
    )


def _place(finding: Finding) -> tuple[int, int, int, str, str]:
    return finding.line, finding.column, SEVERITIES.index(finding.severity), finding.rule, finding.why


def _speaks(rule: Rule, given: Given) -> bool:
    return (rule.needs != "--rules" or given.has_rules) and (rule.needs != "--openapi" or bool(given.apis))


def _finding(rule: Rule, said: Said, name: str) -> Finding:
    return Finding(
        file=said.file or name,
        line=max(said.line, 1),
        column=max(said.column, 0),
        rule=rule.id,
        severity=said.severity or rule.severity,
        why=said.why,
        mend=said.mend,
    )


def _reason(rule: Rule, said: Said, offs: Sequence[Off]) -> str:
    """The reason for which the place was switched off; empty where it was not."""
    if said.file:
        return ""
    return next((off.reason for off in offs if off.rule == rule.id and off.first <= said.line <= off.last), "")


def _in_shell(document: Document) -> Iterator[Off]:
    """`# gameday: off RULE reason` in a shell block: for its own line and the command below it."""
    for block in document.blocks:
        if block.kind == "shell":
            lines = block.text.split("\n")
            for number, text in enumerate(lines):
                if found := _IN_SHELL.search(text):
                    last = number + 1
                    while last < len(lines) - 1 and lines[last].rstrip().endswith("\\"):
                        last += 1
                    line = block.line + number
                    yield Off(
                        rule=found[1], reason=found[2].strip(" :-"), line=line, first=line, last=block.line + last
                    )


def _switched(off: Sequence[str]) -> dict[str, str]:
    problems = []
    switched = {}
    for one in off:
        rule, _, reason = one.partition("=")
        if rule not in BY_ID:
            meant = near(rule, frozenset(BY_ID))
            problems.append(f"--off {one}: there is no rule {rule!r}" + (f"; did you mean {meant!r}?" if meant else ""))
        elif not reason.strip():
            problems.append(f"--off {one}: say why, as in `--off {rule}=REASON`")
        switched[rule] = reason.strip()
    if problems:
        raise UsageError("rules can't be switched off like this", problems=problems, hint=f"rules: {', '.join(BY_ID)}")
    return switched
