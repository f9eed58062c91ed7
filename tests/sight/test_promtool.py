"""Prometheus itself, through `promtool test rules`, finds that alerts fire at the evaluations that are computed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.alerts import durations
from harness.sight.outage import Outage, Phase, duty, failures, requests
from harness.sight.rate import Edition, Samples
from harness.sight.schedule import Schedule
from harness.sight.shape import shape_of
from harness.sight.states import Watched, fired
from tests.alerts.servers import promtool

pytestmark = pytest.mark.integration

STEP, BEGAN, COUNT = 15, 600, 160  # seconds between samples and evaluations; when it begins; how many there are
# Outages by name, with how long before the next scrape they begin and what was counted before.
OUTAGES: dict[str, tuple[Outage, float, float]] = {
    "below": (Outage(traffic=19.9), 7, 0),
    "just above": (Outage(traffic=20.2), 7, 500),
    "early": (Outage(traffic=60), 14, 0),
    "late": (Outage(traffic=60), 1, 500),
    "in a burst": (Outage(traffic=400, spells=((0, 20),)), 8, 0),
    "short": (Outage(traffic=60, spells=((0, 90),)), 5, 0),
    "long enough": (Outage(traffic=60, spells=((0, 110),)), 5, 0),
    "over": (Outage(traffic=60, spells=((0, 400),)), 9, 500),
    "half": (Outage(traffic=60, share=0.5), 4, 0),
    "a little": (Outage(traffic=60, share=0.04), 4, 0),
    "flapping": (Outage(traffic=80, spells=duty(50, 130, 8)), 3, 0),
    "quickly": (Outage(traffic=80, spells=duty(40, 25, 20)), 11, 500),
    "new series": (Outage(traffic=60, new=True), 6, 0),
    "restarts": (Outage(traffic=45, restarts=tuple(61.0 * n for n in range(1, 12))), 6, 500),
    "lost scrapes": (Outage(traffic=60, missed=((20.0, 70.0), (140.0, 160.0))), 6, 500),
    "lost at its beginning": (Outage(traffic=25, missed=((0.0, 100.0),)), 6, 0),
}
RULES = {
    "Rate": ('rate(errors_total[5m]) > 20', 120, 0),
    "Increase": ("increase(errors_total[2m]) >= 3000", 60, 0),
    "Irate": ("irate(errors_total[1m]) > 30", 30, 0),
    "Keeps": ("sum by (job) (rate(errors_total[2m])) > 20", 60, 120),
    "Ratio": ("sum by (job) (rate(errors_total[5m])) / sum by (job) (rate(all_total[5m])) > 0.05", 120, 0),
    "Quantile": ("histogram_quantile(0.9, sum by (job, le) (rate(took_bucket[2m]))) > 2", 60, 0),
    "Down": ("up == 0", 60, 0),
}  # fmt: skip


def test_alerts_fire_when_it_is_computed(tmp_path: Path) -> None:
    """For sixteen outages and seven shapes of rules the firing evaluations are those of Prometheus, one by one."""
    measured = _promtool(tmp_path)
    edition = _edition()
    computed = {(rule, name, at) for rule in RULES for name in OUTAGES for at in _computed(rule, name, edition)}
    assert computed == measured
    assert {rule for rule, _, _ in measured} == set(RULES)  # each fires for some, and no row proves nothing
    assert len({(rule, name) for rule, name, _ in measured}) < len(RULES) * len(OUTAGES)


def _edition() -> Edition:
    said = subprocess.run([promtool(), "--version"], capture_output=True, text=True, timeout=10, check=True)
    found = re.search(r"version (\d+)\.(\d+)", said.stdout + said.stderr)
    assert found
    return Edition.of((int(found[1]), int(found[2])))


def _phase(name: str) -> Phase:
    _, early, before = OUTAGES[name]
    return Phase(early, early, before)


def _computed(rule: str, name: str, edition: Edition) -> Iterator[int]:
    expr, hold, keep = RULES[rule]
    schedule = Schedule(scrape=STEP, timeout=10, evaluation=STEP)
    watched = Watched(shape=shape_of(expr), hold=hold, keep=keep, schedule=schedule, edition=edition)
    outage, early, _ = OUTAGES[name]
    for one in fired(watched, outage, _phase(name)):
        at = one.began
        while at < one.ended and (number := round((at - early + BEGAN) / STEP)) < COUNT:
            yield number
            at += STEP


def _promtool(folder: Path) -> set[tuple[str, str, int]]:
    rules = [
        {"alert": name, "expr": expr, "for": f"{hold}s", **({"keep_firing_for": f"{keep}s"} if keep else {})}
        for name, (expr, hold, keep) in RULES.items()
    ]
    series = [one for name in OUTAGES for one in _series(name)]
    expected = [
        {"eval_time": f"{STEP * number}s", "alertname": name, "exp_alerts": []}
        for number in range(COUNT)
        for name in RULES
    ]
    test = {"interval": f"{STEP}s", "input_series": series, "alert_rule_test": expected}
    file = {"rule_files": ["rules.yml"], "evaluation_interval": f"{STEP}s", "tests": [test]}
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))
    (folder / "test.yml").write_text(yaml.safe_dump(file))
    done = subprocess.run(
        [promtool(), "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    found = set()
    for rule, at, said in re.findall(
        r"alertname: (\w+), time: (\w+),(.*?)(?=alertname: \w+, time:|\Z)", done.stdout + done.stderr, re.DOTALL
    ):
        number = durations.milliseconds(at) // 1000 // STEP
        found |= {(rule, job, number) for job in re.findall(r'Labels:\{[^}]*?job="([^"]*)"', said)}
    assert found, done.stdout + done.stderr
    return found


def _series(name: str) -> Iterator[dict[str, str]]:
    outage, early, _ = OUTAGES[name]
    ended = (COUNT - 1) * STEP - BEGAN + early
    first = early - BEGAN
    part = _points(failures(outage, _phase(name), STEP, first, ended))
    whole = _points(requests(outage, _phase(name), STEP, first, ended))
    grid = [first + STEP * number for number in range(COUNT)]
    yield {"series": f'errors_total{{job="{name}"}}', "values": _said(grid, part)}
    yield {"series": f'all_total{{job="{name}"}}', "values": _said(grid, whole)}
    for bound in ("5", "+Inf"):  # a quantile in the last bucket is the bound before it, so there is one above the limit
        yield {"series": f'took_bucket{{job="{name}",le="{bound}"}}', "values": _said(grid, whole)}
    fast = {at: value - part.get(at, 0.0) for at, value in whole.items()}
    yield {"series": f'took_bucket{{job="{name}",le="2"}}', "values": _said(grid, fast)}
    up = {at: 0.0 if outage.on(at) or not outage.scraped(at) else 1.0 for at in grid}
    yield {"series": f'up{{job="{name}"}}', "values": _said(grid, up)}


def _points(samples: Samples) -> dict[float, float]:
    return dict(samples.points())


def _said(grid: list[float], points: dict[float, float]) -> str:
    return " ".join(f"{points[at]:.9f}" if at in points else "_" for at in grid)
