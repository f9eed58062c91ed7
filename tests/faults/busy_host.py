"""A host for tests of faults by load, locks and misbehaving stubs: what is measured follows from who works on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.faults.program import ORDER
from harness.model.units import seconds
from harness.probes.cpu import Used
from harness.probes.http_probe import HttpProbe
from harness.probes.lock_probe import Refused
from harness.probes.reply import Reply
from harness.probes.stub import Stub, StubGone
from harness.sandbox.base import Address, Process
from tests.faults.host import APP, PORT, Host

PROBE = HttpProbe(path="/v1/chat", body='{"model": "m"}', headers={"Authorization": "Bearer x"}, says='"content"')
HEALTHY = Reply(
    ending="whole", seconds=0.05, status=200, media_type="application/json", body=b'{"content": "once upon a time"}'
)
BURNER_PIDS = 5000


class BusyHost(Host):
    """One service, `app`. While a program of ours works, its effect is measured as big as it should be, unless a test
    says otherwise: `burnt` and `used` are cores, `refused` what its database refuses, `resident` what it holds."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(memory=1000, **changes)
        self.burnt: float | None = None
        self.used: float | None = None
        self.refused: Refused | None = None
        self.cores_of_burners: Mapping[int, frozenset[int]] | None = None
        self.resident: int | None = None
        self.told: dict[str, Any] = {"how": "normal", "served": 0, "answered": 10}
        self.reply: Reply | None = None
        self.gone = False
        self.gaps = 0

    def path(self, service: str, inside: str) -> Path:
        self._known(service)
        if not inside.startswith("/data/"):
            raise UsageError(f"{inside} lies in no mount of {service}", hint="its mounts: /data")
        return Path("/nowhere") / inside[1:]

    def works(self, program: str) -> bool:
        """Whether a program of ours runs."""
        return any(name.startswith(program) and one.status is None for name, one in self.helpers.items())

    def established(self, pid: int, port: int) -> int:
        return super().established(pid, port) if self.held is not None else int(self._order()["at_once"])

    def _order(self) -> dict[str, Any]:
        order: dict[str, Any] = json.loads(self.asked_for[ORDER])
        return order

    # -- what is measured ------------------------------------------------------------------------------------------

    def affinities(self, program: int | None) -> Mapping[int, frozenset[int]]:
        if self.cores_of_burners is not None or program is None:
            return self.cores_of_burners or {}
        order = self._order()
        return {BURNER_PIDS + number: frozenset({order["core"]}) for number in range(order["burners"])}

    def cores_used(self, *looks: Callable[[], Used], over: timedelta | None = None) -> list[float]:
        for look in looks:
            look()
        busy = 0.1 if self.works("burn") else 1.8 if self.works("keep_asking") else 0.05
        used = busy if self.used is None else self.used
        burnt = (0.9 if self.works("burn") else 0.0) if self.burnt is None else self.burnt
        return [burnt, used] if len(looks) == 2 else [used]

    def refuses(self, file: Path, *, gaps: int = 0) -> Refused:
        self.gaps = gaps
        if self.refused is not None:
            return self.refused
        return "reading" if self.works("hold_lock") or self.works("keep_asking") else "nothing"

    def processes(self, service: str) -> Sequence[Process]:
        held = self.resident if self.resident is not None else 950 if self.works("keep_asking") else 90
        found = super().processes(service)
        return [replace(process, resident=held // len(found)) for process in found]

    # -- the stub --------------------------------------------------------------------------------------------------

    def call(self, stub: Stub, method: str, order: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        if self.gone:
            raise StubGone(f"the stub at {stub.address} does not listen")
        if method == "PUT":
            self.told |= {**(order or {}), "served": 0}
        elif method == "DELETE":
            self.told |= {"how": "normal", "served": 0}
        self.told["answered"] += 1
        return dict(self.told)

    def answer(self, probe: HttpProbe, address: Address, *, patience: timedelta) -> Reply:
        if self.reply is not None:
            return self.reply
        return Reply(ending="silent", seconds=1.0, status=200) if self.told["how"] == "stall" else HEALTHY


def measured_on(host: BusyHost, monkeypatch: pytest.MonkeyPatch) -> BusyHost:
    """Have the probes of the faults see `host`, and wait no longer than an instant."""

    def of_pids(pids: Iterable[int]) -> Used:
        return dict.fromkeys(map(str, pids), 0.0)

    monkeypatch.setattr("harness.probes.crowding._affinities", host.affinities)
    monkeypatch.setattr("harness.probes.crowding.of_pids", of_pids)
    for module in ("crowding", "pressure"):
        monkeypatch.setattr(f"harness.probes.{module}.cores_used", host.cores_used)
    for module in ("faults.database_lock", "probes.pressure"):
        monkeypatch.setattr(f"harness.{module}.refused", host.refuses)
        monkeypatch.setattr(f"harness.{module}.is_wal", lambda file: False)
    monkeypatch.setattr("harness.faults.heavy_requests.established", host.established)
    monkeypatch.setattr(Stub, "_call", lambda stub, *given: host.call(stub, *given))
    monkeypatch.setattr(
        HttpProbe, "ask", lambda probe, address, patience: host.answer(probe, address, patience=patience)
    )
    monkeypatch.setattr("harness.faults.cpu_neighbour.os.sched_getaffinity", lambda pid: {0, 1})
    for name in ("database_lock.TAKES_AT_MOST", "heavy_requests.BUILDS_UP", "cpu_neighbour.SPREADS"):
        monkeypatch.setattr(f"harness.faults.{name}", seconds(0))
    return host


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> BusyHost:
    """A host whose service is well, and the probes' view of it."""
    return measured_on(BusyHost(), monkeypatch)


__all__ = ["APP", "HEALTHY", "PORT", "PROBE", "BusyHost", "busy", "measured_on"]
