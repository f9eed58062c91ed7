"""Deadline impossible: a section whose own waits take longer than its heading allows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.lint.finding import Rule, Said
from harness.lint.script import Call
from harness.lint.subject import Subject

_SECONDS = (
    (1, r"s|secs?|seconds?|sekunden?|segundos?|secondes?|секунды?|сек|초|秒"),
    (60, r"m|mins?|minutes?|minuten?|minutos?|минуты?|мин|분|分钟|分"),
    (3600, r"h|hrs?|hours?|stunden?|horas?|heures?|часа?|часов|시간|小时|時間"),
)
_TIME = r"(\d+(?:[.,]\d+)?)\s*-?\s*(" + "|".join(units for _, units in _SECONDS) + r")(?![^\W\d_])"
# A number alone may be a threshold (`latency above 30 s`), so a word of limitation must stand by it.
_LIMITS = (
    r"within|in under|in less than|less than|under|at most|max(?:imum|\.)?|up to|deadline|binnen|innerhalb(?: von)?|"
    r"en moins de|dans les|en menos de|в течение|최대|≤|<"
)
_BEFORE = rf"(?:{_LIMITS})\s*:?\s*{_TIME}"
_AFTER = rf"{_TIME}\s*(?:이내|안에|以内|之内|内|or less|at most|max\b|deadline)"
_SLEEP = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def check(subject: Subject) -> Iterator[Said]:
    headings = subject.document.headings
    for number, heading in enumerate(headings):
        allowed = _deadline(heading.title)
        if allowed is None:
            continue
        below = [one.line for one in headings[number + 1 :] if one.level <= heading.level]
        end = below[0] if below else len(subject.document.lines) + 1
        waits = sum(_length(call) for call in subject.calling("sleep") if heading.line < call.line < end)
        if waits > allowed:
            yield Said(
                line=heading.line,
                why=f"its lines sleep for {waits:g} s, and the heading allows {allowed:g} s",
                mend="wait for what the sleep is meant to wait for, or allow more time",
            )


def _deadline(title: str) -> float | None:
    """The seconds that a heading allows; None where it speaks of no deadline."""
    found = re.search(_BEFORE, title, re.IGNORECASE) or re.search(_AFTER, title, re.IGNORECASE)
    if found is None:
        return None
    size = next(size for size, units in _SECONDS if re.fullmatch(units, found[2], re.IGNORECASE))
    return float(found[1].replace(",", ".")) * size


def _length(call: Call) -> float:
    """How long a sleep takes for certain: nothing where it is in a loop or a condition."""
    if call.nested:
        return 0.0
    parts = [_SLEEP.fullmatch(text) for text in call.texts]
    return sum(float(part[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[part[2]] for part in parts if part)


RULE = Rule(
    id="deadline-impossible",
    severity="error",
    says="A section whose own `sleep`s take longer than the deadline in its heading.",
    bad="## Restore service (within 30 seconds)\n\n```sh\nsystemctl restart web\nsleep 60\n```\n",
    good="## Restore service (within 2 minutes)\n\n```sh\nsystemctl restart web\nsleep 60\n```\n",
    check=check,
)
