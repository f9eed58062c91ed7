"""Lines that act on a host, as a runbook has them, on one that is laid out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from harness.runbook.host import Host
from harness.runbook.shell import Shell
from tests.runbook.terminal import Ground, terminal

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent.parent
HOST = ROOT / "fixtures" / "host.yml"
LIMIT = timedelta(seconds=5)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with terminal(tmp_path, Ground(host=HOST)) as shell:
        yield shell


def _host(shell: Shell) -> Host:
    assert shell.host is not None
    return shell.host


def _machine() -> dict[str, object]:
    """What these lines would have changed on this machine."""
    names = {place: sorted(Path(place).iterdir()) for place in ("/var/log", "/etc")}
    settings = Path("/proc/sys/net/ipv4/tcp_keepalive_time")
    conf = Path("/etc/sysctl.conf")
    return {
        **names,
        "setting": settings.read_text() if settings.exists() else "",
        "conf": conf.read_bytes() if conf.exists() else b"",
    }


@pytest.mark.parametrize(
    ("line", "pattern", "before", "after"),
    [
        ('find /tmp -name "ai-script-*" -mmin +60 -delete', "/tmp/*", 4, 2),
        (r'find /var/log -name "*.log" -mtime +7 -exec gzip {} \;', "/var/log/**/*.gz", 0, 3),
        (r'find /var/log -name "*.log" -mtime +7 -exec gzip {} \;', "/var/log/**/*.log", 5, 2),
        ("gzip /var/log/nginx/*.log", "/var/log/nginx/*.gz", 0, 2),
        ("rm /tmp/ai-script-*", "/tmp/*", 4, 1),
    ],
)
def test_a_line_acts_on_the_files_that_it_names(
    line: str, pattern: str, before: int, after: int, shell: Shell
) -> None:  # fmt: skip
    """What it deletes is gone, what it packs is packed, the rest stays; and this machine is as it was."""
    machine = _machine()
    assert _host(shell).count(pattern) == before
    record = shell.run(line, limit=LIMIT)
    assert (record.refused, record.exit_status) == ("", 0), record
    assert _host(shell).count(pattern) == after
    assert _machine() == machine


def test_a_kernel_setting_is_kept_and_in_force(shell: Shell) -> None:
    """A line is added to its file, and loading that sets it; of the machine's own settings none is changed."""
    machine = _machine()
    shell.run("echo 'net.ipv4.tcp_keepalive_time = 300' >> /etc/sysctl.conf", limit=LIMIT)
    loaded = shell.run("sysctl -p", limit=LIMIT)
    assert loaded.output.splitlines() == ["net.core.somaxconn = 4096", "net.ipv4.tcp_keepalive_time = 300"]
    assert _host(shell).text("/proc/sys/net/ipv4/tcp_keepalive_time") == "300"
    assert _machine() == machine


def test_output_has_the_operators_paths(shell: Shell) -> None:
    """What a tool prints of the tree is what it would print of the host, for the next tool of a pipeline as well."""
    listed = shell.run("find /var/log -name '*.log' -mtime +7 | sort", limit=LIMIT)
    assert listed.output.splitlines() == [
        "/var/log/ai-script/generation-03.log",
        "/var/log/ai-script/generation-04.log",
        "/var/log/nginx/access-old.log",
    ]
    assert shell.run("cat /var/log/ai-script/generation-03.log", limit=LIMIT).output == (
        "ERROR: Connection pool exhausted\n"
    )


def test_a_line_once_added_is_not_added_again(shell: Shell) -> None:
    """The corrected line of the runbook looks into the file before it writes."""
    line = "grep -qx 'a.b = 1' /etc/sysctl.conf || echo 'a.b = 1' >> /etc/sysctl.conf"
    for _ in range(2):
        assert shell.run(line, limit=LIMIT).refused == ""
    assert _host(shell).text("/etc/sysctl.conf").count("a.b = 1") == 1


@pytest.mark.parametrize(
    "line", ["curl -s https://api.openai.com/v1/models", "curl -s http://93.184.216.34/", "curl -s http://localhost/"]
)
def test_a_name_that_is_not_the_sandboxs_leads_nowhere(line: str, shell: Shell) -> None:
    """No name is looked up: what the runbook calls a server is on the list of this sandbox, or the line is refused."""
    record = shell.run(line, limit=LIMIT)
    assert record.refused
