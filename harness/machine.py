"""Machine: how busy the machine is all through a run, and how much of that is the run's own doing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from harness.clock import Clock
from harness.model.record import MachineEvidence, MachineLook

INTERVAL = 1.0  # wall seconds between two looks


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU seconds used so far: by all of the machine, what the hypervisor gave to others included, and by this process
    with all that it has started."""

    all: float
    ours: float


def cpu_times(elsewhere: Callable[[], float] = lambda: 0.0) -> CpuTimes:
    """As the kernel counts them now. A process that has ended counts in the one that waited for it. `elsewhere` says
    what is used for us by processes that we did not start ourselves."""
    whole = psutil.cpu_times()
    spare = whole.idle + getattr(whole, "iowait", 0.0)
    # A guest's time is in its host's user time as well (proc(5)).
    guests = getattr(whole, "guest", 0.0) + getattr(whole, "guest_nice", 0.0)
    me = psutil.Process()
    return CpuTimes(
        all=sum(whole) - spare - guests, ours=sum(map(_used, [me, *me.children(recursive=True)])) + elsewhere()
    )


def _used(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # it has ended meanwhile
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


class MachineWatch:
    """Looks once a second inside `on`; `evidence` is what it has seen so far."""

    def __init__(self, clock: Clock, read: Callable[[], CpuTimes] = cpu_times) -> None:
        self._clock = clock
        self._read = read
        self._looks: list[MachineLook] = []
        self._last: tuple[float, CpuTimes] | None = None

    @contextmanager
    def on(self) -> Iterator[None]:
        with self._clock.every(INTERVAL, self._look):
            yield

    def evidence(self) -> MachineEvidence:
        return MachineEvidence(cores=psutil.cpu_count() or 1, looks=tuple(self._looks))

    def _look(self) -> None:
        now, used = self._clock.now(), self._read()
        if self._last is not None and now > self._last[0]:
            before, then = self._last
            busy, ours = used.all - then.all, max(0.0, used.ours - then.ours)
            elapsed = now - before
            self._looks.append(
                MachineLook(at=now, seconds=elapsed, busy=round(busy / elapsed, 3), ours=round(ours / elapsed, 3))
            )
        self._last = (now, used)
