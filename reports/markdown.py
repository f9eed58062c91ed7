"""Markdown: the report as text that a pull request, a wiki or a chat can show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from harness.model.judgement import Judgement
from harness.model.record import Record
from harness.model.units import say_duration
from reports.page import page
from reports.timeline import described

# What would start markup in the middle of a line; `_` and `#` don't there.
_MARKUP = re.compile(r"([\\`*\[\]|~])")


def render(record: Record, judgement: Judgement, *, log_paths: Mapping[str, str] | None = None) -> str:
    """The report. `log_paths` maps what a log is called to where it is, relative to the report's own folder.

    Whatever comes from the run is escaped, so that it can't turn into markup, a link or HTML.
    """
    facts = page(record, judgement, log_paths or {})
    return tidy(template("report.md.j2").render(page=facts, picture=described(record, judgement)))


def tidy(text: str) -> str:
    """`text` without the empty lines that a template's branches leave."""
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def template(name: str) -> Template:
    """The Markdown template `name`."""
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=False,  # noqa: S701 - this is no HTML; every text goes through `md` or `fenced`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(md=escaped, fenced=fenced, duration=say_duration)
    return environment.get_template(name)


def escaped(said: object) -> str:
    """One line of Markdown that shows `said` as it is."""
    line = " ".join(_printable(str(said)).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", line)


def fenced(said: object, language: str = "text") -> str:
    """A code block that `said` can't close, whatever backticks it holds."""
    text = _printable(str(said)).rstrip("\n")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _printable(text: str) -> str:
    return "".join(c if c in "\n\t" or ord(c) >= 32 else "\ufffd" for c in text.replace("\r\n", "\n"))
