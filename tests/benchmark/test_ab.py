"""Our ab: what it refuses, what it says, and what it leaves behind."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.benchmark import ab


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://192.0.2.1/"], "192.0.2.1 is not on this machine"),  # an address reserved for documentation
        (["--address=192.0.2.1:80", "http://localhost/"], "not on this machine"),
        (["--allow=10.0.0.1", "http://192.0.2.1/"], "not on this machine"),
        (["https://127.0.0.1/"], "invalid URL"),
        (["file:///etc/passwd"], "invalid URL"),
        (["-n", "0", "http://127.0.0.1/"], "requests can be made"),
        (["-n", "60000", "http://127.0.0.1/"], "requests can be made"),
        (["-n", "5", "-c", "6", "http://127.0.0.1/"], "no more than requests"),
        (["-H", "A: b\r\nC: d", "http://127.0.0.1/"], "is no header"),
        (["-H", "nothing", "http://127.0.0.1/"], "is no header"),
    ],
)
def test_what_is_not_the_sandbox_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other hosts, other protocols and more than can be kept are refused before anything is connected to."""
    assert ab.main(arguments) == ab.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["-k", "http://127.0.0.1/"], ["--nu", "5", "http://127.0.0.1/"], []])
def test_options_that_it_does_not_have_are_no_others(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It takes no abbreviation for an option, and nothing for granted."""
    with pytest.raises(SystemExit, match="2"):
        ab.main(arguments)
    assert "ab: error" in capsys.readouterr().err


@pytest.mark.integration
def test_it_says_why_it_was_broken_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody listens there is no report, another exit status, and an account all the same."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        status = ab.main(["-n", "100", "-c", "10", "--record", str(tmp_path / "r.json"), url])
    said = capsys.readouterr()
    assert status == ab.BROKEN_OFF
    assert "nobody took a connection" in said.err
    assert "Complete requests" not in said.out
    told = json.loads((tmp_path / "r.json").read_text())
    assert (told["format"], "nobody" in told["stopped"], len(told["replies"]) < 30) == (1, True, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.json"]


def test_it_stays_small() -> None:
    """Its process imports nothing heavy: it starts once for every benchmark."""
    script = "import harness.benchmark.ab, sys; print(*(set(sys.modules) & {'pydantic', 'httpx', 'yaml', 'pytest'}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.split() == []
