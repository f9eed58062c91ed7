"""The walk through writing a fault, walked: its files are written into a copy of the project, and tested there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, block

PAGE = "docs/how-to/write-a-fault.md"
FILE = block(PAGE, "class Partition")
CONTRACT = "tests/faults/test_contract.py"


def put(path: Path, old: str, new: str) -> None:
    """Replace the one place where `old` stands in the file at `path`."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path}: {old!r} stands there {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the contract of faults needs, in a folder with a space in its name, with the page's fault in it:
    written (1), made known (2) and given its row (3)."""
    copy = tmp_path / "the project"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("harness", "tests/faults"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    shutil.copy(ROOT / "tests/__init__.py", copy / "tests")
    (copy / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (copy / "harness/faults/partition.py").write_text(FILE, encoding="utf-8")
    known = copy / "harness/faults/__init__.py"
    put(known, "\n__all__ = [\n", '\nfrom harness.faults.partition import Partition\n\n__all__ = [\n    "Partition",\n')
    assert "| Partition |" in block(PAGE, "AnyFault =")
    put(known, "AnyFault = (\n", "AnyFault = (\n    Partition |\n")
    (row,) = re.findall(r"^    \(Partition.*\),$", block(PAGE, "ROWS:"), re.MULTILINE)
    put(copy / CONTRACT, "ROWS: tuple[Row, ...] = (\n", f"ROWS: tuple[Row, ...] = (\n{row}\n")
    put(copy / CONTRACT, "from harness.faults import (\n", "from harness.faults import (\n    Partition,\n")
    return copy


def in_copy(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def contract(project: Path) -> subprocess.CompletedProcess[str]:
    """Run the contract for the new fault, and the test that none is left out."""
    plain = ("-p", "no:cacheprovider", "-p", "no:locust", "-p", "no:schemathesis", "-q")
    return in_copy(project, "-m", "pytest", *plain, CONTRACT, "-k", "cut or every_fault")


@pytest.mark.integration
def test_the_fault_of_the_page_keeps_the_contract(project: Path) -> None:
    """Written as the page says, it passes what every fault must pass, and stands in the reference."""
    done = contract(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 8
    reference = in_copy(project, "-m", "harness.faults_page").stdout
    assert "## Partition\n\nOne caller loses one service, which everybody else still reaches.\n" in reference
    assert "**Receipt.** What a caller of the link meets" in reference
    assert FILE.count("\n") <= 90


@pytest.mark.integration
def test_a_careless_fault_would_not(project: Path) -> None:
    """One that stays when it is healed, and is in force by its own word alone, fails."""
    put(project / "harness/faults/partition.py", "CUT.take_out_of(self._on(sandbox))", "self._on(sandbox)")
    put(project / "harness/faults/partition.py", "in_force=in_force, intended", "in_force=True, intended")
    done = contract(project)
    assert done.returncode == 1, done.stderr
    for said in ("it_is_seen_while_it_is_in_force_and_only_then", "another_process_can_heal_it"):
        assert f"test_{said}" in done.stdout
