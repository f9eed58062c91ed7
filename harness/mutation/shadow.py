"""Shadow: a project's folder in which one file differs, made of links to everything else in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from harness.alerts.rules import WrittenRule
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
    for group in root["groups"]:
        rules = group.get("rules") or []
        if group["name"] == rule.group:
            group["rules"] = [new for old in rules if (new := _rewritten(old, rule, changed)) is not None]
    return yaml.safe_dump(root, allow_unicode=True)


def _rewritten(old: dict[str, Any], rule: WrittenRule, changed: WrittenRule | None) -> dict[str, Any] | None:
    if old.get("alert") != rule.name:
        return old
    if changed is None:
        return None
    new = {**old, "expr": changed.expr, "labels": dict(changed.labels)}
    for key, length in (("for", changed.hold), ("keep_firing_for", changed.keep)):
        new.pop(key, None)
        if length:
            new[key] = f"{round(length / timedelta(milliseconds=1))}ms"
    return new
