"""The flags of the built-in fault proxy."""

from __future__ import annotations

import pytest

from harness.faultproxy import VERSION
from harness.faultproxy.__main__ import main


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`-version` prints what Toxiproxy's server prints, and ends."""
    assert main(["-version"]) == 0
    assert capsys.readouterr().out == f"toxiproxy-server version {VERSION}\n"


@pytest.mark.parametrize("arguments", [["-prot", "1"], ["-port", "x"], ["-proxy-metrics=maybe"], ["more"]])
def test_unknown_flags_are_usage_errors(arguments: list[str]) -> None:
    """They end the program with status 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
