"""What the kernel says of processes: frozen ones, their limits, and which connections are open at both ends."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from harness.errors import SandboxError
from harness.probes.kernel import (
    count_frozen,
    descriptors,
    established,
    limit_that_leaves,
    room_below,
    same_limit,
)
from harness.sandbox.base import Process

NOBODY = 2**22 + 1  # above the highest pid that Linux gives


def process(pid: int) -> Process:
    return Process(pid=pid, started="1@x", parent=1, command="x", resident=1, cpu_seconds=0, open_files=1)


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(20)"]) as child:
        yield child.pid
        child.kill()


def test_only_connections_of_its_own_to_that_port_count() -> None:
    """Three are open to one server and one to another; the servers' own ends, and what they listen on, do not count."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        port, elsewhere = one.getsockname()[1], other.getsockname()[1]
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        clients.append(socket.create_connection(("127.0.0.1", elsewhere)))
        taken = [one.accept()[0] for _ in range(3)]
        assert (established(os.getpid(), port), established(os.getpid(), elsewhere)) == (3, 1)
        taken[0].close()
        assert established(os.getpid(), port) == 2, "one that the server has closed counts"
        for end in (*clients, *taken):
            end.close()


def test_the_connections_of_nobody_can_not_be_read() -> None:
    """A process that is gone is no process without connections."""
    with pytest.raises(SandboxError, match=str(NOBODY)):
        established(NOBODY, 80)


def test_nobody_is_frozen_and_has_no_limit() -> None:
    """A process that is gone is neither frozen nor known to be limited as the others are."""
    assert count_frozen([process(NOBODY), process(os.getpid())]) == 0
    assert same_limit([process(NOBODY)]) is False
    assert same_limit([]) is False


@pytest.mark.parametrize(
    ("held", "spare", "limit"),
    [
        ({0, 1, 2}, 0, 3),
        ({0, 1, 2}, 2, 5),
        ({0, 1, 2, 7}, 0, 3),  # 7 is above the limit, and stays open
        ({0, 1, 2, 7}, 4, 8),
        ({0, 1, 2, 7}, 5, 9),
        ({0, 1, 2}, -2, 1),
        (set(), 0, 0),
    ],
)
def test_a_limit_leaves_the_room_that_was_asked_for(held: set[int], spare: int, limit: int) -> None:
    """Descriptors are given out from the lowest that is free, so gaps are room and what lies above is not."""
    assert limit_that_leaves(spare, frozenset(held)) == limit
    assert room_below(limit, frozenset(held)) == max(0, spare)


def test_the_open_files_of_a_process_are_seen() -> None:
    """What is opened is seen by its number; a process that is gone holds nothing."""
    number = fcntl.fcntl(0, fcntl.F_DUPFD, 500)
    assert number in descriptors(os.getpid())
    os.close(number)
    assert number not in descriptors(os.getpid())
    assert descriptors(NOBODY) == frozenset()


@pytest.mark.integration
def test_a_stopped_process_is_frozen(sleeper: int) -> None:
    """SIGSTOP freezes it, SIGCONT thaws it; one that only sleeps is not frozen."""
    both = [process(sleeper), process(os.getpid())]
    assert count_frozen(both) == 0
    os.kill(sleeper, signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper, os.WSTOPPED)
    assert count_frozen(both) == 1
    os.kill(sleeper, signal.SIGCONT)
    assert count_frozen(both) == 0


@pytest.mark.integration
@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="needs prlimit(2)")
def test_one_process_with_a_limit_of_its_own_is_seen(sleeper: int) -> None:
    """What a child inherits is the same limit; once it is lowered it is not."""
    both = [process(sleeper), process(os.getpid())]
    assert same_limit(both) is True
    soft, hard = resource.prlimit(sleeper, resource.RLIMIT_NOFILE)
    resource.prlimit(sleeper, resource.RLIMIT_NOFILE, (soft - 1, hard))
    assert same_limit(both) is False
