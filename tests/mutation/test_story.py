"""Two stories of an alert are told apart, and one is put in place of the other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model.record import Notification
from harness.mutation.story import alike, retold, waits
from tests.mutation.incident import (
    DOWN,
    ENDED,
    LOADED,
    STEP,
    STORY,
    UP,
    WELL,
    incident,
    samples,
)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (STORY, True),
        ((*samples("pending", DOWN + 0.35, DOWN + 2.1), *samples("firing", DOWN + 2.1, WELL + 0.1)), True),
        ((*STORY, *samples("pending", 1030.1, 1030.6)), True),  # too short to be told
        ((*STORY, *samples("pending", 1030.1, 1032.1)), False),
        ((*samples("pending", DOWN + 0.1, DOWN + 1.1), *samples("firing", DOWN + 1.1, WELL + 0.1)), False),
        ((), False),
    ],
    ids=["itself", "one evaluation off", "a blink", "a spell more", "too soon", "nothing"],
)
def test_stories_are_held_against_each_other(other: tuple[object, ...], same: bool) -> None:
    """Two stories are alike where every spell of one has its like in the other, within an evaluation and a half."""
    assert alike(STORY, other, STEP) is same  # type: ignore[arg-type]  # a table of several kinds


def test_a_wait_is_read_from_its_name() -> None:
    """A wait knows which alert it is for, and when it is over by any story."""
    (wait,) = waits(incident(), "Down")
    assert (wait.state, dict(wait.labels)) == ("firing", {"job": "api", "severity": "critical"})
    assert wait.met(STORY, 1030.0, STEP) == DOWN + 2.1
    assert wait.met(samples("pending", DOWN, WELL), 1030.0, STEP) is None
    assert waits(incident(), "Other") == ()
    quiet = replace(wait, state="quiet", began=DOWN + 1)
    assert quiet.met(STORY, 1030.0, STEP) == pytest.approx(WELL + 0.1, abs=STEP)
    assert quiet.met(STORY, DOWN + 2, STEP) is None


def test_one_story_takes_the_place_of_another() -> None:
    """The states, the rule and the messages are the new story's; a window that was not over is not over."""
    note = Notification(
        at=DOWN + 2.3, status="firing", name="Down", labels={}, starts_at=DOWN + 2.1, ends_at=None, fingerprint=""
    )
    record = incident(notifications=(note,))
    story = samples("firing", DOWN + 1, WELL)
    told = retold(record, "Down", replace(LOADED, hold=1.0), story, ended=1030.0, up=UP)
    assert told.alerts.states == story
    assert [rule.hold for rule in told.alerts.rules or ()] == [1.0]
    assert [round(one.at - DOWN, 2) for one in told.alerts.notifications] == [1.2]
    assert told.ended == 1030.0
    assert [(span.name, span.ended) for span in told.windows if span.name in ("after", "load")] == [
        ("load", None),
        ("after", None),
    ]
    gone = retold(record, "Down", None, (), ended=ENDED, up=UP)
    assert gone.alerts.rules == ()
    assert gone.alerts.notifications == ()
