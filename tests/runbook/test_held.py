"""What ss and lsof show: the sandbox's own sockets and files, and nobody else's."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.runbook.tools.lsof import Lsof
from harness.runbook.tools.ss import Ss
from harness.sandbox.base import Process
from tests.runbook.terminal import LocalSandbox

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs proc(5)")


class Ours(LocalSandbox):
    """A sandbox whose one service is this very process."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.states = {"app": "ready"}
        self._pid = pid

    def processes(self, service: str) -> Sequence[Process]:
        told = Process(pid=self._pid, started="", parent=1, command="app", resident=1, cpu_seconds=0, open_files=1)
        return [told] if service == "app" else []


@contextmanager
def connected() -> Iterator[tuple[int, int]]:
    """A listener and a connection to it: their ports."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as caller, listener.accept()[0]:
            yield port, caller.getsockname()[1]


def test_ss_shows_listeners_and_connections() -> None:
    """Of -l what waits, without it what is connected, each with both ends."""
    with connected() as (port, other):
        ss = Ss(sandbox=Ours(os.getpid()), ports={})
        waiting = ss.answer(["-tln"]).out
        open_now = ss.answer(["-tn"]).out
    assert re.search(rf"^LISTEN +0 +\d+ +127\.0\.0\.1:{port} +0\.0\.0\.0:\*", waiting, re.MULTILINE), waiting
    assert f"127.0.0.1:{other}" not in waiting
    assert re.search(rf"^ESTAB .*127\.0\.0\.1:{other} +127\.0\.0\.1:{port}", open_now, re.MULTILINE), open_now


def test_ports_are_called_what_the_runbook_calls_them() -> None:
    """The port of this machine is not what an operator knows."""
    with connected() as (port, _):
        said = Ss(sandbox=Ours(os.getpid()), ports={port: 8002}).answer(["-tln"]).out
    assert "127.0.0.1:8002 " in said
    assert f":{port} " not in said


def test_the_summary_counts_connections() -> None:
    """As `ss -s` does: one more connection is two more ends that are established."""

    def established() -> int:
        said = Ss(sandbox=Ours(os.getpid()), ports={}).answer(["-s"]).out
        found = re.search(r"^TCP: +\d+ \(estab (\d+)", said, re.MULTILINE)
        assert found
        return int(found[1])

    before = established()
    with connected():
        assert established() == before + 2


def test_lsof_shows_who_holds_a_file(tmp_path: Path) -> None:
    """A file that is open is shown with its process and descriptor; one that is not, is not."""
    lsof = Lsof(sandbox=Ours(os.getpid()), ports={}, host=None, spool=tmp_path / "spool", cat=Path("/bin/cat"))
    (tmp_path / "shut.db").touch()
    with (tmp_path / "open.db").open("w") as file:
        held = lsof.answer([str(tmp_path / "open.db")])
        assert re.search(rf"^\S+ +{os.getpid()} .* {file.fileno()}w +REG .*open\.db$", held.out, re.MULTILINE), held
    assert (lsof.answer([str(tmp_path / "shut.db")]).out, lsof.answer([str(tmp_path / "shut.db")]).status) == ("", 1)
    missing = lsof.answer([str(tmp_path / "none.db")])
    assert "No such file or directory" in missing.err
    assert missing.status == 1


def test_what_nobody_of_the_sandbox_holds_is_not_shown() -> None:
    """Another process' sockets are none of the sandbox's."""
    with connected() as (port, _):
        said = Ss(sandbox=Ours(1 << 30), ports={}).answer(["-tan"]).out
    assert f":{port} " not in said


@pytest.mark.parametrize("line", [["-K"], ["-tn", "dst", "1.2.3.4"], ["-x"], ["-tnD", "/etc/x"]])
def test_what_ss_can_do_besides_is_refused(line: list[str]) -> None:
    """It closes no socket, and writes none into a file."""
    answer = Ss(sandbox=Ours(os.getpid()), ports={}).answer(line)
    assert not answer.out
    assert answer.status
