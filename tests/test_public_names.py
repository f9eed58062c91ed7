"""What `import harness` offers is what its page says, each name explained, and importing it costs next to nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import harness
from harness import faults
from harness.run import Run
from tests.documents import ROOT, code, sections

PAGE = "docs/reference/scenario.md"
HEAVY = ("pydantic", "pytest", "httpx", "locust", "pandas", "docker", "rich", "yaml", "typer")


def named(heading: str) -> list[str]:
    """The names of the tables below `heading`."""
    return [code(row[0])[0] for row in sections(PAGE)[heading]]


def test_the_page_has_exactly_the_public_names() -> None:
    """`harness.__all__` is what the reference page lists, in the same order."""
    listed = named("Names of `harness`")
    ours, theirs = listed[: len(harness.__all__)], listed[len(harness.__all__) :]
    assert ours == harness.__all__
    assert theirs == [name for name in faults.__all__ if name[0].isupper() and name != "Fault"]


@pytest.mark.parametrize("name", harness.__all__)
def test_each_name_can_be_imported_and_says_what_it_is(name: str) -> None:
    """Each public name is there and has a docstring of its own; a class's is not the one made by `dataclass`."""
    value = getattr(harness, name)
    said = inspect.getdoc(value) or ""
    assert said, f"harness.{name} has no docstring"
    assert not said.startswith(f"{name}("), f"harness.{name} has only the docstring that dataclass made"


def test_no_other_name_is_offered() -> None:
    """A name that is not public is an AttributeError, and __all__ is sorted as readers look for it."""
    with pytest.raises(AttributeError, match="no attribute 'Sandbox'"):
        _ = harness.Sandbox
    assert len(set(harness.__all__)) == len(harness.__all__)
    assert harness.__all__ == sorted(harness.__all__)


def test_the_page_has_all_that_a_run_can_do() -> None:
    """Each call of `run` that a scenario may make stands on the page, and none that is not there."""
    public = [name for name, _ in inspect.getmembers(Run, inspect.isfunction) if not name.startswith("_")]
    assert sorted(named("What `run` does")) == sorted(f"run.{name}" for name in public if name != "conclude")


def test_importing_the_package_is_light() -> None:
    """`import harness` brings in none of the heavy libraries: the processes that it starts import single modules."""
    script = f"import harness, sys; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.split() == []
