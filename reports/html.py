"""HTML: one page about one run that asks nothing of any other file or server."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from harness.model.judgement import Judgement
from harness.model.record import Record
from harness.model.units import say_duration
from reports.page import page
from reports.timeline import svg


def render(record: Record, judgement: Judgement, *, log_paths: Mapping[str, str] | None = None) -> str:
    """The page. `log_paths` maps what a log is called to where it is, relative to the page's own folder.

    Whatever comes from the run (logs, names, labels) is escaped; the page runs no script.
    """
    picture = Markup(svg(record, judgement))  # noqa: S704 - `svg` escapes every text that it takes from the record
    facts = page(record, judgement, log_paths or {})
    return template("report.html.j2").render(page=facts, picture=picture) + "\n"


@cache
def template(name: str) -> Template:
    """The HTML template `name`."""
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = say_duration
    return environment.get_template(name)
