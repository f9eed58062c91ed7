"""Step without an alert: a section that is named after an alert which no given rule file has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.subject import Subject

_ALERT = re.compile(r"(?:Alert(?:s)?:?\s+)?`?([A-Z][a-z0-9]+(?:[A-Z]+[a-z0-9]*){2,})`?")
_PRODUCTS = re.compile(
    r"(?:Git|Post|My|Elastic|Open|Java|Type|Power|Rabbit|Click|Mongo|Page)(?:Hub|Lab|SQL|Search|Shift|Script|Shell|MQ|House|DB|Duty)+"
)


def check(subject: Subject) -> Iterator[Said]:
    names = {alert.name for alert in subject.given.alerts}
    for heading in subject.document.headings:
        found = _ALERT.fullmatch(heading.title)
        if found and found[1] not in names and not _PRODUCTS.fullmatch(found[1]):
            yield Said(
                line=heading.line,
                why=f"no given rule file has an alert `{found[1]}`, so nobody is led here",
                mend="name the section after the alert, or give the file that has it by `--rules`",
            )
    text = "\n".join(subject.document.lines)
    linked = any(alert.name in text or alert.runbook_url for alert in subject.given.alerts)
    if subject.calls and not linked:
        yield Said(
            line=1,
            why="the runbook mentions none of the given alerts, and no `runbook_url` leads to it: nobody is led here",
            mend="name the alert that it answers, and give that alert a `runbook_url`",
        )


RULE = Rule(
    id="step-without-alert",
    severity="warning",
    needs="--rules",
    says="A section named after an alert that no given rule file has; or a runbook that no alert leads to.",
    bad="ShopDown is another story.\n\n## ShopDiskFullSoon\n\n```sh\ndf -h\n```\n",
    good="ShopDown is another story.\n\n## ShopDown\n\n```sh\ndf -h\n```\n",
    check=check,
)
