"""The forms in which tables keep instants."""

from __future__ import annotations

import pytest

from harness.impact.stamps import form_of

AT = 1_767_225_600.123456  # 2026-01-01T00:00:00Z and a bit


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ("2025-12-31 01:02:03", "2026-01-01 00:00:00"),
        ("2025-12-31 01:02:03.5", "2026-01-01 00:00:00.1"),
        ("2025-12-31 01:02:03.123", "2026-01-01 00:00:00.123"),
        ("2025-12-31T01:02:03.123456Z", "2026-01-01T00:00:00.123456Z"),
        ("2025-12-31T01:02:03+00:00", "2026-01-01T00:00:00+00:00"),
        (1767139200, "1767225600"),
        (1767139200.25, "1767225600"),
        (1767139200250, "1767225600123"),
    ],
)
def test_an_instant_is_written_as_the_table_writes_its_own(stored: object, written: str) -> None:
    """The form of one stamp is that of every other; what it does not resolve is cut off, and it reads back."""
    form = form_of(stored)
    assert form is not None
    assert form.write(AT) == written
    assert form.write(form.read(written) + form.resolution / 10) == written


@pytest.mark.parametrize("stored", [None, "", "yesterday", "31.12.2025 01:02", "2025-12-31 01:02:03+02:00", True, b"x"])
def test_a_form_that_is_not_certain_is_none(stored: object) -> None:
    """What could be read in two ways, or not at all, is not guessed at."""
    assert form_of(stored) is None
