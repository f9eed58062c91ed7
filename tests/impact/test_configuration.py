"""Where the request logs are, as a compose file says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.sandbox.topology import RequestLogs, Topology, read_topology

WORDS = "table: visits, at: stamp, method: verb, path: way, status: code, user: who, began: FROM, ended: TO"
LINE = "'(?P<at>x)(?P<method>x)(?P<path>x)(?P<status>x)'"


def _read(folder: Path, impact: str) -> Topology:
    path = folder / "compose.yml"
    path.write_text(
        f"services: {{a: {{volumes: ['data:/data']}}}}\nvolumes: {{data: {{}}}}\nx-gameday: {{impact: {impact}}}"
    )
    return read_topology(path, {})


def test_logs_and_columns_are_read(tmp_path: Path) -> None:
    """Files, column names, names of the bounds, and the proxy where there is one."""
    found = _read(tmp_path, f"{{databases: ['a:/data/x.db'], {WORDS}, proxy: {{service: a, line: {LINE}}}}}").impact
    assert found == RequestLogs(
        databases={"a:/data/x.db": ("a", "/data/x.db")},
        table="visits",
        at="stamp",
        method="verb",
        path="way",
        status="code",
        user="who",
        began="FROM",
        ended="TO",
        proxy=("a", LINE.strip("'")),
    )
    assert _read(tmp_path, "").impact is None


@pytest.mark.parametrize(
    ("impact", "says"),
    [
        ("soon", "impact: must be a mapping of databases"),
        (f"{{{WORDS}}}", "impact: must be a mapping of databases"),
        (f"{{databases: ['a:/data/x.db'], {WORDS}, colour: red}}", "impact: must be a mapping of databases"),
        ("{databases: ['a:/data/x.db'], table: visits}", "impact: must be a mapping of databases"),
        (f"{{databases: ['b:/data/x.db'], {WORDS}}}", "impact: databases: 'b:/data/x.db' is not of the form"),
        (f"{{databases: ['a:/etc/x.db'], {WORDS}}}", "impact: databases: /etc/x.db lies in no mount of a"),
        (f"{{databases: ['a:/data/x.db'], {WORDS}, proxy: a}}", "impact: proxy: must be a mapping of service"),
        (
            f"{{databases: ['a:/data/x.db'], {WORDS}, proxy: {{service: b, line: x}}}}",
            "impact: proxy: must be a mapping",
        ),
        (
            f"{{databases: ['a:/data/x.db'], {WORDS}, proxy: {{service: a, line: '('}}}}",
            "line: is no regular expression",
        ),
        (
            f"{{databases: ['a:/data/x.db'], {WORDS}, proxy: {{service: a, line: x}}}}",
            "no group at, method, path, status",
        ),
        (f"{{databases: ['a:/data/x.db'], {WORDS}, lost: '('}}", "impact: lost: is no regular expression"),
        (f"{{databases: ['a:/data/x.db'], {WORDS}, lost: 'gone'}}", "impact: lost: has no group rows"),
    ],
)
def test_what_can_not_be_used_is_said(tmp_path: Path, impact: str, says: str) -> None:
    """Each mistake is one clear sentence."""
    with pytest.raises(UsageError) as raised:
        _read(tmp_path, impact)
    assert says in str(raised.value)
