"""Rejudge: what can be done with a recorded run, or a runbook, without any system."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import store
from harness.errors import UsageError
from harness.judge import judge
from harness.load.driver import read_samples
from harness.model.judgement import Judgement
from harness.model.record import Record
from harness.runbook.parse import read_runbook
from harness.sandbox.topology import read_topology
from reports import html, junit, markdown, postmortem

FORMS: Mapping[str, tuple[str, Any]] = {
    "html": ("report.html", html.render),
    "md": ("report.md", markdown.render),
    "junit": ("junit.xml", junit.render),
    "postmortem": ("postmortem.md", postmortem.render_markdown),
    "postmortem-html": ("postmortem.html", postmortem.render_html),
}


def judge_folder(folder: Path) -> tuple[Judgement, str]:
    """The judgement on the run recorded in `folder`, and the text of its verdict.json."""
    judgement = judge(store.load(folder, read_samples))
    return judgement, store.verdict_json(judgement)


def render(form: str, record: Record, judgement: Judgement) -> str:
    """The report of one run in one of `FORMS`, or its verdict for `json`."""
    if form == "json":
        return store.verdict_json(judgement)
    text: str = FORMS[form][1](record, judgement)
    return text


def write_reports(folders: Sequence[Path], form: str, output: Path | None) -> Iterator[Path]:
    """Write one report for each folder: into it, or to `output` (a folder where there are several)."""
    if form != "json" and form not in FORMS:
        raise UsageError(f"--format {form}: choose one of {', '.join([*FORMS, 'json'])}")
    name = store.VERDICT if form == "json" else FORMS[form][0]
    for folder in folders:
        record = store.load(folder, read_samples)
        path = folder / name if output is None else output
        if output is not None and (len(folders) > 1 or output.is_dir()):
            path = output / f"{record.scenario.name}-{record.run_id}{Path(name).suffix}"
        save(path, render(form, record, judge(record)))
        yield path


def save(path: Path, text: str) -> None:
    """Write a document. Raises UsageError where that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write_whole(path, text)
    except OSError as cause:
        hint = "choose another place with --output"
        raise UsageError(f"can't write to {path}: {cause.strerror}", hint=hint) from cause


def outline_of(file: Path | None, compose: Path) -> tuple[str, Any]:
    """The outline of a runbook as text and as plain values."""
    if file is None:
        file = read_topology(compose, os.environ).runbook
    if file is None:
        raise UsageError("no runbook was named", hint=f"give a Markdown file, or set x-gameday.runbook in {compose}")
    runbook = read_runbook(file)
    return runbook.outline(), [{"id": c.id, "line": c.line, "command": c.text} for c in runbook.commands]
