"""What a census counts, and what it says of what it can't read."""

from __future__ import annotations

from collections.abc import Mapping

from harness.census.take import CensusTaker
from harness.errors import EvidenceMissing, SandboxError
from harness.model.record import CommandRecord
from harness.runbook.effect import Metric, Source
from harness.testing import FakeSandbox

POOL = Metric("app", 80, "pool_limit")


class Readings:
    """Answers what a test says."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def read(self, source: Source) -> str:
        if str(source) not in self._values:
            raise EvidenceMissing("it does not answer")
        return self._values[str(source)]


class Terminal:
    """Prints what a test says."""

    def __init__(self, status: int = 0) -> None:
        self._status = status

    def run(self, text: str) -> CommandRecord:
        return CommandRecord(
            variant="as-written", text=text, began=0, ended=1, exit_status=self._status, output="maxmemory\n0\n"
        )


def census(sandbox: FakeSandbox, *, readings: Mapping[str, str] | None = None, status: int = 0) -> Mapping[str, str]:
    reader = Readings({str(POOL): "20"} if readings is None else readings)
    return CensusTaker(
        sandbox=sandbox, reader=reader, shell=Terminal(status), sources=(POOL,), commands=("config get",)
    ).take()


def test_states_links_settings_and_answers_are_counted() -> None:
    """Every link with its toxics, every setting, and what each command prints, on one line."""
    sandbox = FakeSandbox({"app-database": "database"})
    link = sandbox.links()[0]
    found = census(sandbox)
    assert found["link app-database"] == "enabled, no toxics"
    assert found["pool_limit of app"] == "20"
    assert found["`config get`"] == "maxmemory 0"
    assert all(found[f"state of {service.name}"] == service.state for service in sandbox.services())
    link.disable()
    assert census(sandbox)["link app-database"] == "disabled, no toxics"


def test_what_can_not_be_read_says_so() -> None:
    """A dead proxy, a setting that does not answer and a command that fails are entries of their own."""
    sandbox = FakeSandbox({"app-database": "database"})
    sandbox.links()[0].dead = True
    found = census(sandbox, readings={}, status=7)
    assert found["links"].startswith("could not be read: ")
    assert found["pool_limit of app"] == "could not be read: it does not answer"
    assert found["`config get`"] == "could not be read: maxmemory 0"


def test_a_census_never_raises() -> None:
    """A sandbox that is gone is counted as what can't be read."""

    class Gone(FakeSandbox):
        def services(self) -> object:  # type: ignore[override]  # it never returns
            raise SandboxError("the supervisor is gone")

    assert census(Gone({}))["states"] == "could not be read: the supervisor is gone"
