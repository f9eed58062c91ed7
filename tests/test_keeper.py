"""The keeper of a fault: when it looks whether the fault is in force."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.keeper import FaultKeeper
from harness.model.record import Receipt
from harness.testing import FakeClock, FakeFault, FakeSandbox, fake_cast


class SlowToSee(FakeFault):
    """A fault at which a look takes four seconds."""

    clock: FakeClock

    def receipt(self, sandbox: FakeSandbox, at: float) -> Receipt:
        self.clock.sleep(4.0)
        return replace(super().receipt(sandbox, at), in_force=True)


@pytest.mark.parametrize(("over_after", "looks"), [(2.0, 1), (4.0, 1), (4.5, 2)])
def test_a_look_that_was_under_way_at_the_end_is_not_repeated(over_after: float, looks: int) -> None:
    """A look that has ended since the story was over has seen the fault to its end; an earlier one has not."""
    cast = fake_cast()
    fault = SlowToSee("database")
    object.__setattr__(fault, "clock", cast.clock)
    with FaultKeeper(cast, fault, "database down", lambda kind, subject: None) as keeper:
        keeper.inject()
        began = cast.clock.now()
        keeper.look()
        keeper.look_since(began + over_after)
    assert len(keeper.record.during) == looks
