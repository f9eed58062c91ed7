"""Look: how a service stands, as its callers meet it, and what they met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from harness.errors import UsageError
from harness.faults.base import Fault
from harness.model.record import Receipt
from harness.model.units import seconds
from harness.probes.probe import Answer, Reply, ask
from harness.sandbox.base import Address, Sandbox, ServiceStatus

# A probe's own cost on a busy machine: how long an answer may take.
PATIENCE = seconds(1)
RUNNING = ("starting", "ready", "running", "paused")


@dataclass(frozen=True, slots=True)
class Met:
    """The answer at each address."""

    answers: Mapping[Address, Answer]

    def all(self, reply: Reply) -> bool:
        """Whether there are any, and each is `reply`."""
        return bool(self.answers) and all(answer.reply == reply for answer in self.answers.values())

    def any(self, reply: Reply) -> bool:
        """Whether one of them is `reply`."""
        return any(answer.reply == reply for answer in self.answers.values())

    def __str__(self) -> str:
        if len(self.answers) == 1:
            return str(*self.answers.values())
        return ", ".join(f"{address.port} {answer}" for address, answer in self.answers.items()) or "no address"


def status_of(sandbox: Sandbox, service: str) -> ServiceStatus:
    """How `service` stands. Raises UsageError where there is no such service."""
    known = {status.name: status for status in sandbox.services()}
    if service not in known:
        raise UsageError(f"there is no service {service!r}; there are: {', '.join(known)}")
    return known[service]


def addresses_of(sandbox: Sandbox, service: str) -> list[Address]:
    """Where `service` is called. Raises UsageError where there is no such service."""
    return list(status_of(sandbox, service).addresses.values())


def not_running(sandbox: Sandbox, service: str) -> list[str]:
    """What keeps `service` from being broken: it is not there, or does not run, or nobody can call it."""
    try:
        status = status_of(sandbox, service)
    except UsageError as unknown:
        return [str(unknown)]
    if status.state not in RUNNING:
        return [f"{service} does not run: it is {status.state} {status.detail}".rstrip()]
    return [] if status.addresses else [f"{service} has no address at which a caller would miss it"]


def call(sandbox: Sandbox, service: str) -> Met:
    """Ask at every address of `service`. Where it speaks a protocol that we speak, only those count: one that is
    merely kept open does not show whether anybody is there."""
    found = addresses_of(sandbox, service)
    return ask_all([address for address in found if speaks(address)] or found)


def speaks(address: Address) -> bool:
    """Whether an answer at `address` comes from the server itself and not from the kernel that listens for it."""
    return address.scheme != "tcp"


def ask_all(addresses: Sequence[Address]) -> Met:
    """The answers at all `addresses`, asked side by side: one that is silent takes the whole of our patience."""
    with ThreadPoolExecutor(max_workers=len(addresses) or 1) as side_by_side:
        answers = list(side_by_side.map(lambda address: ask(address, patience=PATIENCE), addresses))
    return Met(dict(zip(addresses, answers, strict=True)))


def unseen(fault: Fault, at: float, why: object) -> Receipt:
    """The receipt of a probe that can't tell."""
    return Receipt(at=at, in_force=None, intended=str(fault), measured=f"nobody can tell: {why}")
