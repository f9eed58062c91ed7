"""The benchmarks run: what docs/measurements.md says can be measured again."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests import bench


@pytest.mark.integration
def test_the_quick_ones_measure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each quick figure comes out as a row of a table; nothing stays of the sandbox that was timed."""
    with TemporaryDirectory(prefix="gd-") as folder:
        monkeypatch.setenv("GAMEDAY_STATE_DIR", folder)
        bench.starts(1)
        bench.drawn()
        assert not list(Path(folder).iterdir())
    rows = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines()]
    assert rows[:3] == ["gameday up, warm", "gameday down", "gameday doctor"]
    assert rows[3].startswith("report of")
