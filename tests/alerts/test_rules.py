"""What the compiler of rules rewrites, what it leaves alone, and what it refuses."""

from __future__ import annotations

from datetime import timedelta

import promql_parser
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.alerts import durations
from harness.alerts.promql import memory, scale_durations
from harness.alerts.rules import read_rules, scale_rules
from harness.errors import UsageError
from harness.model.units import seconds

RUNBOOK = """\
# The runbook's alerts, literally.
groups:
  - name: runbook
    rules:
      - alert: HTTP503ErrorSpike
        expr: rate(http_requests_total{status="503"}[5m]) > 20
        for: 2m
        labels: {severity: critical}

      - alert: CriticalServiceDown
        expr: up{job="generation-service"} == 0
        for: 1m
        labels: {severity: critical, pager: "true"}
        annotations: {summary: "Generation service is completely down"}
"""


def rule(expr: str, **more: str) -> str:
    """A rules file with one alert."""
    return yaml.safe_dump({"groups": [{"name": "g", "rules": [{"alert": "A", "expr": expr, **more}]}]})


def compiled(expr: str, scale: float = 60, **more: str) -> str:
    """What becomes of an alert's expression."""
    return read_rules(scale_rules(rule(expr, **more), scale, source="rules.yml"), "rules.yml")[0].expr


def refusals(text: str, scale: float = 60, scrape_interval: timedelta | None = None) -> tuple[str, ...]:
    """Why a rules file can't be scaled."""
    with pytest.raises(UsageError) as caught:
        scale_rules(text, scale, source="rules.yml", scrape_interval=scrape_interval)
    return caught.value.problems


def test_the_runbooks_rules_are_divided_by_the_scale() -> None:
    """Ranges and `for` are divided; thresholds, labels, annotations, comments and layout stay."""
    expected = (
        RUNBOOK.replace("for: 2m", "for: 2s")
        .replace("for: 1m", "for: 1s")
        .replace(
            'expr: rate(http_requests_total{status="503"}[5m]) > 20',
            "expr: 'rate(http_requests_total{status=\"503\"}[5s]) > 20'",
        )
        .replace('expr: up{job="generation-service"} == 0', "expr: 'up{job=\"generation-service\"} == 0'")
    )
    assert scale_rules(RUNBOOK, 60, source="rules.yml", scrape_interval=seconds(0.25)) == expected


def test_scale_1_leaves_the_text_as_it_is() -> None:
    """In real time nothing is rewritten, and what can't be scaled is no problem."""
    text = rule("time() - started > 300 and increase(errors_total[5m]) > 5")
    assert scale_rules(text, 1, source="rules.yml") == text


@pytest.mark.parametrize("scale", [0, -1, 0.5, 1001, float("nan"), float("inf")])
def test_an_impossible_scale_is_refused(scale: float) -> None:
    """Time can't stand still, go back, or outrun Prometheus."""
    with pytest.raises(UsageError, match="time scale"):
        scale_rules(RUNBOOK, scale, source="rules.yml")


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("rate(x[5m]) > 5", "rate(x[5s]) > 5"),
        ("x offset 5m > 3", "x offset 5s > 3"),
        ("x offset -5m > 3", "x offset -5s > 3"),
        ("rate(x[5m] offset 1h) > 3", "rate(x[5s] offset 60s) > 3"),
        ("max_over_time(rate(x[5m])[30m:1m]) > 1", "max_over_time(rate(x[5s])[30s:1s]) > 1"),
        ("max_over_time(rate(x[5m])[30m:]) > 1", "max_over_time(rate(x[5s])[30s:]) > 1"),
        ("max_over_time(rate(x[5m])[30m:1m] offset 2m) > 1", "max_over_time(rate(x[5s])[30s:1s] offset 2s) > 1"),
        ("rate(x[1m30s]) > 5", "rate(x[1500ms]) > 5"),
        ("rate(x[300]) > 5", "rate(x[5s]) > 5"),
        ('x{a="[5m] offset 5m"} > 5', 'x{a="[5m] offset 5m"} > 5'),
        ("x{a='[5m]'} > 5", "x{a='[5m]'} > 5"),
        ("x{a=~`\\d[5m]`} > 5", "x{a=~`\\d[5m]`} > 5"),
        ('x{a=~"a\\\\.b\\"[5m]"} > 5', 'x{a=~"a\\\\.b\\"[5m]"} > 5'),
        ("rate(x[5m]) # over [5m]\n > 5", "rate(x[5s]) # over [5m]\n > 5"),
        ("sum by (offset) (x) > 5", "sum by (offset) (x) > 5"),
        ('x{offset="5m"} offset 5m > 5', 'x{offset="5m"} offset 5s > 5'),
        ("my_offset > 5", "my_offset > 5"),
        ("topk(3, rate(x[5m])) > 5", "topk(3, rate(x[5s])) > 5"),
        ("rate(x[5m]) > 5e-3", "rate(x[5s]) > 5e-3"),
    ],
)
def test_only_durations_are_rewritten(expr: str, expected: str) -> None:
    """Ranges, subqueries and offsets are divided wherever they stand; strings, comments and names are left alone."""
    assert compiled(expr) == expected


@pytest.mark.parametrize(
    "expr",
    [
        "rate(x[5m]) > 20",
        "sum(rate(a[5m])) / sum(rate(b[5m])) > 0.01",
        "increase(a[5m]) / increase(b[5m]) > 0.1",
        "increase(a[5m]) > 2 * increase(a[5m] offset 1h)",
        "increase(a[5m]) - increase(b[5m]) > 0",
        "increase(a[5m]) > 0",
        "0 < increase(a[5m])",
        "(increase(a[5m]) or vector(0)) == 0",
        "histogram_quantile(0.9, sum by (le) (increase(h_bucket[5m]))) > 2",
        "rate(h_sum[5m]) / rate(h_count[5m]) > 2",
        "avg_over_time(up[5m]) < 0.9",
        "quantile_over_time(0.9, queue[5m]) > 5",
        "sum_over_time(up[5m]) / count_over_time(up[5m]) < 0.9",
        "delta(queue[5m]) > 0",
        "changes(up[5m]) > 0",
        "resets(a_total[5m]) != 0",
        "sgn(deriv(queue[5m])) == 1",
        "absent(up{job='x'})",
        "absent_over_time(a_total[5m]) == 1",
        "count(increase(a[5m]) > 0) > 3",
        "a_total < Inf",
        "max_over_time(rate(a[1m])[30m:1m]) > 3",
        "increase(a_total[5m])",
        "rate(a[5m]) > 3 unless on() increase(b[5m]) > 0",
        "rate(a[5m]) * 300 > 10",
        "-rate(a[5m]) < -3",
        "topk(3, rate(a[5m])) > bool 5",
    ],
)
def test_what_means_the_same_is_scaled(expr: str) -> None:
    """Levels, rates, ratios of counts and comparisons with zero keep their meaning."""
    assert compiled(expr)


@pytest.mark.parametrize(
    ("expr", "why"),
    [
        ("time() - started > 300", "clock"),
        ("timestamp(x) > 5", "clock"),
        ("hour() > 8", "clock"),
        ("hour(x) > 8", "clock"),
        ("x > 5 and on() day_of_week() == 1", "clock"),
        ("vector(time()) > 1", "clock"),
        ("predict_linear(disk[1h], 14400) < 0", "seconds"),
        ("double_exponential_smoothing(x[5m], 0.5, 0.5) > 3", "sample to sample"),
        ("x @ 1609746000 > 3", "instant"),
        ("rate(x[5m] @ end()) > 3", "instant"),
        ("max_over_time(x[5m:1m] @ start()) > 3", "instant"),
        ("increase(x[5m]) > 10", "count"),
        ("10 < increase(x[5m])", "count"),
        ("increase(x[5m]) > bool 10", "count"),
        ("sum(increase(x[5m])) + 1 > 0", "count"),
        ("(increase(x[5m]) or vector(0)) > 10", "count"),
        ("increase(x[5m]) / rate(y[5m]) > 10", "count"),
        ("increase(x[5m]) * increase(y[5m]) > 10", "count"),
        ("rate(y[5m]) / increase(x[5m]) > 10", "grows"),
        ("round(increase(x[5m])) > 0", "count"),
        ("clamp_max(increase(x[5m]), 5) > 0", "count"),
        ("errors_total > 100", "count"),
        ("h_count > 100", "count"),
        ('{__name__="errors_total"} > 100', "count"),
        ('{__name__=~"errors_.+"} > 100', "sign"),
        ("quantile(0.5, errors_total) > 4", "count"),
        ("topk(3, errors_total) > 4", "count"),
        ("stdvar(errors_total) > 4", "count"),
        ("count_values('v', errors_total) > 4", "count"),
        ("count(errors_total > 100) > 1", "count"),
        ("max_over_time(errors_total[5m]) - min_over_time(errors_total[5m]) > 5", "count"),
        ("delta(queue[5m]) > 5", "sign"),
        ("idelta(queue[5m]) > 5", "sign"),
        ("deriv(queue[5m]) > 0.5", "sign"),
        ("changes(up[5m]) > 3", "sign"),
        ("resets(x[5m]) > 3", "sign"),
        ("delta(a[5m]) > delta(b[5m])", "sign"),
        ("delta(a[5m]) / delta(b[5m]) > 2", "sign"),
        ("sum(delta(a[5m])) > 0", "sign"),
        ("(increase(a[5m]) or rate(a[5m])) > 5", "sign"),
        ("count_over_time(up[5m]) < 3", "samples"),
        ("sum_over_time(up[5m]) < 3", "samples"),
        ("count_over_time((x > 5)[30m:1m]) > 10", "samples"),
        ("rate(queue[5m:1m]) > 3", "other than a counter"),
        ("info(x) > 3", "not known"),
        ("topk(scalar(errors_total), x) > 3", "count"),
        ("quantile_over_time(scalar(errors_total), x[5m]) > 3", "count"),
    ],
)
def test_what_would_mean_something_else_is_refused(expr: str, why: str) -> None:
    """A comparison that holds at another instant once observation is faster is refused, and the reason said."""
    problems = refusals(rule(expr))
    assert any(why in problem for problem in problems), problems
    assert all("rules.yml, group g, alert A" in problem for problem in problems)


def test_a_recording_rule_must_record_a_level() -> None:
    """Who reads a recorded series can't know that it shrinks, so a recorded count is refused."""
    recorded = "groups: [{name: g, rules: [{record: 'job:errors:increase5m', expr: 'sum(increase(x[5m]))'}]}]"
    assert "records a count" in refusals(recorded)[0]
    level = recorded.replace("increase", "rate")
    assert "[5s]" in scale_rules(level, 60, source="rules.yml")


def test_every_problem_is_listed_at_once() -> None:
    """One run shows all that must be mended, by file, group, rule and expression."""
    text = """
groups:
  - name: one
    rules:
      - {alert: A, expr: 'increase(a[5m]) > 10 and on() hour() > 4'}
      - {alert: B, expr: x > 1, for: 30ms}
  - name: two
    interval: 30ms
    rules:
      - {record: C, expr: 'increase(a[5m])'}
      - {alert: D, expr: x > 1, snooze_for: 5m}
"""
    problems = refusals(text)
    assert len(problems) == 6
    for expected in ("one, alert A", "one, alert B", "group two: `interval`", "two, record C", "`snooze_for: 5m`"):
        assert any(expected in problem for problem in problems), expected


def test_what_is_no_rules_file_is_said_with_all_its_problems() -> None:
    """Syntax errors name the group and the alert, whatever the scale."""
    text = """
groups:
  - name: g
    rules:
      - {alert: A, expr: 'rate(x[5m) > 1', for: 5x}
      - {alert: B}
      - {expr: x}
"""
    for scale in (1.0, 60.0):
        problems = refusals(text, scale)
        assert len(problems) == 4
        assert "group g, alert A" in problems[0]


@pytest.mark.parametrize("text", ["a: [", "a: 1\n---\nb: 2", "x: 1", "- a", "\t"])
def test_what_is_no_yaml_mapping_of_groups_is_refused(text: str) -> None:
    """Anything but one YAML document with groups is refused, with the file's name."""
    with pytest.raises(UsageError, match=r"rules\.yml"):
        scale_rules(text, 60, source="rules.yml")


def test_a_range_that_spans_too_few_scrapes_is_refused() -> None:
    """Four scrapes must fit into a range: 30 s at scale 60 hold two of 250 ms."""
    assert "at least" in refusals(rule("rate(x[30s]) > 1"), 60, seconds(0.25))[0]
    assert scale_rules(rule("rate(x[1m]) > 1"), 60, source="r", scrape_interval=seconds(0.25))


def test_an_alias_is_divided_once() -> None:
    """A value that YAML repeats by an alias is written, and divided, once."""
    text = """
groups:
  - name: g
    rules:
      - &base {alert: A, expr: x > 1, for: &wait 5m}
      - {alert: B, expr: y > 1, for: *wait}
      - {<<: *base, alert: C}
"""
    rules = read_rules(scale_rules(text, 60, source="rules.yml"), "rules.yml")
    assert [rule.hold for rule in rules] == [seconds(5)] * 3


def test_a_block_of_several_lines_keeps_its_lines() -> None:
    """An expression in a block keeps its line breaks: a comment in it must not swallow the rest."""
    text = """
groups:
  - name: g
    rules:
      - alert: A
        expr: |
          # over five minutes [5m]
          rate(x[5m])
            > 20
        for: 2m
      - alert: B
        expr: >-
          rate(y[5m])
          > 20
"""
    first, second = read_rules(scale_rules(text, 60, source="rules.yml"), "rules.yml")
    assert first.expr == "# over five minutes [5m]\nrate(x[5s])\n  > 20\n"
    assert (first.hold, second.expr) == (seconds(2), "rate(y[5s]) > 20")


# -- durations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"), [("5m", 300_000), ("1h30m", 5_400_000), ("250ms", 250), ("0", 0), ("1d", 86_400_000)]
)
def test_durations_are_read_as_prometheus_writes_them(text: str, count: int) -> None:
    """Prometheus' notation is read in milliseconds."""
    assert durations.milliseconds(text) == count


@pytest.mark.parametrize("text", ["", "5", "m", "5m5h", "-5m", "5 m", "5M", "1.5m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """What Prometheus would not take is not guessed at."""
    with pytest.raises(ValueError, match="not a duration"):
        durations.milliseconds(text)


@pytest.mark.parametrize(("text", "scale"), [("30ms", 60), ("5ms", 2), ("10ms", 6)])
def test_durations_below_the_resolution_are_refused(text: str, scale: float) -> None:
    """What Prometheus can't tell from zero, or only with a large error, is refused."""
    with pytest.raises(ValueError, match="ms"):
        durations.scaled(text, scale)


@given(count=st.integers(1000, 10**9), scale=st.floats(1, 10))
def test_a_scaled_duration_is_within_a_percent(count: int, scale: float) -> None:
    """Rounding to milliseconds never shifts a duration by more than a percent."""
    result = durations.milliseconds(durations.scaled(durations.say(count), scale))
    assert abs(result - count / scale) <= 0.01 * count / scale


_DURATIONS = st.integers(1, 500).map(lambda minutes: f"{minutes}m")
_SELECTORS = st.sampled_from(["x", 'x{a="[5m]"}', "{b=~`[1m]`}", 'x{offset="5m"}', "my:offset"])
_OFFSETS = st.one_of(
    st.just(""), _DURATIONS.map(lambda one: f" offset {one}"), _DURATIONS.map(lambda one: f" offset -{one}")
)
_RATES = st.tuples(_SELECTORS, _DURATIONS, _OFFSETS).map(lambda one: f"rate({one[0]}[{one[1]}]{one[2]})")
_EXPRESSIONS = st.recursive(
    _RATES,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda one: f"{one[0]} / {one[1]}"),
        st.tuples(inner, _DURATIONS, _OFFSETS).map(lambda one: f"max_over_time(({one[0]})[{one[1]}:]{one[2]})"),
        inner.map(lambda one: f"sum by (offset) ({one}) # [5m]\n"),
    ),
    max_leaves=4,
)


@given(_EXPRESSIONS)
def test_dividing_and_multiplying_again_gives_the_same_tree(expr: str) -> None:
    """Nothing but durations changes, and they by the scale: undone, the syntax tree is the old one."""
    assert str(promql_parser.parse(_undone(scale_durations(expr, 60)))) == str(promql_parser.parse(expr))


def _undone(expr: str) -> str:
    """`expr`, whose durations are whole seconds, with minutes for seconds wherever they are no part of a string."""
    pieces = expr.replace('"[5m]"', "\0").replace("`[1m]`", "\1").replace('"5m"', "\2").replace("# [5m]", "\3")
    pieces = "".join(
        "m" if one == "s" and before.isdigit() else one for before, one in zip(" " + pieces, pieces, strict=False)
    )
    return pieces.replace("\0", '"[5m]"').replace("\1", "`[1m]`").replace("\2", '"5m"').replace("\3", "# [5m]")


@pytest.mark.parametrize(
    ("expr", "seconds_back"),
    [
        ("rate(a[5m]) > 20", 300),
        ("rate(a[5m]) > 20 and rate(b[1m]) > 1", 60),
        ("rate(a[5m]) > 20 and b > 1", 0),
        ("b > 1", 0),
        ("max_over_time(b[5m:1m])", 0),
        ("vector(1) > 0", 0),
    ],
)
def test_an_expression_remembers_as_far_back_as_its_shortest_range(expr: str, seconds_back: float) -> None:
    """What reads the present value of anything remembers nothing."""
    assert memory(expr) == seconds(seconds_back)
