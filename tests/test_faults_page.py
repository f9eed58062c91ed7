"""The reference of all faults says what the code says."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from harness import faults_page as page
from harness.faults import AnyFault, Fault
from tests.documents import read

FILE = "docs/reference/faults.md"


def test_the_page_is_what_is_written_from_the_code() -> None:
    """The file in docs/ equals what the code has to say; `python -m harness.faults_page > FILE` makes it so."""
    assert read(FILE) == page.page(), f"write it anew: python -m harness.faults_page > {FILE}"


@pytest.mark.parametrize("fault", get_args(AnyFault), ids=lambda fault: fault.__name__)
def test_each_fault_says_what_its_receipt_looks_at(fault: type[Fault]) -> None:
    """The docstring of `receipt` is there, and stands in the reference with each setting."""
    assert fault.__dict__["receipt"].__doc__, f"{fault.__name__}.receipt has no docstring: what does it look at?"
    section = page.page().partition(f"\n## {fault.__name__}\n")[2].partition("\n## ")[0]
    assert " ".join(fault.__dict__["receipt"].__doc__.split()) in section
    settings = [field.name for field in dataclasses.fields(fault) if field.name != "kind"]  # type: ignore[arg-type]  # each is a dataclass
    assert all(f"| `{name}` |" in section for name in settings)
