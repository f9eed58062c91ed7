"""Show: what a check found, as text, as JSON, and as SARIF 2.1.0.

SARIF: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html; what is switched off is a suppressed result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from harness.errors import UsageError
from harness.lint.check import Checked
from harness.lint.finding import SEVERITIES, Finding
from harness.lint.rules import BY_ID, RULES

FORMATS = ("text", "json", "sarif")


def checked_format(name: str) -> str:
    """`name` where it is one of FORMATS. Raises UsageError."""
    if name not in FORMATS:
        raise UsageError(f"--format {name}: choose one of {', '.join(FORMATS)}")
    return name


def text(checked: Checked) -> str:
    """The findings, each with how to mend it, and their number."""
    return "\n".join([*map(str, checked.findings), summary(checked)])


def summary(checked: Checked) -> str:
    """One line: how many of which severity."""
    counts = Counter(finding.severity for finding in checked.findings)
    parts = [f"{counts[one]} {one}{'s' * (counts[one] != 1)}" for one in SEVERITIES if counts[one]]
    off = f"; {len(checked.silenced)} switched off" if checked.silenced else ""
    return f"{checked.file}: {', '.join(parts) or 'nothing found'}{off}"


def json(checked: Checked) -> dict[str, Any]:
    """For `--json`."""
    counts = Counter(finding.severity for finding in checked.findings)
    return {
        "file": checked.file,
        "counts": {severity: counts[severity] for severity in SEVERITIES},
        "findings": [asdict(finding) for finding in checked.findings],
        "off": [{**asdict(finding), "reason": reason} for finding, reason in checked.silenced],
    }


def sarif(checked: Checked) -> dict[str, Any]:
    """One SARIF log with one run."""
    return {
        "version": "2.1.0",
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "runs": [
            {
                "tool": {"driver": {"name": "gameday", "rules": [_described(rule.id) for rule in RULES]}},
                "columnKind": "unicodeCodePoints",
                "results": list(_results(checked)),
            }
        ],
    }


def _described(rule: str) -> Mapping[str, Any]:
    return {
        "id": rule,
        "shortDescription": {"text": BY_ID[rule].says},
        "defaultConfiguration": {"level": BY_ID[rule].severity},
    }


def _results(checked: Checked) -> Iterator[dict[str, Any]]:
    for finding in checked.findings:
        yield _result(finding)
    for finding, reason in checked.silenced:
        yield {**_result(finding), "suppressions": [{"kind": "inSource", "justification": reason}]}


def _result(finding: Finding) -> dict[str, Any]:
    region = {"startLine": finding.line} | ({"startColumn": finding.column} if finding.column else {})
    return {
        "ruleId": finding.rule,
        "ruleIndex": list(BY_ID).index(finding.rule),
        "level": finding.severity,
        "message": {"text": f"{finding.why}. Mend: {finding.mend}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(finding.file)}, "region": region}}],
    }
