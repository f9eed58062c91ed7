"""Mutation: which wrong alert rules the scenarios notice, as tables for people."""

from __future__ import annotations

from harness.model.mutation import Mutation, Replayed, Score
from harness.model.units import say_duration, say_ratio
from reports import html as pages
from reports import markdown as texts


def markdown(mutation: Mutation) -> str:
    """The mutation score as Markdown."""
    return texts.tidy(texts.template("mutation.md.j2").render(mutation=mutation, share=share, unusable=unusable))


def html(mutation: Mutation) -> str:
    """The mutation score as one page that asks nothing of any other file or server."""
    page = pages.template("mutation.html.j2")
    return page.render(mutation=mutation, share=share, unusable=unusable, took=say_duration(mutation.seconds)) + "\n"


def share(score: Score) -> str:
    """The score in a cell; nothing where no mutant could have been killed."""
    return "" if score.share is None else say_ratio(score.share)


def unusable(mutation: Mutation) -> tuple[Replayed, ...]:
    """The replays that prove nothing."""
    return tuple(one for one in mutation.replayed if not one.usable)
