"""The sandbox's own alerts, compiled for scale 60: each fires on its cause and on no other.

What they do at their bounds is in fixtures/prometheus/tests, see `test_rule_tests`.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from harness.alerts import durations
from harness.alerts.rules import read_rules, scale_rules
from tests.alerts.servers import promtool

ROOT = Path(__file__).parents[2]
FILE = ROOT / "fixtures" / "prometheus" / "sandbox-rules.yml"
TEXT = FILE.read_text(encoding="utf-8")
RULES = read_rules(TEXT, FILE.name)
STEP = 15.0  # seconds between two scrapes, and two evaluations, at scale 1
SETTLED = 32  # steps after which a cause has shown itself, and a `for` of minutes is over
GENERATION = 'job="generation-service",instance="g"'
PROJECT = 'job="project-service",instance="p"'
SCRIPTS = f'{GENERATION},method="POST",path="/api/generation/scripts"'
HEALTH = f'{GENERATION},method="GET",path="/api/generation/health"'
ORDERS = ("rate_limit_emergency", "health_forced", 'endpoint_shed{endpoint="/e"}', 'heavy_jobs_paused{job_type="j"}')


@dataclass(frozen=True)
class Count:
    """A counter that grows by so many a second of the load's own time, which no scale changes."""

    per_second: float


Series = Mapping[str, Count | float]


def scripts(status: str) -> str:
    return f'http_requests_total{{{SCRIPTS},status="{status}"}}'


def bucket(le: str) -> str:
    return f'http_request_duration_seconds_bucket{{{SCRIPTS},le="{le}"}}'


def generation(name: str) -> str:
    metric, _, labels = name.rstrip("}").partition("{")
    return f"{metric}{{{','.join(filter(None, (GENERATION, labels)))}}}"


# A healthy system under 60 requests/s.
HEALTHY: Series = {
    scripts("200"): Count(60),
    scripts("502"): Count(0),
    scripts("503"): Count(0),
    f'http_requests_total{{{HEALTH},status="200"}}': Count(1),
    f"http_request_duration_seconds_count{{{SCRIPTS}}}": Count(60),
    f"http_request_duration_seconds_count{{{HEALTH}}}": Count(1),
    bucket("1"): Count(59),
    bucket("2"): Count(60),
    bucket("5"): Count(60),
    bucket("+Inf"): Count(60),
    generation("llm_pool_in_use"): 10,
    generation("llm_pool_limit"): 24,
    generation("llm_queue_length"): 0,
    generation("llm_queue_limit"): 160,
    generation("service_resident_memory_bytes"): 400e6,
    generation("service_memory_limit_bytes"): 1000e6,
    f"service_resident_memory_bytes{{{PROJECT}}}": 100e6,
    f"service_memory_limit_bytes{{{PROJECT}}}": 0,  # it has none
    generation("service_workers"): 4,
    generation("service_workers_target"): 4,
    generation('cache_requests_total{outcome="hit"}'): Count(10),
    generation('cache_requests_total{outcome="miss"}'): Count(50),
    generation('cache_requests_total{outcome="error"}'): Count(0),
    generation('rag_queries_total{outcome="ok"}'): Count(50),
    generation('rag_queries_total{outcome="error"}'): Count(0),
    generation('circuit_breaker_state{upstream="a"}'): 0,
    generation('circuit_breaker_forced{upstream="a"}'): 0,
    **{generation(order): 0 for order in ORDERS},
    **{f"database_pool_in_use{{{labels}}}": 1 for labels in (GENERATION, PROJECT)},
    **{f"database_pool_limit{{{labels}}}": 5 for labels in (GENERATION, PROJECT)},
    **{f"database_lock_errors_total{{{labels}}}": Count(0) for labels in (GENERATION, PROJECT)},
    **{f"up{{{labels}}}": 1 for labels in (GENERATION, PROJECT)},
    'up{job="frontend",instance="f"}': 1,
    'up{job="toxiproxy",instance="t"}': 1,
}
# What is different, and which alerts that must set off.
CAUSES: Mapping[str, tuple[Series, set[str]]] = {
    "nothing": ({}, set()),
    "slow": ({bucket("1"): Count(40), bucket("2"): Count(56)}, {"SlowAnswers"}),
    "503s": ({scripts("200"): Count(50), scripts("503"): Count(10)}, {"ErrorRatioHigh"}),
    "502s": ({scripts("200"): Count(58.5), scripts("502"): Count(1.5)}, {"ServerErrorsOtherThan503"}),
    "nobody comes": (
        {scripts("200"): Count(0), f"http_request_duration_seconds_count{{{SCRIPTS}}}": Count(0)},
        {"TrafficAbsent"},
    ),
    "pool full": ({generation("llm_pool_in_use"): 23}, {"LlmPoolSaturated"}),
    "queue": ({generation("llm_queue_length"): 100}, {"LlmQueueFilling"}),
    "database pool": ({f"database_pool_in_use{{{PROJECT}}}": 5}, {"DatabasePoolSaturated"}),
    "memory": ({generation("service_resident_memory_bytes"): 860e6}, {"MemoryNearLimit"}),
    "project service down": ({f"up{{{PROJECT}}}": 0}, {"ProjectServiceDown"}),
    "frontend down": ({'up{job="frontend",instance="f"}': 0}, {"DependencyDown"}),
    "fault proxy down": ({'up{job="toxiproxy",instance="t"}': 0}, {"DependencyDown"}),
    "a worker gone": ({generation("service_workers"): 3}, {"WorkerMissing"}),
    "locks": ({f"database_lock_errors_total{{{PROJECT}}}": Count(0.5)}, {"DatabaseLocked"}),
    "cache": ({generation('cache_requests_total{outcome="error"}'): Count(20)}, {"CacheFailing"}),
    "documents": ({generation('rag_queries_total{outcome="error"}'): Count(20)}, {"DocumentSearchFailing"}),
    "breaker open": ({generation('circuit_breaker_state{upstream="a"}'): 1}, {"CircuitBreakerOpen"}),
    "breaker forced": (
        {generation('circuit_breaker_forced{upstream="a"}'): 1, generation('circuit_breaker_state{upstream="a"}'): 1},
        {"CircuitBreakerOpen", "MitigationLeftOn"},
    ),
    **{order: ({generation(order): 1}, {"MitigationLeftOn"}) for order in ORDERS},
}


def test_the_rules_are_told_apart_from_the_runbooks() -> None:
    """Each warns, pages nobody, says that it is the sandbox's, and has a cause in the table."""
    assert all(rule.labels == {"severity": "warning", "source": "sandbox"} for rule in RULES)
    assert {rule.name for rule in RULES} == set().union(*(alerts for _, alerts in CAUSES.values()))
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_prometheus_loads_every_file_of_rules_scaled() -> None:
    """What Prometheus is told to load is mounted there, and is among the files whose times are divided."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    config = yaml.safe_load((ROOT / "fixtures/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    mounts = dict(volume.split(":")[1::-1] for volume in compose["services"]["prometheus"]["volumes"])
    loaded = [mounts[inside] for inside in config["rule_files"]]
    assert loaded == compose["x-gameday"]["time"]["rules"]
    assert f"./{FILE.relative_to(ROOT)}" in loaded


@pytest.mark.parametrize("scale", [30, 60])
def test_the_rules_can_be_scaled(scale: float) -> None:
    """A time scale changes durations alone, and each range keeps enough scrapes."""
    interval = timedelta(seconds=STEP / scale)
    assert len(read_rules(scale_rules(TEXT, scale, source=FILE.name, scrape_interval=interval), "")) == len(RULES)


@pytest.mark.integration
def test_each_alert_fires_on_its_cause_alone(tmp_path: Path) -> None:
    """When a cause has lasted longer than every `for`, its alerts fire and no other does."""
    assert firing(60, tmp_path) == {cause: alerts for cause, (_, alerts) in CAUSES.items()}


def firing(scale: int, folder: Path) -> dict[str, set[str]]:
    """Which alerts fire for each cause, by promtool's word."""
    (folder / "rules.yml").write_text(scale_rules(TEXT, scale, source=FILE.name))
    # promtool does not say of which test it speaks, so each looks at an instant of its own.
    instants = {cause: round(_looked_at(cause, number) * 1000 / scale) for number, cause in enumerate(CAUSES)}
    tests = [_test({**HEALTHY, **change}, instants[cause], STEP / scale) for cause, (change, _) in CAUSES.items()]
    file = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": durations.say(round(STEP * 1000 / scale)),
        "tests": tests,
    }
    (folder / "test.yml").write_text(yaml.safe_dump(file))
    command = [promtool(), "test", "rules", "test.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    # We expected no alert anywhere, so promtool tells us of each one that there was.
    told = re.findall(r"alertname: ?(\w+), time: ?(\w+)", done.stdout + done.stderr)
    assert told, done.stdout + done.stderr
    found = {(name, durations.milliseconds(at)) for name, at in told}
    assert {at for _, at in found} <= set(instants.values())
    assert len(set(instants.values())) == len(CAUSES)
    return {cause: {name for name, at in found if at == instant} for cause, instant in instants.items()}


def _looked_at(cause: str, number: int) -> float:
    """When the alerts of the `number`-th cause are looked at, in seconds at scale 1."""
    held = max((rule.hold.total_seconds() for rule in RULES if rule.name in CAUSES[cause][1]), default=0)
    return (held if held > STEP * SETTLED else 0) + STEP * (SETTLED + number)


def _test(series: Series, instant: int, step: float) -> dict[str, object]:
    """One test of promtool's: `series` scraped every `step` seconds, all alerts looked at after so many ms."""
    count = round(instant / 1000 / step)
    given = [
        {"series": name, "values": f"0+{one.per_second * step}x{count}" if isinstance(one, Count) else f"{one}x{count}"}
        for name, one in series.items()
    ]
    expected = [{"eval_time": durations.say(instant), "alertname": rule.name, "exp_alerts": []} for rule in RULES]
    return {"interval": durations.say(round(step * 1000)), "input_series": given, "alert_rule_test": expected}
