"""Labels: which alerts are meant, and how an alert is written in a sentence."""

from __future__ import annotations

from collections.abc import Mapping


def carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether `labels` have all of `wanted`. A label wanted to be empty is one that is not there, as in PromQL."""
    return all(labels.get(name, "") == value for name, value in wanted.items())


def say_alert(name: str, labels: Mapping[str, str]) -> str:
    """`HTTP503ErrorSpike{severity="critical"}`: an alert as a reader of PromQL would write it."""
    return name + say_labels(labels) if labels else name


def say_labels(labels: Mapping[str, str]) -> str:
    """`{job="api",severity="critical"}`, in alphabetical order."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"
