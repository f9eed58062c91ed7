"""Alert unknown: an alert that the runbook names and no given rule file has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.subject import Subject
from harness.lint.tools import distance

_MATCHER = re.compile(r"""\balertname\s*=\s*\\?["']?([A-Za-z_][\w-]*)""")
_WRITTEN = re.compile(r"^[\s-]*alert:\s*[\"']?([A-Za-z_]\w*)", re.MULTILINE)
_CAMEL = re.compile(r"[A-Z][A-Za-z0-9]*[a-z][A-Z][A-Za-z0-9]*")


def check(subject: Subject) -> Iterator[Said]:
    names = {alert.name for alert in subject.given.alerts}
    seen: set[str] = set()
    for name, line in _named(subject, names):
        if name not in names and name not in seen:
            seen.add(name)
            near = _nearest(name, names)
            yield Said(
                line=line,
                column=subject.document.column(line, name),
                why=f"no given rule file has an alert `{name}`" + (f"; `{near}` is near it" if near else ""),
                mend=f"write `{near}`" if near else "correct the name, or give the file that has it by `--rules`",
            )


def _named(subject: Subject, names: set[str]) -> Iterator[tuple[str, int]]:
    """Names that stand where only an alert's can; and in inline code, one that is nearly that of a known alert."""
    for block in subject.document.blocks:
        for pattern in (_MATCHER, _WRITTEN) if block.kind == "yaml" else (_MATCHER,):
            for found in pattern.finditer(block.text):
                yield found[1], block.line + block.text.count("\n", 0, found.start(1))
    for span in subject.document.spans:
        yield from ((found[1], span.line) for found in _MATCHER.finditer(span.text))
        if _CAMEL.fullmatch(span.text) and _nearest(span.text, names):
            yield span.text, span.line


def _nearest(name: str, names: set[str]) -> str:
    near = (other for other in sorted(names) if abs(len(other) - len(name)) <= 2 and distance(name, other) <= 2)
    return next(near, "") if len(name) >= 6 else ""


RULE = Rule(
    id="alert-unknown",
    severity="error",
    needs="--rules",
    says="An alert that the runbook names (`alertname=…`, `alert:` in YAML, inline code that is nearly one's name) "
    "and no given rule file has.",
    bad='```sh\namtool silence add alertname="ShopDwon" -d 1h\n```\n',
    good='```sh\namtool silence add alertname="ShopDown" -d 1h\n```\n',
    check=check,
)
