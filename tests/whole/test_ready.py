"""A run that could only end in a foreign failure is refused before it begins, on the sandbox started for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness import Control, UsageError
from harness.model.record import Scenario
from harness.session import open_run
from harness.settings import Settings
from tests.whole.conftest import ROOT, Saboteur

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(60)]


def test_a_wrong_token_is_found_before_the_run(tmp_path: Path, state: Path) -> None:
    """An operator's token that the admin API refuses is a usage error that shows its answer; nothing stays up."""
    for name in ("fixtures", "loadtests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    before, token, after = (ROOT / "docker-compose.yml").read_text().rpartition("${ADMIN_TOKEN:-sandbox-admin-token}")
    assert token
    (tmp_path / "docker-compose.yml").write_text(f"{before}not-the-token{after}")
    settings = Settings(compose=tmp_path / "docker-compose.yml", runs=tmp_path / "runs", control=Control.NONE)
    nobody = Saboteur("nothing", "", lambda sandbox: None)
    with (
        pytest.raises(UsageError, match="401"),
        open_run(settings, Scenario(name="never", hypothesis="it begins"), nobody),
    ):
        pytest.fail("it must not begin")
    assert not list(state.iterdir())
