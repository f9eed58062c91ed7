"""Dead runbook_url: an alert that leads its reader to a file or a heading that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from harness.lint.finding import Rule, Said
from harness.lint.given import AlertRule
from harness.lint.rules.dead_anchor import known
from harness.lint.subject import Subject


def check(subject: Subject) -> Iterator[Said]:
    for alert in subject.given.alerts:
        parts = urlsplit(alert.runbook_url)
        if not alert.runbook_url or "{{" in alert.runbook_url:
            continue
        why = ""
        if is_this(subject, alert):
            if parts.fragment and not known(parts.fragment, subject.document.anchors):
                why = f"{subject.document.name} has no heading `#{unquote(parts.fragment)}`"
        elif not parts.scheme and not any(
            (folder / unquote(parts.path).lstrip("/")).exists()
            for folder in (alert.folder, *alert.folder.resolve().parents)
        ):
            why = f"there is no {parts.path}"
        if why:
            yield Said(
                line=alert.runbook_line,
                file=alert.file,
                why=f"the runbook_url of {alert.name} leads nowhere: {why}",
                mend="correct it: whoever is paged follows it first",
            )


def is_this(subject: Subject, alert: AlertRule) -> bool:
    """Whether the `runbook_url` of `alert` means the runbook at hand: its path ends as the runbook's own, where a site
    may have taken the ending off."""
    page = unquote(urlsplit(alert.runbook_url).path.rstrip("/").rpartition("/")[2])
    own = subject.document.path
    return page.removesuffix(".html").removesuffix(".md").lower() == own.stem.lower() and bool(page)


RULE = Rule(
    id="runbook-url-dead",
    severity="error",
    needs="--rules",
    says="A `runbook_url` of a given rule that leads to a heading that the runbook does not have, or to no file. Links "
    "to other documents on other hosts are not followed.",
    bad="# ShopDown\n\n## Shop is off\n",
    good="# ShopDown\n\n## Shop is down\n",
    check=check,
)
