"""Schedule: how often what a rule reads is scraped, and how often the rule itself is evaluated."""

from __future__ import annotations

from dataclasses import dataclass

from yaml.nodes import Node

from harness.alerts import durations
from harness.alerts.rules import WrittenRule
from harness.alerts.selectors import Selector
from harness.alerts.yaml_text import YamlText, entries, items, scalar
from harness.errors import UsageError

# https://prometheus.io/docs/prometheus/latest/configuration/configuration/
_DEFAULTS = {"scrape_interval": "1m", "scrape_timeout": "10s", "evaluation_interval": "1m"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All in seconds. `timeout` is how long a scrape waits for an answer; `jobs` are those that may be meant."""

    scrape: float
    timeout: float
    evaluation: float
    jobs: tuple[str, ...] = ()


def schedule_of(rule: WrittenRule, selector: Selector, text: str, *, source: str) -> Schedule:
    """How `rule` and what `selector` reads are seen to by the Prometheus whose configuration is `text`; of several
    jobs the one that is scraped least often. Raises UsageError for a configuration that can't be read."""
    root = entries(YamlText(text, source).root)
    usual = root.get("global")
    jobs = {scalar(entries(job).get("job_name")) or "": job for job in items(root.get("scrape_configs"))}
    meant = {name: job for name, job in jobs.items() if selector.may_read({"job": name})} or jobs
    job = max(meant.values(), key=lambda one: _seconds("scrape_interval", source, one, usual), default=None)
    scrape = _seconds("scrape_interval", source, job, usual)
    evaluation = rule.interval.total_seconds() or _seconds("evaluation_interval", source, usual)
    timeout = min(_seconds("scrape_timeout", source, job, usual), scrape)
    return Schedule(scrape=scrape, timeout=timeout, evaluation=evaluation, jobs=tuple(meant))


def _seconds(key: str, source: str, *places: Node | None) -> float:
    said = [text for place in places if (text := scalar(entries(place).get(key))) is not None]
    try:
        return durations.milliseconds(said[0] if said else _DEFAULTS[key]) / 1000
    except ValueError as odd:
        raise UsageError(f"{source}: `{key}`: {odd}", hint="`promtool check config` shows more") from odd
