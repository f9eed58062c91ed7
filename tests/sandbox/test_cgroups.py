"""What the kernel counts for a container is read in both versions of cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.sandbox.cgroups import Cgroup, Counters

ONE = {
    "cpuacct/d/c1/cpuacct.usage": "2500000000\n",
    "cpu/d/c1/cpu.cfs_quota_us": "50000\n",
    "cpu/d/c1/cpu.cfs_period_us": "100000\n",
    "cpu/d/c1/cpu.stat": "nr_periods 10\nnr_throttled 4\nthrottled_time 1500000000\n",
    "memory/d/c1/memory.limit_in_bytes": "104857600\n",
    "memory/d/c1/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
    "freezer/d/c1/freezer.state": "FROZEN\n",
    "pids/d/c1/cgroup.procs": "7\n8\n",
}
TWO = {
    "cgroup.controllers": "cpu memory\n",
    "d/c1/cpu.stat": "usage_usec 2500000\nthrottled_usec 1500000\n",
    "d/c1/cpu.max": "50000 100000\n",
    "d/c1/memory.max": "104857600\n",
    "d/c1/memory.events": "max 9\noom_kill 3\n",
    "d/c1/cgroup.events": "populated 1\nfrozen 1\n",
    "d/c1/cgroup.procs": "7\n8\n",
}
LINES = {1: "4:pids:/d/c1\n3:cpu,cpuacct:/d/c1\n2:memory:/d/c1\n1:freezer:/d/c1\n", 2: "0::/d/c1\n"}


def group(folder: Path, version: int, **change: str) -> Cgroup | None:
    """Process 7 of a machine that has the files of `version`, `change` laid over them."""
    for name, text in {**{1: ONE, 2: TWO}[version], **change}.items():
        (folder / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "sys" / name).write_text(text)
    (folder / "proc/7").mkdir(parents=True)
    (folder / "proc/7/cgroup").write_text(LINES[version])
    return Cgroup.of(7, folder / "sys", folder / "proc")


@pytest.mark.parametrize("version", [1, 2])
def test_counters_limits_and_the_freezer_are_read(tmp_path: Path, version: int) -> None:
    """Both versions tell the same: CPU seconds, seconds throttled, kills, the limit, frozen or not, the processes."""
    found = group(tmp_path, version)
    assert found is not None
    assert found.counters() == Counters(cpu=2.5, throttled=1.5, oom_kills=3)
    assert (found.memory_limit(), found.frozen(), list(found.pids())) == (100 * 2**20, True, [7, 8])
    assert found.quota() == 0.5


@pytest.mark.parametrize(
    ("version", "change"),
    [
        (1, {"memory/d/c1/memory.limit_in_bytes": "9223372036854771712", "cpu/d/c1/cpu.cfs_quota_us": "-1"}),
        (2, {"d/c1/memory.max": "max", "d/c1/cpu.max": "max 100000"}),
    ],
)
def test_no_limit_is_none(tmp_path: Path, version: int, change: dict[str, str]) -> None:
    """Each version has its own word for no limit at all."""
    found = group(tmp_path, version, **change)
    assert found is not None
    assert (found.memory_limit(), found.quota()) == (None, None)


@pytest.mark.parametrize(
    ("version", "change"),
    [(1, {"freezer/d/c1/freezer.state": "FREEZING"}), (2, {"d/c1/cgroup.events": "frozen 0"})],
)
def test_what_is_not_wholly_frozen_is_not_frozen(tmp_path: Path, version: int, change: dict[str, str]) -> None:
    """A cgroup of which some processes still run counts as running."""
    found = group(tmp_path, version, **change)
    assert found is not None
    assert not found.frozen()


def test_what_the_kernel_does_not_say_is_unknown_and_not_zero(tmp_path: Path) -> None:
    """Missing files are None, and a process that is gone has no cgroup."""
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/cgroup").write_text(LINES[1])
    found = Cgroup.of(7, tmp_path / "sys", tmp_path / "proc")
    assert found is not None
    assert found.counters() == Counters(cpu=None, throttled=None, oom_kills=None)
    assert Cgroup.of(8, tmp_path / "sys", tmp_path / "proc") is None
