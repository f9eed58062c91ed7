"""Strays: what a sandbox leaves when its supervisor can't clean up, ended from outside."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.sandbox.identity import Identity, belonging, marked
from harness.sandbox.state import ENGINE, read_state

_GRACE = 1.0  # wall seconds between asking and killing
_ROUNDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """How many processes were ended, and what withstood."""

    ended: int = 0
    left: tuple[str, ...] = ()


def clear(folder: Path) -> Cleared:
    """End the supervisor of the sandbox in `folder`, if it still hangs about, and all its processes; remove the
    folder. Pids are signalled only after a look at their start times. Safe to call twice, and by two at once."""
    state = read_state(folder)
    roots: list[Identity] = []
    if state:
        # First, so that it doesn't bring anything back. It may be stopped: only SIGKILL is sure to arrive.
        state.supervisor.send(signal.SIGKILL)
        roots = list(state.processes.values())
    seen = end_all(folder, roots)
    containers = _remove_containers(folder)
    for _ in range(0 if containers else 3):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.05)
    left = [f"process {identity.pid}" for identity in seen if identity.alive]
    left += containers
    left += [f"folder {folder}"] if folder.exists() else []
    return Cleared(ended=sum(not identity.alive for identity in seen), left=tuple(left))


def _remove_containers(folder: Path) -> tuple[str, ...]:
    """What could not be removed of the sandbox's containers; while there are any, its folder must stay."""
    if not (folder / ENGINE).exists():
        return ()
    from harness.sandbox.leftovers import remove  # late: a sandbox of processes does without the engine's library

    return remove(folder)


def end_all(folder: Path, roots: Sequence[Identity]) -> set[Identity]:
    """Ask every process of the sandbox to end, then kill, until a look finds none; returns all that were seen."""
    seen: set[Identity] = set()
    deadline = time.monotonic() + _GRACE
    asked: set[Identity] = set()
    for _ in range(_ROUNDS):
        rest = set(belonging(folder, [*roots, *seen]))
        if not rest:
            break
        seen |= rest
        for identity in rest - asked:
            identity.send(signal.SIGTERM)
        asked |= rest
        while time.monotonic() < deadline and any(identity.alive for identity in rest):
            time.sleep(0.02)
        for identity in rest:
            identity.send(signal.SIGKILL)
        _wait_until_dead(rest, 0.5)
    return seen


def _wait_until_dead(identities: set[Identity], within: float) -> None:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and any(identity.alive for identity in identities):
        time.sleep(0.01)


def homeless(root: Path) -> dict[Path, tuple[Identity, ...]]:
    """Processes that carry the mark of a sandbox of `root` whose folder is gone (somebody swept the folder away),
    by that folder; those whose supervisor still lives are left out."""
    found: dict[Path, tuple[Identity, ...]] = {}
    for name, identities in marked().items():
        folder = Path(name)
        if folder.parent == root and not folder.exists() and not any(_is_supervisor(one) for one in identities):
            found[folder] = identities
    return found


def _is_supervisor(identity: Identity) -> bool:
    """Looked at only to spare a process, never to end one."""
    try:
        return b"harness.sandbox.supervisor" in Path(f"/proc/{identity.pid}/cmdline").read_bytes()
    except OSError:
        return False
