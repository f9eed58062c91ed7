"""CPU quota: what the kernel has counts, and where it can't be had it is refused before anything starts."""

from __future__ import annotations

import pytest

from harness.errors import InjectFailed, Unsupported
from harness.faults import CpuQuota
from harness.sandbox.base import require
from harness.sandbox.processes import ProcessSandbox
from tests.faults.host import APP, Host, host

__all__ = ["host"]


@pytest.mark.parametrize(("quota", "in_force"), [(0.5, True), (0.503, True), (None, False), (0.6, None), (0.25, None)])
def test_the_quota_in_force_is_the_one_intended(host: Host, quota: float | None, in_force: bool | None) -> None:
    """No quota is no fault; another one than ours is somebody else's, and nobody can tell."""
    host.ration = quota
    assert CpuQuota(APP, cores=0.5).receipt(host, 1.0).in_force is in_force


@pytest.mark.parametrize(
    ("cores", "has", "said"),
    [
        (0.0, None, "outside"),
        (65, None, "outside"),
        (1.0, 0.5, "0.5 cores as it is"),
        (0.5, 1.0, None),
        (0.5, None, None),
    ],
)
def test_a_quota_must_be_less_than_there_is(host: Host, cores: float, has: float | None, said: str | None) -> None:
    """One that gives a service as much as it has, or none at all, is no fault that could be seen."""
    host.ration = has
    problems = CpuQuota(APP, cores=cores).problems(host)
    assert (said is None and not problems) or (said is not None and said in problems[0])


def test_one_that_did_not_take_is_said(host: Host) -> None:
    """An engine that takes the order and does nothing is found out at once."""
    host.throttle = lambda service, cores: None  # type: ignore[method-assign]  # an engine that does nothing
    with pytest.raises(InjectFailed, match="no quota"):
        CpuQuota(APP, cores=0.5).inject(host)


def test_processes_are_refused_by_the_ability_that_they_lack() -> None:
    """A run on the process runtime is refused before it starts, by name."""
    with pytest.raises(Unsupported, match="CanThrottle"):
        require(object.__new__(ProcessSandbox), *CpuQuota.needs)
