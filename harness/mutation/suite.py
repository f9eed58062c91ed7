"""Suite: a file of rule tests, and the same of fewer tests, or about other files of rules.

The format is that of `promtool test rules`
(https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/).
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from harness.alerts.selectors import Selector, reads
from harness.alerts.yaml_text import YamlText, entries, items, scalar
from harness.errors import UsageError

_FILES, _TESTS = "rule_files", "tests"
_LIST, _TEXT = "tag:yaml.org,2002:seq", "tag:yaml.org,2002:str"
# The series that Prometheus makes of alerts; and any, where no name is given.
_OF_ALERTS = ("ALERTS", "ALERTS_FOR_STATE", "")
_WIDTH = 1_000_000  # no line is folded


@dataclass(frozen=True, slots=True)
class _Test:
    """One test: the alerts that it names, and what it asks of any series."""

    node: Node
    alerts: frozenset[str]
    asked: tuple[Selector, ...]

    def speaks_of(self, alert: str) -> bool:
        return alert in self.alerts or any(reads_alert(selector, alert) for selector in self.asked)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Suite:
    """The tests in the file `path`, or some of them. `rules` are the files of rules that they are about."""

    path: Path
    rules: tuple[Path, ...]
    root: MappingNode
    tests: tuple[_Test, ...]

    def speaks_of(self, alert: str) -> bool:
        """Whether a change to `alert` may turn one of the tests red."""
        return any(test.speaks_of(alert) for test in self.tests)

    def of(self, alert: str) -> Suite:
        """The tests that speak of `alert`."""
        return replace(self, tests=tuple(test for test in self.tests if test.speaks_of(alert)))

    def text(self, rules: Sequence[str]) -> str:
        """The tests as a file of their own, about the files `rules` in place of `self.rules`. Every value is written as
        it was: what is a number to Prometheus' parser need not be one to ours."""
        files = SequenceNode(_LIST, [ScalarNode(_TEXT, name) for name in rules])
        tests = SequenceNode(_LIST, [test.node for test in self.tests])
        kept = [(key, value) for key, value in self.root.value if key.value not in (_FILES, _TESTS)]
        whole = [*kept, (ScalarNode(_TEXT, _FILES), files), (ScalarNode(_TEXT, _TESTS), tests)]
        return str(yaml.serialize(MappingNode(self.root.tag, whole), width=_WIDTH, allow_unicode=True))


def read_suite(path: Path) -> Suite:
    """The tests in `path`. Raises UsageError where it can't be read or is no file of rule tests."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise UsageError(f"{path} can't be read: {cause}") from cause
    root = YamlText(text, str(path)).root
    found = entries(root)
    if not isinstance(root, MappingNode) or not {_FILES, _TESTS} <= found.keys():
        raise UsageError(f"{path} has no {_FILES} and {_TESTS}", hint="it has to be a file for `promtool test rules`")
    return Suite(
        path=path,
        rules=tuple(dict.fromkeys(_files(path.parent, items(found[_FILES])))),
        root=root,
        tests=tuple(map(_test, items(found[_TESTS]))),
    )


def reads_alert(selector: Selector, alert: str) -> bool:
    """Whether `selector` may select the series that Prometheus makes of `alert`."""
    names = [one for one in selector.matchers if one.label == "alertname"]
    return selector.metric in _OF_ALERTS and all(one.allows({"alertname": alert}) for one in names)


def _test(node: Node) -> _Test:
    alerts = (scalar(entries(one).get("alertname")) for one in items(entries(node).get("alert_rule_test")))
    exprs = (scalar(entries(one).get("expr")) or "" for one in items(entries(node).get("promql_expr_test")))
    asked = dict.fromkeys(selector for expr in exprs for selector in _asked(expr))
    return _Test(node, frozenset(name for name in alerts if name), tuple(asked))


def _asked(expr: str) -> tuple[Selector, ...]:
    """What `expr` reads; anything at all, where our parser does not know it."""
    try:
        return reads(expr)
    except ValueError:
        return (Selector("", ()),)


def _files(folder: Path, named: Iterable[Node]) -> Iterator[Path]:
    """As promtool finds them: relative to the file of tests, and a name may be a pattern."""
    for node in named:
        whole = str(folder / (scalar(node) or ""))
        for one in sorted(glob.glob(whole)):  # noqa: PTH207 - the folder is a part of the pattern, and may be absolute
            yield Path(one).resolve()
