"""The runbook's `ab` line in the confined shell: by the real one where this machine has it, and by ours."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.runbook import shell as shelling
from harness.sandbox.base import Address
from tests.runbook.terminal import At, Ground, LocalSandbox, terminal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
ROOT = Path(__file__).parents[2]
GROUND = Ground(addresses={"localhost:8002": At("app", 80), "localhost:8003": At("nobody", 80)})
LINE = "ab -n 200 -c 10 http://localhost:8002/some-503 2>/dev/null | grep -E 'requests|responses'"
REAL = pytest.param("real", marks=pytest.mark.skipif(shutil.which("ab") is None, reason="this machine has no ab"))


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmark.server"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.parametrize("which", [REAL, "ours"])
def test_the_line_reaches_the_sandbox(which: str, server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the runbook's own name for it the sandbox's server is asked, and the report can be piped on; where nobody
    listens the line fails, and another host is refused."""
    find = shelling._real
    monkeypatch.setattr(shelling, "_real", lambda name: None if (name, which) == ("ab", "ours") else find(name))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        places = {
            ("app", 80): Address("127.0.0.1", server, "http"),
            ("nobody", 80): Address("127.0.0.1", nobody.getsockname()[1], "http"),
        }
        with terminal(tmp_path, GROUND, LocalSandbox(places)) as shell:
            done = shell.run(LINE)
            failed = shell.run("ab -n 200 -c 10 http://localhost:8003/")
            refused = shell.run("ab -n 10 http://example.com/")
    assert (done.exit_status, done.refused) == (0, "")
    counts = dict(re.findall(r"^(\S+ (?:requests|responses)):\s+(\d+)", done.output, re.MULTILINE))
    assert counts == {"Complete requests": "200", "Failed requests": "0", "Non-2xx responses": "20"}
    assert ("an equivalent of ours" in done.output) is (which == "ours")
    assert failed.exit_status not in (0, None)
    assert "Complete requests" not in failed.output
    assert "example.com:80 is no address" in refused.refused
