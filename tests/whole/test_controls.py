"""Controls: the shipped scenario passes, and its claims turn red when what they depend on is left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import Control
from tests.whole.conftest import ROOT, RunOutage, Saboteur, unaccounted

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(150)]
NOBODY = ("nothing", "", lambda sandbox: None)


def test_without_the_fault_the_alert_claims_fail(run_outage: RunOutage) -> None:
    """Under no-fault every claim about the alert is FAIL, none is vacuous, and the run as a whole is FAIL."""
    outage = run_outage(Saboteur(*NOBODY), Control.NO_FAULT)
    assert outage.judgement.outcome.value == "FAIL", "\n".join(map(str, outage.judgement.verdicts))
    assert {*outage.of("fires within"), *outage.of("is delivered"), *outage.of("resolves within")} == {"FAIL"}
    assert not any(verdict.vacuous for verdict in outage.judgement.verdicts)


def test_without_the_mitigation_users_stay_hit(run_outage: RunOutage) -> None:
    """Under no-mitigation the recovery before the upstream's return is FAIL, and detection still passes."""
    outage = run_outage(Saboteur(*NOBODY), Control.NO_MITIGATION)
    assert outage.judgement.outcome.value == "FAIL", "\n".join(map(str, outage.judgement.verdicts))
    assert outage.of("on the fallback") == ["FAIL"]
    assert outage.of("users were hit and recovered") == ["FAIL"]
    assert outage.of("fires within") == ["PASS"]


def test_a_run_is_judged_the_same_elsewhere(run_outage: RunOutage, tmp_path: Path) -> None:
    """The shipped scenario passes, every 503 is accounted for, and `gameday judge` on a copy of its folder, with an
    empty environment and in another place, gives the same verdict byte for byte."""
    outage = run_outage(Saboteur(*NOBODY))
    assert outage.judgement.outcome.value == "PASS", "\n".join(map(str, outage.judgement.verdicts))
    assert unaccounted(outage.folder) == []
    copy = tmp_path / "else where" / "run"
    shutil.copytree(outage.folder, copy)
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "judge", str(copy), "--json"],
        cwd=tmp_path,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (outage.folder / "verdict.json").read_text()
