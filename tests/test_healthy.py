"""The published count of false alarms is what it says it is."""

from __future__ import annotations

import re

from harness.model.repeats import Flaky, Series
from harness.model.verdict import Outcome
from harness.repeats import bound
from reports.repeats import say_bound
from tests.healthy import PAGE, SCENARIO, TITLE, replaced, section


def counted(passed: int, failed: int, flaky: tuple[Flaky, ...] = ()) -> Series:
    """A series of so many runs, and one that was no experiment."""
    return Series(
        scenario=SCENARIO,
        fingerprint="now",
        control="none",
        time_scale=60.0,
        seed=1,
        runs=("r",) * (passed + failed + 1),
        outcomes={Outcome.PASS: passed, Outcome.FAIL: failed, Outcome.INVALID: 1},
        times=(),
        flaky=flaky,
        uncounted=1,
        phases=(),
        failed=bound(failed, passed + failed),
        red=bound(failed + 1, passed + failed + 1),
    )


def test_the_page_publishes_a_count_that_adds_up() -> None:
    """docs/measurements.md has the outcomes of all runs, and the interval that follows from them."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(
        r"^\| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", text[text.index(TITLE) :], re.MULTILINE
    )
    assert found
    runs, passed, failed, *others = map(int, found.groups())
    assert runs == passed + failed + sum(others)
    assert say_bound(bound(failed, passed + failed)) in text
    assert say_bound(bound(runs - passed, runs)) in text


def test_a_section_is_written_in_its_place() -> None:
    """What stands around it stays; a second time changes nothing; a page without it gets it at its end."""
    text = section(counted(99, 1, (Flaky(claim="A|B", outcomes={Outcome.PASS: 99, Outcome.FAIL: 1}),)))
    assert "| 101 | 99 | 1 | 0 | 1 | 0 |" in text
    assert "1 of 100 (0.0253 % to 5.45 %)" in text
    assert "- 99 PASS, 1 FAIL: A\\|B" in text
    page = replaced("# M\n\n## Before\n\nx\n", text)
    middle = replaced(f"{page}\n## After\n\ny\n", section(counted(3, 0)))
    assert middle.index("## Before") < middle.index(TITLE) < middle.index("## After")
    assert "0 of 3" in middle
    assert "1 of 100" not in middle
    assert replaced(middle, section(counted(3, 0))) == middle
