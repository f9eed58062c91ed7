"""Rules: read a file of Prometheus rules, and divide its times by the time scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from yaml.nodes import Node, ScalarNode

from harness.alerts import durations, promql
from harness.alerts.labels import say_labels
from harness.alerts.meaning import ANY, LEVEL, Meaning
from harness.alerts.yaml_text import YamlText, entries, items, scalar
from harness.clock import checked_scale
from harness.errors import UsageError

# The fewest scrapes that a range must span: with fewer, one late scrape leaves `rate` with nothing to go by.
FEWEST_SCRAPES = 4

_GROUP_TIMES = ("interval", "query_offset")
_GROUP_KEYS = frozenset(("name", "limit", "labels", "rules", *_GROUP_TIMES))
_RULE_TIMES = ("for", "keep_firing_for")
_RULE_KEYS = frozenset(("alert", "record", "expr", "labels", "annotations", *_RULE_TIMES))


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRule:
    """A rule as its file has it. `hold` is its `for`, `keep` its `keep_firing_for`, `interval` its group's own (zero:
    it has none)."""

    source: str
    group: str
    kind: Literal["alert", "record"]
    name: str
    expr: str
    hold: timedelta
    labels: dict[str, str]
    keep: timedelta = timedelta(0)
    interval: timedelta = timedelta(0)

    def __str__(self) -> str:
        return f"{self.name}{say_labels(self.labels) if self.labels else ''}"


def read_rules(text: str, source: str) -> tuple[WrittenRule, ...]:
    """The rules of a rules file, in its order. Raises UsageError with everything that is wrong with it: what is no
    rule, what is no duration, what is not PromQL."""
    file = _RulesFile(text, source, 1.0)
    rules = tuple(file.rules())
    file.refuse(f"{source} can't be read as Prometheus rules", "`promtool check rules` shows more")
    return rules


def scale_rules(text: str, scale: float, *, source: str, scrape_interval: timedelta | None = None) -> str:
    """The rules file `text` for a Prometheus whose time runs `scale` times as fast: `for`, `keep_firing_for`, group
    `interval` and `query_offset`, and in expressions every range, subquery and offset are divided by it. Thresholds,
    labels, annotations and comments stay as written, and at scale 1 everything does.

    `scrape_interval` is the longest one that Prometheus will really use (`longest_scrape` of the scaled
    configuration); with it, ranges too short for it are found. Raises UsageError with all problems: what can't be
    read, and each expression that would not mean the same (see `harness.alerts.meaning`).
    """
    checked_scale(scale)
    read_rules(text, source)
    if scale == 1:
        return text
    file = _RulesFile(text, source, scale, scrape_interval)
    file.scale()
    hint = "`--time-scale 1` runs every rule as it is; rates, ratios and gauges can be scaled"
    file.refuse(f"{source} can't be scaled by {scale:g}", hint)
    return file.yaml.text()


class _RulesFile:
    """One rules file on its way from one time scale to another; `problems` grows as it is walked."""

    def __init__(self, text: str, source: str, scale: float, scrape_interval: timedelta | None = None) -> None:
        self.yaml = YamlText(text, source)
        self.problems: list[str] = []
        self._source = source
        self._scale = scale
        self._scrape_interval = scrape_interval

    def refuse(self, message: str, hint: str) -> None:
        """Raise UsageError with all problems so far, if any. Each names the file: others may be listed too."""
        if self.problems:
            raise UsageError(message, problems=[f"{self._source}, {one}" for one in self.problems], hint=hint)

    # -- reading -------------------------------------------------------------------------------------------------

    def rules(self) -> Iterator[WrittenRule]:
        groups = entries(self.yaml.root).get("groups")
        if self.yaml.root is not None and groups is None:
            self.problems.append("it has no `groups`")
        for group, name in self._groups():
            self._check_times(group, _GROUP_TIMES, f"group {name}")
            interval = _duration(entries(group).get("interval"))
            for rule in items(entries(group).get("rules")):
                written = self._rule(rule, name, interval)
                if written is not None:
                    yield written

    def _groups(self) -> Iterator[tuple[Node, str]]:
        for group in items(entries(self.yaml.root).get("groups")):
            name = scalar(entries(group).get("name"))
            if name is None:
                self.problems.append("a group has no name")
            yield group, name or "?"

    def _rule(self, rule: Node, group: str, interval: timedelta) -> WrittenRule | None:
        found = entries(rule)
        kind: Literal["alert", "record"] = "alert" if "alert" in found else "record"
        name, expr = scalar(found.get(kind)), scalar(found.get("expr"))
        where = _where(group, kind, name or "?")
        if name is None or expr is None:
            self.problems.append(f"{where}: a rule needs `alert` or `record`, and `expr`")
            return None
        self._check_times(rule, _RULE_TIMES, where)
        try:
            promql.parse(expr)
        except ValueError as problem:
            self.problems.append(f"{where}: `{_on_one_line(expr)}`: {problem}")
        return WrittenRule(
            source=self._source,
            group=group,
            kind=kind,
            name=name,
            expr=expr,
            hold=_duration(found.get("for")),
            labels={key: scalar(value) or "" for key, value in entries(found.get("labels")).items()},
            keep=_duration(found.get("keep_firing_for")),
            interval=interval,
        )

    def _check_times(self, node: Node, keys: tuple[str, ...], where: str) -> None:
        for key in keys:
            text = scalar(entries(node).get(key))
            if text is not None:
                try:
                    durations.milliseconds(text)
                except ValueError as problem:
                    self.problems.append(f"{where}: `{key}`: {problem}")

    # -- scaling -------------------------------------------------------------------------------------------------

    def scale(self) -> None:
        for group, name in self._groups():
            self._scale_times(group, _GROUP_TIMES, _GROUP_KEYS, f"group {name}")
            for rule in items(entries(group).get("rules")):
                found = entries(rule)
                kind = "alert" if "alert" in found else "record"
                where = _where(name, kind, scalar(found.get(kind)) or "?")
                self._scale_times(rule, _RULE_TIMES, _RULE_KEYS, where)
                expr = found.get("expr")
                if isinstance(expr, ScalarNode):
                    self._scale_expression(expr, recorded=kind == "record", where=where)

    def _scale_times(self, node: Node, times: tuple[str, ...], known: frozenset[str], where: str) -> None:
        for key, value in entries(node).items():
            text = scalar(value)
            if key in times and text is not None and isinstance(value, ScalarNode):
                try:
                    self.yaml.replace(value, durations.scaled(text, self._scale))
                except ValueError as problem:
                    self.problems.append(f"{where}: `{key}`: {problem}")
            elif key not in known and text is not None and _is_duration(text):
                self.problems.append(f"{where}: `{key}: {text}` reads like a time, and is not known to this version")

    def _scale_expression(self, node: ScalarNode, *, recorded: bool, where: str) -> None:
        expr = node.value
        meaning = Meaning()
        power = meaning.of(promql.parse(expr))
        problems = list(dict.fromkeys(meaning.problems))
        if recorded and power not in (LEVEL, ANY):
            problems.append(f"it records {power.said()}, and who reads it expects the unscaled value")
        try:
            self.yaml.replace(node, promql.scale_durations(expr, self._scale))
        except ValueError as problem:
            problems.append(str(problem))
        if self._scrape_interval is not None:
            problems += self._short_ranges(expr, self._scrape_interval)
        said = _on_one_line(expr)
        self.problems += [f"{where}: `{said}`: {problem.removeprefix(f'`{said}`: ')}" for problem in problems]

    def _short_ranges(self, expr: str, scrape_interval: timedelta) -> Iterator[str]:
        for length in promql.ranges(expr):
            if length / self._scale < FEWEST_SCRAPES * scrape_interval:
                short, needed = length / self._scale, FEWEST_SCRAPES * scrape_interval
                yield (
                    f"its range would be {short.total_seconds():g} s; with a scrape every "
                    f"{scrape_interval.total_seconds():g} s it must be {needed.total_seconds():g} s at least"
                )


def _where(group: str, kind: str, name: str) -> str:
    return f"group {group}, {kind} {name}"


def _on_one_line(expr: str) -> str:
    return " ".join(expr.split())


def _duration(node: Node | None) -> timedelta:
    try:
        return timedelta(milliseconds=durations.milliseconds(scalar(node) or "0"))
    except ValueError:  # reported where all times are checked
        return timedelta(0)


def _is_duration(text: str) -> bool:
    try:
        return durations.milliseconds(text) > 0
    except ValueError:
        return False
