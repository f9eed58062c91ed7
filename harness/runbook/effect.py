"""Effect: what a step must bring about in the sandbox, and how to tell that it has."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

_NUMERIC: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_COMPARED = re.compile(r"\s*(==|!=|>=|<=|>|<)\s*(.+?)\s*")
INCREASED = "increased"
MATCHES = "matches "  # and a regular expression, that is to be found somewhere
ABSENT = "absent"  # what a reading says of a series that is not there


@dataclass(frozen=True, slots=True)
class Metric:
    """The sum of the series on `service`'s own /metrics page that have this name and (at least) these labels."""

    service: str
    port: int
    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        labels = ",".join(f'{key}="{value}"' for key, value in self.labels)
        return f"{self.name}{{{labels}}} of {self.service}" if labels else f"{self.name} of {self.service}"


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """The value at `pointer` (RFC 6901) of what `service` answers to GET `path`; with "" the HTTP status."""

    service: str
    port: int
    path: str
    pointer: str = ""

    def __str__(self) -> str:
        return f"{self.pointer or 'the status'} of GET {self.path} at {self.service}"


@dataclass(frozen=True, slots=True)
class PromQuery:
    """The one value of a PromQL expression, asked of Prometheus; as old as its last scrape."""

    expression: str

    def __str__(self) -> str:
        return self.expression


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """The value at `pointer` (RFC 6901) of the last JSON object that the step's own commands printed: for a step that
    asks something of the system and changes nothing."""

    pointer: str

    def __str__(self) -> str:
        return f"{self.pointer} of the answer"


@dataclass(frozen=True, slots=True)
class CommandOutput:
    """All that the step's own commands printed: for a step that looks and changes nothing."""

    def __str__(self) -> str:
        return "what it prints"


@dataclass(frozen=True, slots=True)
class CommandNumber:
    """What the one group of the regular expression `pattern` stands for where it is last found in what the step's own
    commands printed: `^Requests per second: +([0-9.]+)`."""

    pattern: str

    def __str__(self) -> str:
        return f"what it prints behind {self.pattern}"

    def problem(self) -> str:
        """What is wrong with `pattern`, in plain words; empty if nothing is."""
        try:
            groups = re.compile(self.pattern).groups
        except re.error as cause:
            return f"{self.pattern!r} is no regular expression: {cause}"
        return "" if groups == 1 else f"{self.pattern!r} has {groups} groups, and one must stand for the value"

    def value_in(self, printed: str) -> str:
        """The value, or `absent`."""
        found = re.findall(self.pattern, printed, re.MULTILINE)
        return str(found[-1]) if found else ABSENT


@dataclass(frozen=True, slots=True)
class RedisAnswer:
    """The last line of what `service`, a Redis, answers to `command` in its database number `database`."""

    service: str
    port: int
    database: int
    command: str

    def __str__(self) -> str:
        return f"{self.command} of {self.service}, database {self.database}"


@dataclass(frozen=True, slots=True)
class Start:
    """Which start of `service` it is that is up now, counted by whoever starts it; 0 while none is: so a restart shows
    also where the service was dead or deaf before."""

    service: str

    def __str__(self) -> str:
        return f"start of {self.service}"


@dataclass(frozen=True, slots=True)
class HostFiles:
    """How many files of the laid-out host the glob `pattern` finds: `/var/log/**/*.gz`."""

    pattern: str

    def __str__(self) -> str:
        return f"files {self.pattern} of the host"


@dataclass(frozen=True, slots=True)
class HostText:
    """What stands in the file `path` of the laid-out host, without the white space around it."""

    path: str

    def __str__(self) -> str:
        return f"{self.path} of the host"


PRINTED = CommandAnswer | CommandOutput | CommandNumber  # what a step's own commands say: nothing, before they have run
Source = Metric | JsonAnswer | PromQuery | PRINTED | RedisAnswer | Start | HostFiles | HostText


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """`source` becomes what `becomes` says within `within`, in real seconds: `== 1`, `!= closed`, `increased`, or
    `matches ^PONG$`."""

    source: Source
    becomes: str
    within: timedelta

    @property
    def claim(self) -> str:
        return f"{self.source} {self.becomes}"

    def problem(self) -> str:
        """What is wrong with `becomes`, in plain words; empty if nothing is."""
        if self.becomes.startswith(MATCHES):
            try:
                re.compile(self.becomes.removeprefix(MATCHES))
            except re.error as cause:
                return f"{self.becomes!r} is no regular expression: {cause}"
            return ""
        compared = _COMPARED.fullmatch(self.becomes)
        if self.becomes == INCREASED or (compared and (compared[1] in ("==", "!=") or number(compared[2]) is not None)):
            return ""
        return f"becomes: {self.becomes!r} is no comparison (say `== 1`, `>= 2`, `!= open` or `{INCREASED}`)"

    def holds(self, before: str | None, now: str) -> bool:
        """Whether the reading `now` meets the claim; `before` is the reading before the step."""
        if now == ABSENT or now.lower() == "nan":  # nothing can be said of either
            return False
        if self.becomes == INCREASED:
            was, value = number("0" if before == ABSENT else before), number(now)
            return was is not None and value is not None and value > was
        if self.becomes.startswith(MATCHES):
            return re.search(self.becomes.removeprefix(MATCHES), now, re.MULTILINE) is not None
        compared = _COMPARED.fullmatch(self.becomes)
        assert compared, "checked when it was read"
        sign, wanted = compared[1], compared[2].strip("'\"")
        value, limit = number(now), number(wanted)
        if value is not None and limit is not None:
            return _NUMERIC[sign](value, limit)
        return sign in ("==", "!=") and (now == wanted) is (sign == "==")


def number(text: str | None) -> float | None:
    """`text` as a number; None where it is none."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
