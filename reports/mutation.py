"""Mutation: which wrong alert rules the scenarios and the rule tests notice, as tables for people."""

from __future__ import annotations

from harness.model.mutation import Mutation, Score
from harness.model.units import say_duration, say_ratio
from reports import html as pages
from reports import markdown as texts


def markdown(mutation: Mutation) -> str:
    """The mutation score as Markdown."""
    return texts.tidy(texts.template("mutation.md.j2").render(**_shown(mutation)))


def html(mutation: Mutation) -> str:
    """The mutation score as one page that asks nothing of any other file or server."""
    return pages.template("mutation.html.j2").render(**_shown(mutation), took=say_duration(mutation.seconds)) + "\n"


def share(score: Score) -> str:
    """The score in a cell; nothing where no mutant could have been killed."""
    return "" if score.share is None else say_ratio(score.share)


def _shown(mutation: Mutation) -> dict[str, object]:
    """What the templates show. A kill by a rule test alone proves less than one by a scenario, so they stand apart."""
    killed = mutation.with_fate("killed")
    together, runs, tests = (
        (mutation.whole(by), *mutation.by_file(by), *mutation.by_alert(by)) for by in ("fate", "replayed", "tested")
    )
    whole, *rows = zip(together, map(share, runs), map(share, tests), strict=True)
    return {
        "mutation": mutation,
        "whole": whole,
        "rows": rows,
        "by_scenario": [one for one in killed if one.kill is not None],
        "by_test": [one for one in killed if one.kill is None],
        "unusable": [one for one in mutation.replayed if not one.usable],
        "unfit": [one for one in mutation.tests if not one.usable],
        "share": share,
    }
