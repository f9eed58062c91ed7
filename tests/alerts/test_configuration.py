"""What becomes of Prometheus' and Alertmanager's own configuration at another time scale."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from harness.alerts.configuration import longest_scrape, scale_alertmanager, scale_prometheus
from harness.errors import UsageError
from harness.model.units import seconds

PROMETHEUS = """\
# How often we look.
global:
  scrape_interval: 15s
  scrape_timeout: 10s
  evaluation_interval: 15s
rule_files: [/etc/prometheus/rules.yml]
scrape_configs:
  - job_name: a  # the usual
    static_configs: [{targets: ["a:1"]}]
  - job_name: slow
    scrape_interval: 1m
    scrape_timeout: 500ms
    dns_sd_configs: [{names: [x], refresh_interval: 30s}]
"""
ALERTMANAGER = """\
route:
  receiver: r
  group_by: [alertname]
  group_wait: 30s
  routes:
    - {receiver: q, repeat_interval: 1h, routes: [{receiver: z, group_interval: 2m}]}
receivers: [{name: r, webhook_configs: [{url: "http://receiver:9099/5m", timeout: 10s}]}]
"""


def test_intervals_are_divided_and_all_else_is_left() -> None:
    """Scrapes, evaluations and discovery speed up; a scrape's own time is only limited to its interval."""
    expected = (
        PROMETHEUS.replace("scrape_interval: 15s", "scrape_interval: 250ms")
        .replace("evaluation_interval: 15s", "evaluation_interval: 250ms")
        .replace("scrape_timeout: 10s", "scrape_timeout: 250ms")
        .replace("scrape_interval: 1m", "scrape_interval: 1s")
        .replace("refresh_interval: 30s", "refresh_interval: 500ms")
    )
    assert scale_prometheus(PROMETHEUS, 60, source="prometheus.yml") == expected


@pytest.mark.parametrize("text", [PROMETHEUS, "global: {scrape_interval: 15s}\n"])
def test_scale_1_leaves_the_text_as_it_is(text: str) -> None:
    """In real time nothing is rewritten, defaults are not written out either."""
    assert scale_prometheus(text, 1, source="prometheus.yml") == text


@pytest.mark.parametrize(
    "text",
    [
        "scrape_configs: []\n",
        "global:\nscrape_configs: []\n",
        "global: {}\n",
        "global: ~\n",
        "{}",
        "global:\n  # none\nx: 1\n",
    ],
)
def test_intervals_left_to_the_defaults_are_written_out(text: str) -> None:
    """Prometheus' defaults (a minute) would not be scaled by themselves."""
    plain = yaml.safe_load(scale_prometheus(text, 60, source="prometheus.yml"))
    assert plain["global"] == {"scrape_interval": "1s", "evaluation_interval": "1s"}


def test_one_missing_interval_is_put_beside_the_other() -> None:
    """A mapping in either style takes a new entry."""
    block = scale_prometheus("global:\n  scrape_interval: 30s\n", 60, source="p")
    flow = scale_prometheus("{global: {scrape_interval: 30s}}", 60, source="p")
    expected = {"global": {"scrape_interval": "500ms", "evaluation_interval": "1s"}}
    assert yaml.safe_load(block) == yaml.safe_load(flow) == expected


def test_the_longest_scrape_interval_is_found() -> None:
    """The slowest job decides how short a range may be."""
    assert longest_scrape(PROMETHEUS, source="p") == seconds(60)
    assert longest_scrape(scale_prometheus(PROMETHEUS, 60, source="p"), source="p") == seconds(1)
    assert longest_scrape("global: {scrape_interval: 5s}", source="p") == seconds(5)
    assert longest_scrape("{}", source="p") == seconds(60)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "global: {scrape_interval: 15}",
        "global: {evaluation_interval: soon}",
        "scrape_config_files: [a.yml]",
        "a: [",
    ],
)
def test_what_can_not_be_scaled_is_refused(text: str) -> None:
    """What is no configuration, no duration, or out of our sight is refused, with the file's name."""
    with pytest.raises(UsageError, match=r"prometheus\.yml"):
        scale_prometheus(text, 60, source="prometheus.yml")


def test_alertmanagers_waits_are_divided_at_every_level() -> None:
    """Every route's waits are divided, the root's defaults written out; timeouts and addresses are left alone."""
    plain: dict[str, Any] = yaml.safe_load(scale_alertmanager(ALERTMANAGER, 60, source="am.yml"))
    expected = yaml.safe_load(ALERTMANAGER)
    expected["global"] = {"resolve_timeout": "5s"}
    expected["route"] |= {"group_wait": "500ms", "group_interval": "5s", "repeat_interval": "240s"}
    expected["route"]["routes"][0]["repeat_interval"] = "60s"
    expected["route"]["routes"][0]["routes"][0]["group_interval"] = "2s"
    assert plain == expected


def test_a_route_that_follows_the_time_of_day_is_refused() -> None:
    """Nights do not get shorter."""
    text = "route: {receiver: r, routes: [{receiver: q, mute_time_intervals: [night]}]}"
    with pytest.raises(UsageError, match="times of day"):
        scale_alertmanager(text, 60, source="am.yml")
    assert scale_alertmanager(text, 1, source="am.yml") == text


@pytest.mark.parametrize("text", ["", "receivers: []", "route: {group_wait: soon}"])
def test_what_is_no_alertmanager_configuration_is_refused(text: str) -> None:
    """A configuration without a route, or with a wait that is none, is refused."""
    with pytest.raises(UsageError, match=r"am\.yml"):
        scale_alertmanager(text, 60, source="am.yml")
