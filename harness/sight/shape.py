"""Shape: a rule's expression as one of the few forms whose sight can be computed; all others are refused by name."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser

from harness.alerts import promql
from harness.alerts.selectors import Selector, selector_of
from harness.model.units import say_duration
from harness.sight.rate import FUNCTIONS, Function

_COMPARES: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_TURNED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "==", "!=": "!="}
_LABEL_OF_BUCKETS = "le"
ABSENT_LOOKBACK = 300.0  # seconds: --query.lookback-delta, by default


class OtherShapeError(Exception):
    """This expression is none of the shapes; the message says what in it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """`function(selector[length])`, in seconds. `apart` are the labels by which results are told apart: None without an
    aggregation, where each series stands for itself, empty for one sum of all. `without`: all labels but these."""

    function: Function
    selector: Selector
    length: float
    summed: bool = False
    apart: tuple[str, ...] | None = None
    without: bool = False

    def grouped(self) -> str:
        """By what its results are told apart, in words; empty where there is but one."""
        if self.apart is None:
            return "series"
        if self.without:
            return f"every label but {', '.join(self.apart)}" if self.apart else "series"
        return " and ".join(label for label in self.apart if label != _LABEL_OF_BUCKETS)


@dataclass(frozen=True, slots=True)
class Limit:
    """A comparison with a number."""

    sign: str
    bound: float

    def crossed(self, value: float) -> bool:
        """Whether `value` is beyond it. What differs by the rounding of numbers alone is the bound itself."""
        near = math.isclose(value, self.bound, rel_tol=1e-9, abs_tol=1e-12)
        return _COMPARES[self.sign](self.bound if near else value, self.bound)

    @property
    def upward(self) -> bool:
        """Whether it is large values that cross it."""
        return self.sign in (">", ">=")

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Above:
    """A counter of failures that grows faster than a limit."""

    counter: Counter
    limit: Limit


@dataclass(frozen=True, slots=True)
class Below:
    """A counter of requests that grows more slowly than a limit."""

    counter: Counter
    limit: Limit


@dataclass(frozen=True, slots=True)
class Share:
    """Failures as a part of all requests, larger than a limit."""

    part: Counter
    whole: Counter
    limit: Limit


@dataclass(frozen=True, slots=True)
class Slow:
    """A quantile of a histogram, above a limit."""

    quantile: float
    counter: Counter
    limit: Limit


@dataclass(frozen=True, slots=True)
class Down:
    """A target that can't be scraped: `up == 0`."""

    selector: Selector


@dataclass(frozen=True, slots=True)
class Gone:
    """No series at all: absent(), or absent_over_time() of the last `length` seconds (0: of now)."""

    selector: Selector
    length: float


Shape = Above | Below | Share | Slow | Down | Gone


def shape_of(expr: str) -> Shape:
    """The shape of `expr`. Raises OtherShapeError, saying why, where it has none; ValueError where it is not PromQL."""
    node = _bare(promql.parse(expr))
    if isinstance(node, promql_parser.Call):
        return _absent(node)
    if not isinstance(node, promql_parser.BinaryExpr):
        raise OtherShapeError(f"{_kind(node)} without a comparison")
    if str(node.op) not in _COMPARES:
        raise OtherShapeError(f"`{node.op}` at its top, where a comparison with a number is expected")
    if node.modifier is not None and node.modifier.return_bool:
        raise OtherShapeError("`bool`: it always has a value, so the alert is always active")
    left, right, sign = _bare(node.lhs), _bare(node.rhs), str(node.op)
    if isinstance(left, promql_parser.NumberLiteral):
        left, right, sign = right, left, _TURNED[sign]
    if not isinstance(right, promql_parser.NumberLiteral):
        raise OtherShapeError(f"a comparison of {_kind(left)} with {_kind(right)}, not with a number")
    return _compared(left, Limit(sign, float(right.val)))


def _compared(node: Any, limit: Limit) -> Shape:
    if isinstance(node, promql_parser.VectorSelector):
        return _level(node, limit)
    if isinstance(node, promql_parser.BinaryExpr) and str(node.op) == "/":
        return _share(node, limit)
    if isinstance(node, promql_parser.Call) and node.func.name == "histogram_quantile":
        return _slow(node, limit)
    counter = _counter(node)
    if limit.upward:
        if limit.bound < 0 or (limit.bound == 0 and limit.sign == ">="):
            raise OtherShapeError(f"`{limit}`: it is crossed however little happens")
        return Above(counter, limit)
    if limit.sign == "!=":
        raise OtherShapeError("`!=` of a rate, which is next to never a number exactly")
    return Below(counter, limit)


def _level(node: Any, limit: Limit) -> Shape:
    selector = _selector(node)
    if selector.metric != "up":
        raise OtherShapeError(f"a level ({selector.metric or 'any metric'}) that may move as it likes")
    if limit.crossed(1.0) or not limit.crossed(0.0):
        raise OtherShapeError(f"`up {limit}` is not what a target that is down alone crosses")
    return Down(selector)


def _share(node: Any, limit: Limit) -> Shape:
    part, whole = _counter(_bare(node.lhs)), _counter(_bare(node.rhs))
    if not (part.summed and whole.summed):
        raise OtherShapeError("a ratio without sum(): its sides are paired by all labels, the status too")
    if (part.apart, part.without) != (whole.apart, whole.without) or (node.modifier and node.modifier.matching):
        raise OtherShapeError("a ratio whose sides are not summed by the same labels")
    if (part.function, part.length) != (whole.function, whole.length):
        raise OtherShapeError("a ratio whose sides look at different times")
    if not limit.upward or not 0 <= limit.bound < 1:
        raise OtherShapeError(f"a ratio `{limit}`, which is no share of failures above a limit")
    return Share(part, whole, limit)


def _slow(node: Any, limit: Limit) -> Shape:
    quantile, inner = _bare(node.args[0]), _counter(_bare(node.args[1]))
    if not isinstance(quantile, promql_parser.NumberLiteral) or not 0 < quantile.val < 1:
        raise OtherShapeError("a quantile that is not a number between 0 and 1")
    if not limit.upward:
        raise OtherShapeError(f"a quantile `{limit}`, where slow answers are above a limit")
    buckets = _LABEL_OF_BUCKETS in (inner.apart or ())
    if inner.summed and buckets == inner.without:
        raise OtherShapeError("a quantile of a sum that does not keep `le`")
    return Slow(float(quantile.val), inner, limit)


def _absent(node: Any) -> Shape:
    name = node.func.name
    if name not in ("absent", "absent_over_time"):
        raise OtherShapeError(f"{_kind(node)} without a comparison")
    inner = _bare(node.args[0])
    if name == "absent_over_time" and isinstance(inner, promql_parser.MatrixSelector):
        return Gone(_selector(inner.vector_selector), inner.range.total_seconds())
    if name == "absent" and isinstance(inner, promql_parser.VectorSelector):
        return Gone(_selector(inner), 0.0)
    raise OtherShapeError(f"{name}() of {_kind(inner)}")


def _counter(node: Any) -> Counter:
    node = _bare(node)
    summed, apart, without = False, None, False
    if isinstance(node, promql_parser.AggregateExpr):
        if str(node.op) != "sum":
            raise OtherShapeError(f"{node.op}(): how many healthy series it takes in, the rule does not say")
        summed, without = (
            True,
            node.modifier is not None and node.modifier.type == promql_parser.AggModifierType.Without,
        )
        apart = tuple(sorted(node.modifier.labels)) if node.modifier is not None else ()
        node = _bare(node.expr)
    if not isinstance(node, promql_parser.Call):
        raise OtherShapeError(_kind(node))
    function = next((name for name in FUNCTIONS if name == node.func.name), None)
    if function is None:
        raise OtherShapeError(f"{node.func.name}()")
    inner = _bare(node.args[0])
    if not isinstance(inner, promql_parser.MatrixSelector):
        raise OtherShapeError(f"{node.func.name}() of {_kind(inner)}")
    return Counter(
        function=function,
        selector=_selector(inner.vector_selector),
        length=inner.range.total_seconds(),
        summed=summed,
        apart=apart,
        without=without,
    )


def _selector(node: Any) -> Selector:
    if node.offset is not None or node.at is not None:
        raise OtherShapeError("`offset` or `@`: it looks at another time")
    return selector_of(node)


def _bare(node: Any) -> Any:
    while isinstance(node, promql_parser.ParenExpr):
        node = node.expr
    return node


def _kind(node: Any) -> str:
    """What a node is, for someone who reads the rule."""
    match node:
        case promql_parser.Call():
            return f"{node.func.name}()"
        case promql_parser.AggregateExpr():
            return f"{node.op}()"
        case promql_parser.BinaryExpr():
            return f"`{node.op}`"
        case promql_parser.SubqueryExpr():
            return "a subquery"
        case promql_parser.VectorSelector():
            return f"a level ({node.name or 'any metric'})"
        case promql_parser.UnaryExpr():
            return "a sign"
    return "a number" if isinstance(node, promql_parser.NumberLiteral) else "a range"


def said(shape: Shape) -> str:
    """What the rule looks at, in words."""
    match shape:
        case Above(counter, limit):
            return f"{_said_counter(counter)} {limit} {_unit(counter)}"
        case Below(counter, limit):
            return f"{_said_counter(counter)} {limit} {_unit(counter)}"
        case Share(part, _, limit):
            return f"the share of {_over(part)} in a sum of all, {limit.sign} {limit.bound:.3g}"
        case Slow(quantile, counter, limit):
            return f"the {quantile:g} quantile of {_over(counter)} {limit}"
        case Down():
            return "a target whose scrapes fail"
        case Gone(_, length):
            return f"no series at all{f' for {say_duration(length)}' if length else ''}"


def _said_counter(counter: Counter) -> str:
    return f"{counter.function} of {_over(counter)}, {'summed' if counter.summed else 'each series by itself'},"


def _over(counter: Counter) -> str:
    return f"{counter.selector.metric or 'a counter'} over {say_duration(counter.length)}"


def _unit(counter: Counter) -> str:
    return "in the range" if counter.function == "increase" else "a second"
