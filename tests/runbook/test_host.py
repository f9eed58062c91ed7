"""The host that is laid out: its file, its tree, and the paths that mean it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from harness.errors import EvidenceMissing, Unsupported, UsageError
from harness.runbook.host import Host, HostFile, HostPlan, lay_out, read_host
from harness.runbook.tools.sysctl import Sysctl

NOW = 1_800_000_000.0
PLAN = HostPlan(
    folders=("/tmp", "/var/log"),
    files={
        "/tmp/old": HostFile(content="x\n", age=timedelta(days=2)),
        "/var/log/app/a.log": HostFile(age=timedelta(hours=1), mode=0o600),
        "/etc/sysctl.conf": HostFile(content="# kernel\nnet.ipv4.tcp_fin_timeout = 30\n-net.unknown.one = 1\nodd\n"),
    },
    settings={"net.ipv4.tcp_fin_timeout": "60", "net.core.somaxconn": "4096"},
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return lay_out(PLAN, tmp_path / "a host", NOW)


def test_the_tree_is_as_it_was_said(host: Host) -> None:
    """Content, age and mode of each file, and the kernel's settings as files."""
    old, log = (host.root / name for name in ("tmp/old", "var/log/app/a.log"))
    assert (old.read_text(), old.stat().st_mtime) == ("x\n", NOW - 2 * 86400)
    assert (log.stat().st_mode & 0o777, log.stat().st_mtime) == (0o600, NOW - 3600)
    assert host.text("/proc/sys/net/ipv4/tcp_fin_timeout") == "60"


@pytest.mark.parametrize(
    ("said", "inside"),
    [
        ("/tmp", "tmp"),
        ("/tmp/new", "tmp/new"),
        ("//var//log/app", "var/log/app"),
        ("/etc/sysctl.conf", "etc/sysctl.conf"),
        ("/etc/passwd", None),
        ("/tmpx", None),
        ("/", None),
        ("/etc", None),
        ("/proc/sys/vm/swappiness", None),
        ("tmp/old", None),
    ],
)
def test_a_path_that_is_laid_out_means_the_tree(said: str, inside: str | None, host: Host) -> None:
    """All in a folder of the tree, a file that stands alone, and no other path."""
    assert host.place(said) == (None if inside is None else host.root / inside)


def test_no_path_leads_out_of_the_tree(host: Host, tmp_path: Path) -> None:
    """Neither by a climb nor by a link; and what is the tree's already stays as it is."""
    (host.root / "tmp" / "out").symlink_to(tmp_path)
    for said in ("/tmp/../etc/passwd", "/tmp/out/x", "/tmp/out"):
        with pytest.raises(Unsupported, match="leads out"):
            host.place(said)
    assert host.place(f"{host.root}/tmp/old") == host.root / "tmp" / "old"
    assert host.back(f"{host.root}/tmp/old: 1") == "/tmp/old: 1"


def test_files_are_counted_and_read(host: Host) -> None:
    """By a glob, and by a path; where that can't be told it is no zero and no empty text."""
    assert host.count("/var/log/**/*.log") == 1
    assert host.count("/tmp/*") == 1
    assert host.count("/tmp/none-*") == 0
    for asked in (lambda: host.count("/srv/*"), lambda: host.text("/etc/passwd"), lambda: host.text("/tmp/none")):
        with pytest.raises(EvidenceMissing):
            asked()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("folders: [tmp]", "'tmp' is no plain absolute path"),
        ("folders: [/tmp/../etc]", "is no plain absolute path"),
        ("files: {/proc/sys/vm/swappiness: {}}", "is the kernel's own"),
        ("files: {/a: {}, /a/b: {}}", "'/a' is a file, and something stands below it"),
        ("settings: {swappiness: 1}", "'swappiness' is no setting of the kernel"),
        ("files: {/a: {age: soon}}", "is no duration"),
        ("files: {/a: {mode: '999'}}", "mode"),
        ("colour: red", "colour"),
        ("files: {/a: {}, /a: {}}", "stands twice"),
    ],
)
def test_a_host_that_can_not_be_laid_out_is_refused(text: str, says: str, tmp_path: Path) -> None:
    """Each mistake in its file is said by name."""
    (tmp_path / "host.yml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        read_host(tmp_path / "host.yml")
    assert says in str(raised.value)


def test_no_host_is_none() -> None:
    """A topology without one lays out nothing."""
    assert read_host(None) is None


# -- sysctl --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "out", "status"),
    [
        (["net.core.somaxconn"], "net.core.somaxconn = 4096\n", 0),
        (["-n", "net.core.somaxconn"], "4096\n", 0),
        (["-w", "net.core.somaxconn=128"], "net.core.somaxconn = 128\n", 0),
        (["net.core.somaxconn=128"], "net.core.somaxconn = 128\n", 0),
        (["-w", "net.core.somaxconn"], "", 1),
        (["net.no.such"], "", 1),
        (["-p"], "net.ipv4.tcp_fin_timeout = 30\n", 0),
        (["-p", "/etc/other.conf"], "", 1),
        (["--system"], "", 1),
        ([], "", 1),
    ],
)
def test_sysctl_knows_the_settings_of_the_tree(line: list[str], out: str, status: int, host: Host) -> None:
    """It shows them, sets them, and loads its file; no other setting, file or option."""
    answer = Sysctl(host).answer(line)
    assert answer.out == out
    assert bool(answer.status) is bool(status), answer


def test_what_sysctl_sets_is_in_the_tree(host: Host) -> None:
    """Loading the file sets what it says, and nothing else."""
    assert Sysctl(host).answer(["-p"]).status == 0
    assert host.text("/proc/sys/net/ipv4/tcp_fin_timeout") == "30"
    assert host.text("/proc/sys/net/core/somaxconn") == "4096"
