"""Which rules have a shape whose sight can be computed, and why the others have none."""

from __future__ import annotations

import pytest

from harness.sight.shape import Above, Below, Down, Gone, OtherShapeError, Share, Slow, shape_of


@pytest.mark.parametrize(
    ("expr", "kind"),
    [
        ('rate(x_total{status="503"}[5m]) > 20', Above),
        ("20 < sum without (path) (increase(x_total[5m]))", Above),
        ("(irate(x_total[1m])) >= 1", Above),
        ("sum by (job) (rate(x_total[2m])) == 0", Below),
        ("sum(rate(a[5m])) / sum(rate(b[5m])) > 0.05", Share),
        ("histogram_quantile(0.95, sum by (le) (rate(x_bucket[5m]))) > 2", Slow),
        ("histogram_quantile(0.5, rate(x_bucket[5m])) > 2", Slow),
        ('up{job="a"} == 0', Down),
        ("up < 1", Down),
        ("up != 1", Down),
        ('absent(up{job="a"})', Gone),
        ("absent_over_time(x[5m])", Gone),
    ],
)
def test_a_common_shape_is_known(expr: str, kind: type) -> None:
    """A rule is known by its tree, however it is written."""
    assert isinstance(shape_of(expr), kind)


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("x > 5", "a level (x)"),
        ("up == 1", "not what a target that is down"),
        ("up >= 0", "not what a target that is down"),
        ("avg(rate(x[5m])) > 1", "avg()"),
        ("count(rate(x[5m]) > 1) > 1", "count()"),
        ("rate(x[5m]) > on(job) y", "a level (y), not with a number"),
        ("rate(x[5m]) > 5 and up == 1", "`and`"),
        ("rate(x[5m]) > bool 5", "`bool`"),
        ("rate(x[5m] offset 5m) > 1", "`offset`"),
        ("rate(x[5m]) / rate(y[5m]) > 0.1", "without sum()"),
        ("sum by (a) (rate(x[5m])) / sum by (b) (rate(y[5m])) > 0.1", "not summed by the same"),
        ("sum(rate(x[5m])) / sum(rate(y[1m])) > 0.1", "different times"),
        ("sum(rate(x[5m])) / sum(rate(y[5m])) < 0.9", "no share of failures"),
        ("histogram_quantile(0.9, sum by (job) (rate(x_bucket[5m]))) > 2", "does not keep `le`"),
        ("max_over_time(rate(x[1m])[5m:]) > 1", "max_over_time()"),
        ("rate(x[5m]) >= 0", "however little"),
        ("rate(x[5m]) != 3", "never a number exactly"),
        ("absent(sum(x))", "absent() of sum()"),
        ("vector(1)", "vector() without a comparison"),
        ("-rate(x[5m]) < -5", "a sign"),
    ],
)
def test_another_shape_is_refused_by_name(expr: str, said: str) -> None:
    """What is not known is not guessed at: the message says what in the rule it is."""
    with pytest.raises(OtherShapeError) as refused:
        shape_of(expr)
    assert said in str(refused.value)
