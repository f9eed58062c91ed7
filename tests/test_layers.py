"""Who may import whom. Read ALLOWED to learn the shape of the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HARNESS = ROOT / "harness"

NOUNS = {"model", "errors", "clock"}
# What each layer of `harness` may import of `harness`, besides itself.
ALLOWED: dict[str, set[str]] = {
    "model": set(),
    "errors": set(),
    "clock": {"errors"},
    "settings": {"model"},
    "journal": {"errors"},
    "faultproxy": {"errors"},
    "sandbox": NOUNS | {"faultproxy", "journal"},
    "load": NOUNS | {"sandbox.base"},
    "alerts": NOUNS,
    "benchmark": NOUNS | {"sandbox.base"},
    "levels": NOUNS | {"alerts"},
    "checkpoint": NOUNS | {"benchmark"},
    "logs": NOUNS | {"sandbox.base"},
    "sight": NOUNS | {"alerts"},
    "mutation": NOUNS | {"alerts", "judge"},
    "counterfactual": NOUNS,
    "impact": NOUNS | {"sandbox.base"},
    "slo": NOUNS,
    "runbook": NOUNS | {"sandbox.base"},
    "lint": NOUNS | {"alerts", "runbook"},
    "probes": NOUNS | {"sandbox.base", "sandbox.cgroups"},
    "faults": NOUNS | {"probes", "sandbox.base"},
    "census": NOUNS | {"sandbox.base", "runbook"},
    "mitigations": NOUNS | {"sandbox.base", "runbook"},
    "judge": NOUNS
    | {
        *("alerts", "benchmark", "census", "checkpoint", "faults", "levels", "load", "logs", "mitigations", "slo"),
    },
    "store": NOUNS,
    "cast": NOUNS | {"benchmark", "sandbox.base"},
    "keeper": NOUNS | {"cast", "faults"},
    "run": NOUNS | {"benchmark", "cast", "census", "checkpoint", "faults", "judge", "keeper", "logs", "sandbox.base"},
    "doctor": NOUNS | {"sandbox.parts"},
    "progress": NOUNS,
    "machine": NOUNS,
}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function, types included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files_of(layer: str) -> list[Path]:
    single = HARNESS / f"{layer}.py"
    return [single] if single.exists() else sorted((HARNESS / layer).rglob("*.py"))


@pytest.mark.parametrize("layer", ALLOWED)
def test_a_layer_imports_only_what_it_may(layer: str) -> None:
    """Each layer of the harness imports only the layers below it, and siblings never import each other."""
    files = files_of(layer)
    assert files, f"there is no layer {layer}"
    allowed = {f"harness.{name}" for name in ALLOWED[layer] | {layer}}
    for path in files:
        ours = {name for name in imports_of(path) if name.startswith("harness.")}
        extra = {name for name in ours if not any(name == a or name.startswith(f"{a}.") for a in allowed)}
        assert not extra, f"{path.relative_to(ROOT)} reaches into {sorted(extra)}"


def test_the_model_needs_the_standard_library_only() -> None:
    """The nouns import nothing but the standard library, so that they load in any process."""
    import sys

    for path in files_of("model"):
        foreign = {name.split(".")[0] for name in imports_of(path)} - set(sys.stdlib_module_names) - {"harness"}
        assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


def test_reports_see_only_the_model() -> None:
    """A report is made of a record and a judgement: it can't reach a live system."""
    for path in sorted((ROOT / "reports").rglob("*.py")):
        ours = {name for name in imports_of(path) if name.startswith("harness")}
        extra = {name for name in ours if not name.startswith("harness.model")}
        assert not extra, f"{path.relative_to(ROOT)} reaches into {sorted(extra)}"


def test_the_harness_never_imports_locust() -> None:
    """Locust patches sockets when it is imported, so it runs in a process of its own."""
    for path in sorted(HARNESS.rglob("*.py")):
        patched = {name for name in imports_of(path) if name.split(".")[0] in {"locust", "gevent", "loadtests"}}
        assert not patched, f"{path.relative_to(ROOT)} imports {sorted(patched)}"


def test_what_the_sandbox_runs_imports_nothing_of_ours() -> None:
    """The services under test stand alone: they know neither the harness nor the load."""
    for path in sorted((ROOT / "fixtures").rglob("*.py")):
        ours = {name for name in imports_of(path) if name.split(".")[0] in {"harness", "reports", "loadtests"}}
        assert not ours, f"{path.relative_to(ROOT)} imports {sorted(ours)}"


def test_load_sees_only_the_model() -> None:
    """The load generator knows the plan's arithmetic and nothing else of the harness."""
    for path in sorted((ROOT / "loadtests").rglob("*.py")):
        ours = {name for name in imports_of(path) if name.startswith("harness")}
        extra = {name for name in ours if not name.startswith("harness.model")}
        assert not extra, f"{path.relative_to(ROOT)} reaches into {sorted(extra)}"


@pytest.mark.parametrize("folder", ["harness", "reports"])
def test_nothing_knows_this_sandbox(folder: str) -> None:
    """Somebody else's stack is a first-class user: no name of this sandbox stands in the harness or the reports."""
    import re

    ours = re.compile(r"generation-service|project-service|ai-script|\b800[12]\b|openai|anthropic", re.IGNORECASE)
    for path in sorted((ROOT / folder).rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not ours.search(line), f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def test_no_function_is_longer_than_a_page() -> None:
    """No function of ours is over 60 lines, and no fault's file over 90."""
    for folder in ("harness", "reports", "loadtests", "fixtures", "scenarios", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    lines = (node.end_lineno or node.lineno) - node.lineno + 1
                    assert lines <= 60, f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {lines} lines"
            assert "faults" not in path.parts or folder != "harness" or text.count("\n") <= 90, f"{path} is too long"
