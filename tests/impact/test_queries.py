"""The SQL of a runbook, statement by statement."""

from __future__ import annotations

import pytest

from harness.runbook.queries import parse_queries


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```sql\nSELECT 1;\nSELECT 2;\n```\n", [("SELECT 1", "x.md:2"), ("SELECT 2", "x.md:3")]),
        (
            "a\n\n```SQL\n\n-- why\nSELECT ';' -- no; end\n  FROM t\n```\n",
            [("SELECT ';' -- no; end\n  FROM t", "x.md:6")],
        ),
        ("- item\n\n  ```sqlite\n  SELECT 1\n  ```\n", [("SELECT 1", "x.md:4")]),
        ("```sql\r\nSELECT 1;\r\n```\r\n", [("SELECT 1", "x.md:2")]),
        ("```sh\nSELECT 1;\n```\n\n```sql\n-- nothing\n```\n", []),
        ("---\ntitle: x\n---\n```sql\nSELECT 1\n```\n", [("SELECT 1", "x.md:5")]),
    ],
    ids=["two", "semicolons that end nothing", "in a list", "Windows", "none", "front matter"],
)
def test_statements_are_found_where_they_stand(text: str, found: list[tuple[str, str]]) -> None:
    """Each statement of an SQL block is one query, verbatim, with the line on which it begins."""
    assert [(query.text, query.source) for query in parse_queries(text, source="x.md")] == found
