"""Configuration: divide the times of Prometheus' and Alertmanager's own configuration by the time scale."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from yaml.nodes import MappingNode, Node, ScalarNode

from harness.alerts import durations
from harness.alerts.yaml_text import YamlText, entries, items, mappings, scalar
from harness.clock import checked_scale
from harness.errors import UsageError

# What the servers use where their files say nothing.
# https://prometheus.io/docs/prometheus/latest/configuration/configuration/
# https://prometheus.io/docs/alerting/latest/configuration/
_PROMETHEUS_DEFAULTS = {"scrape_interval": "1m", "evaluation_interval": "1m"}
_ROUTE_DEFAULTS = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
_RESOLVE_DEFAULT = {"resolve_timeout": "5m"}


def scale_prometheus(text: str, scale: float, *, source: str) -> str:
    """Prometheus' configuration `text` with its scrape and evaluation intervals, global and per job, its rule query
    offset and its discovery refreshes divided by `scale`; those left to Prometheus' defaults are written out.

    A scrape itself takes the time it takes, so `scrape_timeout` is only shortened to what Prometheus insists on: the
    interval. Raises UsageError with all problems.
    """
    return _scaled(text, scale, source, "Prometheus", _prometheus)


def scale_alertmanager(text: str, scale: float, *, source: str) -> str:
    """Alertmanager's configuration `text` with `group_wait`, `group_interval` and `repeat_interval` of every route and
    `resolve_timeout` divided by `scale`; the root's, where left to the defaults, are written out. Routes that follow
    the time of day can't be scaled. Raises UsageError with all problems."""
    return _scaled(text, scale, source, "Alertmanager", _alertmanager)


def longest_scrape(text: str, *, source: str) -> timedelta:
    """The longest scrape interval in Prometheus' configuration `text`. Raises UsageError where it can't be read."""
    file = _ConfigFile(text, 1.0, source)
    root = entries(file.yaml.root)
    usual = scalar(entries(root.get("global")).get("scrape_interval")) or _PROMETHEUS_DEFAULTS["scrape_interval"]
    jobs = [scalar(entries(job).get("scrape_interval")) or usual for job in items(root.get("scrape_configs"))]
    lengths = [file.length("scrape_interval", text) for text in jobs or [usual]]
    file.done("Prometheus")
    return timedelta(milliseconds=max(lengths))


def job_names(text: str, *, source: str) -> tuple[str, ...]:
    """The jobs in Prometheus' configuration `text`, in its order. Raises UsageError where it is not YAML."""
    jobs = items(entries(YamlText(text, source).root).get("scrape_configs"))
    return tuple(name for job in jobs if (name := scalar(entries(job).get("job_name"))))


class _ConfigFile:
    """One configuration file on its way from one time scale to another."""

    def __init__(self, text: str, scale: float, source: str) -> None:
        self.yaml = YamlText(text, source)
        self.problems: list[str] = []
        self.scale = scale
        self._source = source
        if not isinstance(self.yaml.root, MappingNode):
            self.problems.append("it is empty, or no mapping")

    def done(self, server: str) -> None:
        if self.problems:
            raise UsageError(
                f"{self._source} can't be used as {server}'s configuration at time scale {self.scale:g}",
                problems=[f"{self._source}: {one}" for one in self.problems],
                hint="mend the file, or run with --time-scale 1",
            )

    def length(self, where: str, text: str) -> int:
        """The duration `text` in milliseconds; 0, and a problem, where it is none."""
        try:
            return durations.milliseconds(text)
        except ValueError as problem:
            self.problems.append(f"{where}: {problem}")
            return 0

    def shorten(self, node: Node | None, keys: Iterable[str], where: str) -> None:
        """Divide the values of `keys` in the mapping `node`, those that are there."""
        found = entries(node)
        for key in keys:
            value = found.get(key)
            text = scalar(value)
            if isinstance(value, ScalarNode) and text is not None:
                scaled = self._divided(f"{where}: `{key}`", text)
                if scaled is not None:
                    self.yaml.replace(value, scaled)

    def write_out(self, node: Node | None, defaults: Mapping[str, str], where: str) -> None:
        """Give the mapping `node` those of `defaults` that it leaves out, divided."""
        for key, text in defaults.items():
            if key not in entries(node):
                scaled = self._divided(f"{where}: `{key}` (by default)", text)
                if scaled is not None:
                    self.yaml.insert(node, key, scaled)

    def write_out_mapping(self, key: str, defaults: Mapping[str, str]) -> None:
        """The same for a top-level mapping that may be missing."""
        node = entries(self.yaml.root).get(key)
        if node is not None:
            self.write_out(node, defaults, key)
            return
        scaled = [f"{name}: {self._divided(key, text)}" for name, text in defaults.items()]
        self.yaml.insert(self.yaml.root, key, "{" + ", ".join(scaled) + "}")

    def limit(self, node: Node | None, key: str, most: int) -> None:
        """Lower the value of `key` to `most` milliseconds where it is longer."""
        value = entries(node).get(key)
        text = scalar(value)
        if isinstance(value, ScalarNode) and text is not None and self.length(f"`{key}`", text) > most:
            self.yaml.replace(value, durations.say(most))

    def _divided(self, where: str, text: str) -> str | None:
        try:
            return durations.scaled(text, self.scale)
        except ValueError as problem:
            self.problems.append(f"{where}: {problem}")
            return None


def _scaled(text: str, scale: float, source: str, server: str, change: Callable[[_ConfigFile], None]) -> str:
    checked_scale(scale)
    file = _ConfigFile(text, scale, source)
    if not file.problems:
        change(file)
    file.done(server)
    return text if scale == 1 else file.yaml.text()


def _prometheus(file: _ConfigFile) -> None:
    root = entries(file.yaml.root)
    overall = root.get("global")
    usual = scalar(entries(overall).get("scrape_interval")) or _PROMETHEUS_DEFAULTS["scrape_interval"]
    file.shorten(overall, ("scrape_interval", "evaluation_interval", "rule_query_offset"), "global")
    file.write_out_mapping("global", _PROMETHEUS_DEFAULTS)
    _limit_timeout(file, overall, usual)
    for job in items(root.get("scrape_configs")):
        name = scalar(entries(job).get("job_name")) or "?"
        file.shorten(job, ("scrape_interval",), f"job {name}")
        _limit_timeout(file, job, scalar(entries(job).get("scrape_interval")) or usual)
    for discovery in mappings(file.yaml.root):
        file.shorten(discovery, ("refresh_interval",), "service discovery")
    if items(root.get("scrape_config_files")):
        file.problems.append("scrape_config_files: the jobs in those files would not be scaled; write them in this one")


def _limit_timeout(file: _ConfigFile, node: Node | None, interval: str) -> None:
    file.limit(node, "scrape_timeout", round(file.length("`scrape_interval`", interval) / file.scale))


def _alertmanager(file: _ConfigFile) -> None:
    root = entries(file.yaml.root)
    file.shorten(root.get("global"), _RESOLVE_DEFAULT, "global")
    file.write_out_mapping("global", _RESOLVE_DEFAULT)
    if not isinstance(root.get("route"), MappingNode):
        file.problems.append("it has no `route`")
        return
    file.write_out(root.get("route"), _ROUTE_DEFAULTS, "route")
    for route in mappings(root.get("route")):
        receiver = scalar(entries(route).get("receiver")) or "(inherited)"
        file.shorten(route, _ROUTE_DEFAULTS, f"route to {receiver}")
        for key in ("mute_time_intervals", "active_time_intervals"):
            if file.scale != 1 and items(entries(route).get(key)):
                file.problems.append(f"route to {receiver}: `{key}` names times of day, which can't be scaled")
