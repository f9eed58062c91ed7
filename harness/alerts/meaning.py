"""Meaning: whether an expression means the same once observation is faster, and if not, why.

At time scale S Prometheus scrapes and evaluates S times as often, over ranges S times as short, while the system and
its load keep their own pace. What becomes of a value then?

* A *level* (a gauge, a rate per second, a ratio, a quantile) stays what it is.
* A *count* (a counter, `increase`) has had S times less time to grow: it shrinks by S. A number it is compared with
  does not. Two counts shrink alike: their ratio is a level, and comparing them with each other is sound.
* A *number of samples* (`count_over_time`, and the factor in `sum_over_time`) depends on how often each source is
  scraped, which a rule does not say. In a ratio of two, or against zero, it cancels.
* Of a *change* (`delta`, `deriv`, `changes`, `resets`) only the sign is sure: whether it shrinks depends on whether
  the value follows the load or our clock. Comparing it with zero is sound.
* A value that speaks of the *clock* (`time()`, `hour()`, `predict_linear(…, 3600)`) can't be scaled at all.

So each node of the tree gets a power of S (like a physicist's dimension), and a comparison or a sum is accepted only
where both sides have the same. Zero and infinity have every power. What is not known to be sound is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import promql_parser


@dataclass(frozen=True, slots=True)
class Power:
    """How a value changes under the scale: by S to the power -`counts`, and by an unknown factor for each of
    `samples`. `sign`: only its sign is sure. `any`: it is zero, infinite, or refused already."""

    counts: int = 0
    samples: int = 0
    sign: bool = False
    any: bool = False

    def said(self) -> str:
        if self.sign:
            return "a change, of which only the sign is sure"
        if self.samples:
            return "a number of samples, which depends on how often its source is scraped"
        if self.counts:
            return f"a count, which {'shrinks' if self.counts > 0 else 'grows'} with the time scale"
        return "a value that stays what it is"


LEVEL = Power()
COUNT = Power(counts=1)
SIGN = Power(sign=True)
ANY = Power(any=True)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COUNTER_NAME = re.compile(r".*_(total|count|sum|bucket)")

# Functions by what they make of their vector argument:
# https://prometheus.io/docs/prometheus/latest/querying/functions/
_KEEP = _names("""abs sort sort_desc sort_by_label sort_by_label_desc label_replace label_join vector scalar
    avg_over_time min_over_time max_over_time last_over_time quantile_over_time stddev_over_time mad_over_time
    histogram_count histogram_sum""")
_LEVEL_OF_ANY = _names("""absent absent_over_time present_over_time sgn
    histogram_quantile histogram_fraction histogram_avg histogram_stddev histogram_stdvar""")
_LEVEL_OF_LEVEL = _names("""ceil floor round exp ln log2 log10 sqrt clamp clamp_min clamp_max stdvar_over_time pi deg
    rad sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh""")
_SIGN_OF = _names("delta idelta deriv changes resets")
_RATES = _names("rate irate increase")
_CLOCK = _names("""time timestamp minute hour day_of_week day_of_month day_of_year days_in_month month year""")
_SECONDS = {
    "predict_linear": "it looks ahead by seconds that are written as a plain number",
    "double_exponential_smoothing": "its trend is a change from sample to sample",
    "holt_winters": "its trend is a change from sample to sample",
}

_KEEPING_AGGREGATES = _names("sum avg min max quantile stddev topk bottomk limitk limit_ratio")
_ADDING_AGGREGATES = _names("sum avg quantile stddev stdvar")
_COMPARISONS = frozenset(("==", "!=", ">", "<", ">=", "<="))


@dataclass(slots=True)
class Meaning:
    """Takes one expression apart. `problems` says why it can't be scaled; empty if it can."""

    problems: list[str] = field(default_factory=list)

    def of(self, node: Any) -> Power:
        match node:
            case promql_parser.ParenExpr() | promql_parser.UnaryExpr():
                return self.of(node.expr)
            case promql_parser.NumberLiteral():
                # NaN and infinity differ from themselves or bound everything, whatever the scale.
                return ANY if node.val == 0 or node.val - node.val != 0 else LEVEL
            case promql_parser.StringLiteral():
                return LEVEL
            case promql_parser.VectorSelector():
                return self._selector(node)
            case promql_parser.MatrixSelector():
                return self._selector(node.vector_selector)
            case promql_parser.SubqueryExpr():
                self._refuse_fixed_instant(node)
                return self.of(node.expr)
            case promql_parser.Call():
                return self._call(node, node.func.name)
            case promql_parser.AggregateExpr():
                return self._aggregate(node, str(node.op))
            case promql_parser.BinaryExpr():
                return self._binary(node, str(node.op))
        return self._refuse(node, "it is not known to mean the same at another time scale")

    def _refuse(self, node: Any, why: str) -> Power:
        self.problems.append(f"`{_said(node)}`: {why}")
        return ANY

    def _refuse_fixed_instant(self, node: Any) -> None:
        if node.at is not None:
            self._refuse(node, "@ names a fixed instant")

    def _selector(self, node: Any) -> Power:
        self._refuse_fixed_instant(node)
        named = [one for one in node.matchers.matchers if one.name == "__name__"]
        if any(one.op != promql_parser.MatchOp.Equal for one in named):
            return SIGN  # it may select counters and gauges alike
        names = [node.name or "", *(one.value for one in named)]
        return COUNT if any(_COUNTER_NAME.fullmatch(name) for name in names) else LEVEL

    def _call(self, node: Any, name: str) -> Power:
        if name in _CLOCK:
            return self._refuse(node, f"{name}() speaks of the clock")
        if name in _SECONDS:
            return self._refuse(node, f"{name}() can't be scaled: {_SECONDS[name]}")
        if name in _RATES:
            return self._rate(node, name)
        powers = [self.of(one) for one in node.args]
        vector = self._vector(node, name, powers)
        if name in _KEEP:
            return vector
        if name in _LEVEL_OF_ANY:
            return LEVEL
        if name in _SIGN_OF:
            return SIGN
        if name == "count_over_time":
            return Power(samples=1)
        if name == "sum_over_time":
            return vector if vector.any or vector.sign else Power(vector.counts, vector.samples + 1)
        if name in _LEVEL_OF_LEVEL:
            return self._of_levels(node, f"{name}()", powers)
        return self._refuse(node, f"{name}() is not known to mean the same at another time scale")

    def _vector(self, node: Any, name: str, powers: Sequence[Power]) -> Power:
        """The power of a function's vector: the last argument, unless that is written as a number or a text."""
        plain = (promql_parser.NumberLiteral, promql_parser.StringLiteral)
        others = [power for one, power in zip(node.args, powers, strict=True) if not isinstance(one, plain)]
        if not others:
            return powers[0] if powers else LEVEL
        self._of_levels(node, f"a parameter of {name}()", others[:-1])
        return others[-1]

    def _rate(self, node: Any, name: str) -> Power:
        """Whatever these are applied to is a counter: that is what they are for."""
        (inner,) = node.args
        power = self.of(inner)
        if isinstance(inner, promql_parser.MatrixSelector):
            power = ANY if power.any else COUNT
        if name == "increase" or power.any:
            return power
        if power != COUNT:
            return self._refuse(node, f"{name}() of something other than a counter is a change per second")
        return LEVEL

    def _of_levels(self, node: Any, what: str, powers: Sequence[Power]) -> Power:
        for power in powers:
            if power not in (LEVEL, ANY):
                return self._refuse(node, f"{what} is applied to {power.said()}")
        return LEVEL

    def _aggregate(self, node: Any, op: str) -> Power:
        power = self.of(node.expr)
        if node.param is not None:
            self._of_levels(node, f"the parameter of {op}", [self.of(node.param)])
        if op in ("count", "group"):
            return LEVEL
        if power.sign and op in _ADDING_AGGREGATES:
            return self._refuse(node, f"{op} adds up values {power.said()}")
        if op in _KEEPING_AGGREGATES:
            return power
        if op == "stdvar":
            return power if power.any else Power(2 * power.counts, 2 * power.samples)
        return self._of_levels(node, op, [power])

    def _binary(self, node: Any, op: str) -> Power:
        left, right = self.of(node.lhs), self.of(node.rhs)
        if op in ("and", "unless"):
            return left
        if op == "or":
            return _either(left, right)
        if op in ("*", "/"):
            return _product(left, right, 1 if op == "*" else -1)
        if op == "^":
            return self._of_levels(node, op, [left, right])
        if not _alike(left, right):
            sides = f"{_said(node.lhs)} is {left.said()}; {_said(node.rhs)} is {right.said()}"
            return self._refuse(node, sides)
        if op == "atan2" or (op in _COMPARISONS and node.modifier is not None and node.modifier.return_bool):
            return LEVEL
        return _either(left, right)


def _alike(left: Power, right: Power) -> bool:
    """Whether two values can be compared or added up. Two signs can't: each may shrink by a factor of its own."""
    return left.any or right.any or (left == right and not left.sign)


def _either(left: Power, right: Power) -> Power:
    """One value or the other."""
    if left.any or right.any:
        return right if left.any else left
    return left if left == right else SIGN


def _product(left: Power, right: Power, exponent: int) -> Power:
    if left.any or right.any:
        return ANY
    if left.sign or right.sign:
        return SIGN
    return Power(left.counts + exponent * right.counts, left.samples + exponent * right.samples)


def _said(node: Any) -> str:
    return str(node).replace("{}", "")
