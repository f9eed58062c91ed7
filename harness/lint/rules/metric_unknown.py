"""Metric unknown: a metric that the runbook asks for and no given rule reads."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.alerts.selectors import reads
from harness.lint.finding import Rule, Said
from harness.lint.subject import Subject
from harness.lint.tools import distance

_QUERY = re.compile(r"[?&]query=([^&\"']*(?:\\?\"[^\"]*\"[^&\"']*)*)|--data-urlencode\s+[\"']query=([^']*)[\"']")
_EXPR = re.compile(r"^[\s-]*expr:\s*(.+)$", re.MULTILINE)
_INLINE = re.compile(r"[a-zA-Z_:][\w:]*\{[^}]*\}|[a-z][a-z0-9_]*_(?:total|seconds|bytes|count|bucket|sum|ratio)")


def check(subject: Subject) -> Iterator[Said]:
    known = subject.given.metrics
    seen: set[str] = set()
    for expr, line in _expressions(subject):
        for metric in _metrics(expr):
            if metric in known or metric in seen or metric in ("up", "ALERTS", "ALERTS_FOR_STATE", "vector", "scalar"):
                continue
            seen.add(metric)
            near = next((one for one in sorted(known) if len(one) > 5 and distance(one, metric) <= 2), "")
            yield Said(
                line=line,
                column=subject.document.column(line, metric),
                why=f"no given rule reads a metric `{metric}`" + (f"; `{near}` is near it" if near else ""),
                mend=f"write `{near}`" if near else "see whether a target has it; an alert on it may be missing",
                severity="error" if near else "",
            )


def _expressions(subject: Subject) -> Iterator[tuple[str, int]]:
    """PromQL, wherever it stands, with its line."""
    for block in subject.document.blocks:
        if block.kind == "promql":
            for number, text in enumerate(re.sub(r"#[^\n]*", "", block.text).split("\n\n")):
                if text.strip():
                    yield (
                        text,
                        block.line + (0 if not number else block.text.count("\n", 0, block.text.find(text.strip()))),
                    )
        pattern = _EXPR if block.kind == "yaml" else _QUERY
        for found in pattern.finditer(block.text):
            expr = next(group for group in found.groups() if group is not None)
            yield expr.strip("\"'").replace('\\"', '"'), block.line + block.text.count("\n", 0, found.start())
    for span in subject.document.spans:
        if _INLINE.fullmatch(span.text) or re.match(r"[a-z_]+\(.*\[\d+[smhd]\]", span.text):
            yield span.text, span.line


def _metrics(expr: str) -> list[str]:
    try:
        return [selector.metric for selector in reads(expr) if selector.metric]
    except (ValueError, RecursionError):  # it has a placeholder, a template's variable, or is no PromQL
        return []


RULE = Rule(
    id="metric-unknown",
    severity="note",
    needs="--rules",
    says="A metric that the runbook asks for and no given rule reads; an error where it is nearly the name of one that "
    "a rule reads.",
    bad="```promql\nrate(http_requets_total[5m])\n```\n",
    good="```promql\nrate(http_requests_total[5m])\n```\n",
    check=check,
)
