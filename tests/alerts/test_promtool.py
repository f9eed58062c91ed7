"""Prometheus itself, through `promtool test rules`, finds that scaled rules fire at the scaled instants."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import pytest
import yaml

from harness.alerts import durations
from harness.alerts.rules import scale_rules
from tests.alerts.servers import promtool

pytestmark = pytest.mark.integration

STEP = 15_000  # milliseconds between two scrapes, and two evaluations, at scale 1
COUNT = 160  # of them: 40 minutes

# Errors per second at each scrape.
SIGNALS: Mapping[str, Sequence[float]] = {
    "calm": [0.5] * COUNT,
    "step": [0.0] * 20 + [60.0] * 60 + [0.0] * 80,
    "below": [0.0] * 20 + [19.9] * 140,
    "above": [0.0] * 20 + [20.1] * 140,
    "ramp": [0.0] * 10 + [float(k) for k in range(60)] + [60.0 - k for k in range(60)] + [0.0] * 30,
    "spike": [0.0] * 40 + [400.0] * 2 + [0.0] * 118,
    "flapping": ([0.0] * 14 + [70.0] * 9) * 6 + [0.0] * 22,
    "quick flapping": [80.0 * (k // 3 % 2) for k in range(COUNT)],
}
# `what` must fire for at least these signals, so that no row proves nothing.
RULES = [
    pytest.param(
        {"expr": 'rate(errors_total{status="503"}[5m]) > 20', "for": "2m"}, {"step", "ramp"}, id="the runbook's"
    ),
    pytest.param({"expr": "up == 0", "for": "1m"}, {"step", "ramp"}, id="the runbook's other"),
    pytest.param({"expr": "rate(errors_total[1m]) > 20"}, {"step", "spike"}, id="no for"),
    pytest.param({"expr": "irate(errors_total[2m]) > 20", "for": "30s"}, {"step", "quick flapping"}, id="irate"),
    pytest.param(
        {"expr": "rate(errors_total[2m]) > 20", "for": "1m", "keep_firing_for": "5m"},
        {"step", "flapping"},
        id="keep firing",
    ),
    pytest.param(
        {"expr": "increase(errors_total[5m]) / increase(all_total[5m]) > 0.1", "for": "1m"},
        {"step"},
        id="ratio of counts",
    ),
    pytest.param({"expr": "max_over_time(rate(errors_total[2m])[10m:1m]) > 30"}, {"step", "flapping"}, id="subquery"),
    pytest.param({"expr": "avg_over_time(rate(errors_total[2m])[6m:]) > 30"}, {"step"}, id="subquery, default step"),
    pytest.param(
        {"expr": "rate(errors_total[2m]) > 2 * (rate(errors_total[2m] offset 5m) + 1)", "for": "30s"},
        {"step"},
        id="offset",
    ),
    pytest.param({"expr": "avg_over_time(up[5m]) < 0.5", "for": "1m"}, {"step"}, id="gauge"),
    pytest.param({"expr": "quantile_over_time(0.2, up[5m]) < 1"}, {"step", "flapping"}, id="quantile"),
    pytest.param({"expr": "sum_over_time(up[5m]) / count_over_time(up[5m]) < 0.6"}, {"step"}, id="samples cancel"),
    pytest.param({"expr": "increase(errors_total[3m]) > 0", "for": "2m"}, {"step", "calm"}, id="count against zero"),
    pytest.param({"expr": "changes(up[5m]) > 0"}, {"step"}, id="changes against zero"),
    pytest.param({"expr": "absent_over_time(up{job='nobody'}[5m])", "for": "2m"}, {"nobody"}, id="absent"),
    pytest.param(
        {"expr": "rate(errors_total[2m]) > 20 and on(job) avg_over_time(up[10m]) < 0.9"}, {"step", "flapping"}, id="and"
    ),
]


@pytest.mark.parametrize(("rule", "fires_for"), RULES)
def test_firing_instants_scale_exactly(rule: dict[str, str], fires_for: set[str], tmp_path: Path) -> None:
    """At scales 30 and 60 an alert fires at the very evaluations at which it fires at scale 1."""
    text = yaml.safe_dump({"groups": [{"name": "g", "interval": "15s", "rules": [{"alert": "A", **rule}]}]})
    real = firing(text, 1, tmp_path)
    assert {signal for signal, _ in real} >= fires_for
    for scale in (30, 60):
        assert firing(scale_rules(text, scale, source="rules.yml"), scale, tmp_path) == real


def test_at_a_scale_that_divides_nothing_it_stays_within_an_evaluation(tmp_path: Path) -> None:
    """Where milliseconds must be rounded, the first firing instant is off by one evaluation at most."""
    rule = {"alert": "A", "expr": "rate(errors_total[5m]) > 20", "for": "2m"}
    text = yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]})
    real, scaled = firing(text, 1, tmp_path), firing(scale_rules(text, 7, source="rules.yml"), 7, tmp_path)
    for signal in ("step", "ramp"):
        first, other = (min(index for name, index in found if name == signal) for found in (real, scaled))
        assert abs(first - other) <= 1


def test_a_rule_left_unscaled_fires_at_other_instants(tmp_path: Path) -> None:
    """The comparison can fail: without the compiler the instants differ."""
    text = yaml.safe_dump({"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "up == 0", "for": "1m"}]}]})
    assert firing(text, 60, tmp_path) != firing(text, 1, tmp_path)


def firing(rules: str, scale: int, folder: Path) -> set[tuple[str, int]]:
    """Which signals' alerts fire at which evaluations (by number), with scrapes `scale` times as often.

    The load is not scaled: errors per second stay, so a counter grows `scale` times less from scrape to scrape.
    """
    (folder / "rules.yml").write_text(rules)
    step = durations.say(round(STEP / scale))
    series = [one for name, rates in SIGNALS.items() for one in _series(name, rates, STEP / 1000 / scale)]
    every = [durations.say(round(STEP / scale) * number) for number in range(COUNT)]
    expected = [{"eval_time": at, "alertname": "A", "exp_alerts": []} for at in every]
    test = {"interval": step, "input_series": series, "alert_rule_test": expected}
    file = {"rule_files": ["rules.yml"], "evaluation_interval": step, "tests": [test]}
    (folder / "test.yml").write_text(yaml.safe_dump(file))
    command = [promtool(), "test", "rules", "test.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert "error" not in done.stderr.lower(), done.stderr
    # We expected no alert anywhere, so promtool tells us of each one that there was.
    found: set[tuple[str, int]] = set()
    for at, said in re.findall(r"time: (\w+),(.*?)(?=alertname:|\Z)", done.stdout + done.stderr, re.DOTALL):
        jobs = re.findall(r'Labels:\{[^}]*?job="([^"]*)"', said) or [""]
        found |= {(job, durations.milliseconds(at) // round(STEP / scale)) for job in jobs}
    return found


def _series(name: str, rates: Sequence[float], seconds: float) -> list[dict[str, str]]:
    errors = accumulate(rate * seconds for rate in rates)
    everything = accumulate(100 * seconds for _ in rates)
    up = (0 if rate > 20 else 1 for rate in rates)
    labels = f'{{job="{name}",status="503"}}'
    values = {"errors_total": errors, "all_total": everything, "up": up}
    return [
        {"series": metric + labels, "values": " ".join(f"{value:.6f}" for value in one)}
        for metric, one in values.items()
    ]
