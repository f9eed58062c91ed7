"""Shadow: a project's folder in which one file differs, made of links to everything else in it."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from harness.alerts.rules import WrittenRule, read_rules
from harness.errors import UsageError


@contextmanager
def shadow(project: Path, file: Path, text: str) -> Iterator[Path]:
    """A folder like `project`, in which `file` holds `text`; it is gone afterwards. Raises UsageError for a file that
    is not in the project."""
    project = project.resolve()
    try:
        inside = file.resolve().relative_to(project)
    except ValueError as cause:
        raise UsageError(f"{file} is not below {project}", hint="a mutant can run live where its rules are") from cause
    with TemporaryDirectory(prefix="gd-") as name:
        here, there = Path(name), project
        for part in inside.parts:
            for other in there.iterdir():
                if other.name != part:
                    (here / other.name).symlink_to(other)
            here, there = here / part, there / part
            if there.is_dir():
                here.mkdir()
        here.write_text(text, encoding="utf-8")
        yield Path(name)


def rewritten(text: str, rule: WrittenRule, changed: WrittenRule | None) -> str:
    """The rules file `text` with `rule` changed, or without it. Comments are lost: nobody reads this file."""
    root = yaml.safe_load(text)
    place = read_rules(text, rule.source).index(rule)  # its name may be that of others
    for group in root["groups"]:
        rules = group.get("rules") or []
        here, place = place, place - len(rules)
        if 0 <= here < len(rules):
            rules[here : here + 1] = [] if changed is None else [_rewritten(rules[here], changed)]
    return yaml.safe_dump(root, allow_unicode=True)


def only(text: str, alerts: Container[str]) -> str:
    """The rules file `text` without the alerts that are not among `alerts`."""
    root = yaml.safe_load(text)
    for group in root["groups"]:
        group["rules"] = [one for one in group.get("rules") or [] if "alert" not in one or one["alert"] in alerts]
    return yaml.safe_dump(root, allow_unicode=True)


def _rewritten(old: dict[str, Any], changed: WrittenRule) -> dict[str, Any]:
    new = {**old, "expr": changed.expr, "labels": dict(changed.labels)}
    for key, length in (("for", changed.hold), ("keep_firing_for", changed.keep)):
        new.pop(key, None)
        if length:
            new[key] = f"{round(length / timedelta(milliseconds=1))}ms"
    return new
