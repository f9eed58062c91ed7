"""Blind spots: what alerting rules miss, as tables for people, one picture, and sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from markupsafe import Markup

from harness.model.blindspots import BlindSpots, Delay, RuleSight, Shortest
from harness.model.units import say_duration, say_ratio
from reports import html as pages
from reports import markdown as texts

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 1000.0, 330.0, 70.0, 20.0, 34.0
_FIRST, _LAST = 1.0, 1200.0  # seconds on the axis of the picture
_TICKS = (1, 10, 30, 60, 120, 300, 600, 1200)


def markdown(spots: BlindSpots, picture: str = "") -> str:
    """The blind spots as Markdown; `picture` is where the picture is, if it shall be shown."""
    words = list(_rows_said(spots))
    return texts.tidy(
        texts.template("blindspots.md.j2").render(spots=spots, say=say, words=words, picture=picture)
    )  # fmt: skip


def html(spots: BlindSpots) -> str:
    """The blind spots as one page that asks nothing of any other file or server."""
    picture = Markup(svg(spots))  # noqa: S704 - `svg` escapes every text that it takes from the rules
    return pages.template("blindspots.html.j2").render(spots=spots, say=say, picture=picture) + "\n"


def say(delay: Delay | None) -> str:
    """A delay in a cell: `never`, `3 min 38 s to 4 min`, `1 min or never`."""
    if delay is None:
        return ""
    if delay.best is None:
        return "never"
    low = say_duration(round(delay.best))
    if delay.worst is None:
        return f"{low} or never"
    high = say_duration(round(delay.worst))
    return low if low == high else f"{low} to {high}"


# -- the picture ---------------------------------------------------------------------------------------------------


def svg(spots: BlindSpots) -> str:
    """How long an outage must last for each alert to fire, as one `<svg>` element with a title and a description for
    those who can't see it. It carries its own colours: it may stand in a page or in a file."""
    rows = [(rule, one) for rule in spots.rules for one in reversed(rule.shortest)]
    height = _TOP + len(rows) * _ROW + 34
    parts = [*_axis(height), *(_row(at, rule, one) for at, (rule, one) in enumerate(rows))]
    title = f"How long an outage must last to page somebody, at {spots.traffic:g} requests a second"
    said = " ".join(_rows_said(spots))
    return (
        f'<svg class="blindspots" viewBox="0 0 {_n(_WIDTH)} {_n(height)}" role="img" '
        'aria-labelledby="blindspots-title blindspots-text" xmlns="http://www.w3.org/2000/svg" '
        'font-family="sans-serif" font-size="12">'
        f'<title id="blindspots-title">{escape(title)}</title><desc id="blindspots-text">{escape(said)}</desc>'
        f'<rect width="{_n(_WIDTH)}" height="{_n(height)}" fill="#ffffff"/>'
        f'<text x="8" y="16" font-weight="600" fill="#222222">{escape(title)}</text>' + "".join(parts) + "</svg>\n"
    )


def _axis(height: float) -> Iterator[str]:
    for tick in _TICKS:
        x, bottom = _x(float(tick)), height - 30
        yield f'<line x1="{_n(x)}" y1="{_n(_TOP - 8)}" x2="{_n(x)}" y2="{_n(bottom)}" stroke="#dddddd"/>'
        yield f'<text x="{_n(x)}" y="{_n(bottom + 14)}" text-anchor="middle" fill="#555555">{say_duration(tick)}</text>'
    legend = (("#c9ccd1", "never paged"), ("#f0b35a", "by chance"), ("#b3382c", "paged"))
    for number, (colour, words) in enumerate(legend):
        x, y = 8 + number * 100, height - 26
        yield f'<rect x="{x}" y="{_n(y)}" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{x + 16}" y="{_n(y + 10)}" fill="#555555">{words}</text>'


def _row(at: int, rule: RuleSight, one: Shortest) -> str:
    y = _TOP + at * _ROW
    best = _LAST if one.length.best is None else one.length.best
    worst = _LAST if one.length.worst is None else one.length.worst
    edges = ((_FIRST, best, "#c9ccd1"), (best, worst, "#f0b35a"), (worst, _LAST, "#b3382c"))
    bars = "".join(
        f'<rect x="{_n(_x(begin))}" y="{_n(y)}" width="{_n(_x(end) - _x(begin))}" height="14" fill="{colour}"/>'
        for begin, end, colour in edges
        if _x(end) > _x(begin)
    )
    name = escape(f"{rule.alert}, {_of(rule, one)}")
    said = f'<text x="{_n(_LEFT - 8)}" y="{_n(y + 11)}" text-anchor="end" fill="#222222">{name}</text>'
    never = f'<text x="{_n(_WIDTH - _RIGHT + 6)}" y="{_n(y + 11)}" fill="#555555">never</text>'
    return said + bars + (never if one.length.never else "")


def _rows_said(spots: BlindSpots) -> Iterator[str]:
    for rule in spots.rules:
        for one in reversed(rule.shortest):
            yield f"{rule.alert}, {_of(rule, one)}: {say(one.length)}."


def _of(rule: RuleSight, one: Shortest) -> str:
    return f"{say_ratio(one.share)} of requests" if len(rule.shortest) > 1 else "all of it"


def _x(seconds: float) -> float:
    part = math.log(min(max(seconds, _FIRST), _LAST) / _FIRST) / math.log(_LAST / _FIRST)
    return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
