"""Reading: a runbook given as text, and what the check says of it."""

from __future__ import annotations

import json
from pathlib import Path

from harness.lint.check import Checked, check
from harness.lint.document import parse_document
from harness.lint.given import Given, read_given

RULES = """\
groups:
  - name: shop
    rules:
      - alert: ShopDown
        expr: rate(http_requests_total{status="503"}[5m]) > 20
        annotations: {runbook_url: "https://example.com/runbooks/shop.md#shop-is-down"}
"""
API = {
    "openapi": "3.1.0",
    "paths": {
        "/admin/pool": {"get": {}, "post": {"security": [{"operator": []}]}},
        "/admin/jobs/{name}": {"delete": {"security": [{"operator": []}]}},
        "/health": {"get": {}},
    },
    "components": {"securitySchemes": {"operator": {"type": "http", "scheme": "bearer"}}},
}


def given(folder: Path) -> Given:
    """A rules file with one alert, and the description of one API."""
    (folder / "rules.yml").write_text(RULES, encoding="utf-8")
    (folder / "api.json").write_text(json.dumps(API), encoding="utf-8")
    return read_given([folder / "rules.yml"], [f"localhost:8080={folder / 'api.json'}"])


def read(text: str, against: Given | None = None, name: str = "shop.md") -> Checked:
    """What the check says of a runbook with this text."""
    return check(parse_document(text, path=Path(name), name=name), against or Given(), {})


def ids(text: str, against: Given | None = None) -> set[str]:
    """The rules that speak of it."""
    return {finding.rule for finding in read(text, against).findings}


def sh(*lines: str, language: str = "sh") -> str:
    """A runbook that is one block."""
    return "\n".join([f"```{language}", *lines, "```", ""])
