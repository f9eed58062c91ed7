"""Alert without a step: an alert of a given rule file that the runbook does not mention."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from harness.lint.finding import Rule, Said
from harness.lint.rules.runbook_url_dead import is_this
from harness.lint.subject import Subject


def check(subject: Subject) -> Iterator[Said]:
    text = "\n".join(subject.document.lines)
    for alert in subject.given.alerts:
        elsewhere = alert.runbook_url and not is_this(subject, alert)
        page = urlsplit(alert.runbook_url).path.rpartition("/")[2]
        if not re.search(rf"(?<!\w){re.escape(alert.name)}(?!\w)", text) and not (elsewhere and page):
            yield Said(
                line=alert.line,
                file=alert.file,
                why=f"{alert.name} pages somebody, and {subject.document.name} does not mention it",
                mend="say in the runbook what to do then, or give the alert a `runbook_url` to another one",
            )


RULE = Rule(
    id="alert-without-step",
    severity="warning",
    needs="--rules",
    says="An alert of a given rule file that the runbook does not mention, unless its `runbook_url` leads elsewhere.",
    bad="# The shop is slow\n\nLook at the disks first.\n",
    good="# ShopDown\n\nLook at the disks first.\n",
    check=check,
)
