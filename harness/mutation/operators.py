"""Operators: every way in which an alert rule is written wrongly, one change at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from harness.alerts.rules import WrittenRule
from harness.alerts.selectors import Matcher
from harness.model.units import say_duration
from harness.mutation.expression import COMPARISONS, Node, Path, put, read, say_time, walk
from harness.mutation.mutant import Mutant, with_expr

FACTORS = (("x2", 2.0), ("x10", 10.0), ("/2", 0.5), ("/10", 0.1))
OFFSET = 300_000  # ms
_TURNS = {
    ">": ("<", ">=", "==", "!="),
    ">=": ("<=", ">", "==", "!="),
    "<": (">", "<=", "==", "!="),
    "<=": (">=", "<", "==", "!="),
    "==": ("!=", ">", "<", ">="),
    "!=": ("==", ">", "<", ">="),
}
_NEGATED = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
_COUNTING = {"rate": ("irate", "increase"), "irate": ("rate", "increase"), "increase": ("rate", "irate")}
_FOLDING = ("sum", "avg", "min", "max", "count", "group")


@dataclass(frozen=True, slots=True)
class _Change:
    """One change: what kind, what becomes of the node, and what would tell."""

    operator: str
    new: Node
    tell: str


def mutants(rule: WrittenRule, jobs: Sequence[str] = ()) -> tuple[Mutant, ...]:
    """Every mutant of `rule`, each different from every other. `jobs` are the jobs that are scraped: a wrong job is
    one of the others. Raises ValueError for an expression that can't be taken apart."""
    tree = read(rule.expr)
    found: list[Mutant] = []
    for operator, changed, tell in (*_in_expression(rule, tree, jobs), *_in_settings(rule)):
        same = [one for one in found if one.changed == changed]
        if not same:
            name = f"{rule.name}:{operator}"
            found.append(Mutant(name=name, operator=operator, rule=rule, changed=changed, tell=tell))
    return tuple(_numbered(found))


def every(rules: Iterable[WrittenRule], jobs: Sequence[str] = ()) -> tuple[Mutant, ...]:
    """Every mutant of each of `rules`; no two have the same name, though rules may."""
    return tuple(_numbered(mutant for rule in rules for mutant in mutants(rule, jobs)))


def _numbered(found: Iterable[Mutant]) -> Iterator[Mutant]:
    """The same kind of change in several places is counted, from left to right."""
    kinds = list(found)
    often, seen = Counter(one.name for one in kinds), Counter[str]()
    for one in kinds:
        seen[one.name] += 1
        yield one if often[one.name] == 1 else replace(one, name=f"{one.name}#{seen[one.name]}")


# -- the rule around the expression ------------------------------------------------------------------------------


def _in_settings(rule: WrittenRule) -> Iterator[tuple[str, WrittenRule | None, str]]:
    for what, length, kept in (("for", rule.hold, False), ("keep", rule.keep, True)):
        if length:
            for said, factor in (*FACTORS, ("0", 0.0)):
                longer = timedelta(milliseconds=round(length / timedelta(milliseconds=1) * factor))
                changed = replace(rule, keep=longer) if kept else replace(rule, hold=longer)
                yield f"{what} {said}", changed, _told_by_time(length, longer, kept)
    for label in rule.labels:
        labels = {name: value for name, value in rule.labels.items() if name != label}
        yield f"label {label} dropped", replace(rule, labels=labels), f"a claim that the alert carries `{label}`"
    yield "rule deleted", None, "any claim that this alert fires"


def _told_by_time(real: timedelta, changed: timedelta, kept: bool) -> str:
    short, long = (say_duration(one) for one in sorted((real, changed)))
    if kept:
        return f"a claim that the alert ends sooner than {long} and not before {short} after its cause"
    if changed < real:
        return f"a cause that lasts between {short} and {long}, and a claim that it does not fire"
    return f"a cause of which the alert must fire within less than {long} of the threshold being crossed"


# -- the expression ----------------------------------------------------------------------------------------------


def _in_expression(rule: WrittenRule, tree: Node, jobs: Sequence[str]) -> Iterator[tuple[str, WrittenRule, str]]:
    outermost = set(_outermost(tree))
    for path, node in walk(tree):
        changes: list[_Change] = []
        for kind, of in _OPERATORS:
            if node.kind == kind:
                changes += of(node)
        if node.kind == "vector":
            changes += _wrong_job(node, jobs)
        if path in outermost:
            changes += _gathered(node)
        for change in changes:
            yield change.operator, with_expr(rule, put(tree, path, change.new)), change.tell


def _turned(node: Node) -> Iterator[_Change]:
    for other in _TURNS.get(node.text, ()):
        alike = {node.text, other} in ({">", ">="}, {"<", "<="})
        tell = f"a value of exactly {node.parts[1]}" if alike else "a calm stretch in which the alert must stay quiet"
        yield _Change(f"{node.text} to {other}", replace(node, text=other), tell)


def _threshold(node: Node) -> Iterator[_Change]:
    """Another number to compare with. Zero has no double, so it becomes one."""
    if node.text not in COMPARISONS:
        return
    for number, side in enumerate(node.parts):
        if side.kind != "number" or float(side.text) - float(side.text) != 0:
            continue
        factors = FACTORS if float(side.text) else (("0 to 1", 1.0),)
        for said, factor in factors:
            value = float(side.text) * factor or factor
            new = Node("number", f"{value:.15g}")
            low, high = sorted((value, float(side.text)))
            tell = f"a cause that drives `{node.parts[1 - number]}` between {low:g} and {high:g} for longer than `for`"
            yield _Change(f"threshold {said}", put(node, (number,), new), tell)


def _range(node: Node) -> Iterator[_Change]:
    for said, factor in FACTORS:
        length = max(1, round(node.range * factor))
        short, long = sorted((length, node.range))
        tell = f"a cause that lasts between {say_time(short)} and {say_time(long)}, with limits on firing and resolving"
        yield _Change(f"range {said}", replace(node, range=length), tell)


def _matchers(node: Node) -> Iterator[_Change]:
    for number, one in enumerate(node.matchers):
        before, after = node.matchers[:number], node.matchers[number + 1 :]
        changes = (
            ("dropped", (), f"traffic of which only series without {one} move, where the alert must stay quiet"),
            ("misspelt", (replace(one, value=one.value + "x"),), "a cause for which the alert must fire"),
            ("negated", (replace(one, operator=_NEGATED[one.operator]),), "a cause for which the alert must fire"),
        )
        for how, new, tell in changes:
            if how != "dropped" or node.text or before or after:
                matchers = (*before, *new, *after)
                yield _Change(f"matcher {one.label} {how}", replace(node, matchers=matchers), tell)


def _wrong_job(node: Node, jobs: Sequence[str]) -> Iterator[_Change]:
    meant = [one for one in node.matchers if one.label == "job" and one.operator in ("=", "=~")]
    other = next((job for job in jobs if all(not one.allows({"job": job}) for one in meant)), None)
    if meant and other is not None:
        matchers = [Matcher("job", "=", other) if one in meant else one for one in node.matchers]
        tell = f"a cause that hits its own job and not {other}"
        yield _Change("wrong job", replace(node, matchers=tuple(matchers)), tell)


def _offset(node: Node) -> Iterator[_Change]:
    tell = f"a limit on firing that leaves less than {say_time(OFFSET)} to spare"
    yield _Change("offset added", replace(node, offset=node.offset + OFFSET), tell)


def _counting(node: Node) -> Iterator[_Change]:
    for other in _COUNTING.get(node.text, ()):
        tell = "a value near the threshold, for longer than the range"
        yield _Change(f"{node.text} to {other}", replace(node, text=other), tell)


def _ungathered(node: Node) -> Iterator[_Change]:
    if node.text in _FOLDING and len(node.parts) == 1:
        (inside,) = node.parts
        new = Node("paren", parts=(inside,)) if inside.kind in ("binary", "minus") else inside
        tell = "a cause that is spread over so many series that none of them crosses the threshold alone"
        yield _Change(f"{node.text} removed", new, tell)


def _gathered(node: Node) -> Iterator[_Change]:
    left = node.parts[0]
    for said, function, modifier, tell in (
        ("sum added", "sum", "", "a claim on a label, or causes too small to fire for each series alone"),
        ("max by job added", "max", "by (job)", "a claim on a label other than job"),
    ):
        if left.kind != "number":
            new = Node("aggregate", function, (left,), modifier=modifier)
            yield _Change(said, put(node, (0,), new), tell)


def _outermost(tree: Node, path: Path = ()) -> Iterator[Path]:
    """The comparisons that decide: those with nothing but parentheses, `and`, `or` and `unless` around them."""
    if tree.kind == "binary" and tree.text in COMPARISONS:
        yield path
    elif tree.kind == "paren" or (tree.kind == "binary" and tree.text in ("and", "or", "unless")):
        for number, part in enumerate(tree.parts):
            yield from _outermost(part, (*path, number))


_OPERATORS: Sequence[tuple[str, Callable[[Node], Iterator[_Change]]]] = (
    ("binary", _turned),
    ("binary", _threshold),
    ("matrix", _range),
    ("subquery", _range),
    ("vector", _matchers),
    ("vector", _offset),
    ("call", _counting),
    ("aggregate", _ungathered),
)
