"""Rollback: undo whatever dead runs left: heal what they promised to heal, end their processes, remove their folders.

python -m harness.rollback          every sandbox that nobody looks after any more
python -m harness.rollback --all    live ones too
python -m harness.rollback --heal FOLDER    keep the promises of one sandbox (its supervisor calls this)
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.journal import Journal
from harness.sandbox.control import ask, end_within
from harness.sandbox.runtimes import sandbox_in
from harness.sandbox.state import ENGINE, State, folders, is_dead, read_state, state_root
from harness.sandbox.strays import Cleared, clear, end_all, homeless

# Wall seconds in which a supervisor that has lost its harness is done, by its own bounds.
_SUPERVISOR_ENDS = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What was done about one sandbox. `healed` are faults taken out, `unhealed` those that could not be, with the
    reason: what they did to the sandbox itself ended with it. `unknown` are promises that can't be read at all.
    `untouched` says why nothing was done."""

    sandbox: str
    healed: tuple[str, ...] = ()
    unhealed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    ended: int = 0
    left: tuple[str, ...] = ()
    untouched: str = ""

    def __str__(self) -> str:
        if self.untouched:
            return f"{self.sandbox}: left alone, {self.untouched}"
        said = [f"healed {what}" for what in self.healed]
        said += [f"could not heal {what} (it ended with the sandbox)" for what in self.unhealed]
        said += [f"UNKNOWN PROMISE {what}: undo it by hand" for what in self.unknown]
        said += [f"ended {self.ended} processes"]
        said += [f"LEFT OVER: {what}" for what in self.left] or ["nothing is left"]
        return f"{self.sandbox}: {'; '.join(said)}"


@dataclass(frozen=True, slots=True)
class Rollback:
    """What was done, sandbox by sandbox."""

    repairs: tuple[Repair, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is left that somebody has to look at."""
        return not any(repair.left or repair.unknown for repair in self.repairs)

    def __str__(self) -> str:
        return "\n".join(map(str, self.repairs)) or "nothing to roll back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Healing:
    """The promises of one sandbox, as far as they could be kept."""

    healed: tuple[str, ...] = ()
    unhealed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def rollback(*, everything: bool = False) -> Rollback:
    """Clean up after every sandbox of this user that nobody looks after any more; with `everything`, end the live
    ones too. Safe to call at any time, also twice, also by two at once. Never raises for what one sandbox holds."""
    root = state_root()
    repairs = [_repair(folder, everything) for folder in folders(root)]
    for folder, identities in homeless(root).items():
        seen = end_all(folder, identities)
        left = tuple(f"process {identity.pid}" for identity in seen if identity.alive)
        repairs.append(Repair(sandbox=folder.name, ended=len(seen) - len(left), left=left))
    return Rollback(tuple(repairs))


def _repair(folder: Path, everything: bool) -> Repair:
    name = folder.name
    state = read_state(folder)
    if state and state.supervisor.alive:
        if not everything and (state.detached or (state.owner and state.owner.alive)):
            return Repair(sandbox=name, untouched=_says_who(state))
        if _ends_by_itself(folder, state, ask_it=everything):
            return Repair(sandbox=name)
    elif not everything and not is_dead(folder):
        return Repair(sandbox=name, untouched=_says_who(state) if state else "it has only just been made")
    healing = heal(folder)
    cleared: Cleared = clear(folder)
    return Repair(
        sandbox=name,
        healed=healing.healed,
        unhealed=healing.unhealed,
        unknown=healing.unknown,
        ended=cleared.ended,
        left=cleared.left,
    )


def _says_who(state: State) -> str:
    if state.detached:
        return f"it is up on its own (`gameday down {state.name}` ends it)"
    return f"its run is on (pid {state.owner.pid if state.owner else '?'})"


def _ends_by_itself(folder: Path, state: State, *, ask_it: bool) -> bool:
    """Give a live supervisor the time to end its sandbox; False where it hangs."""
    if ask_it:
        with contextlib.suppress(HarnessError):  # seen below by whether it is gone
            ask(folder, "shut_down", timeout=end_within(folder))
    deadline = time.monotonic() + (_SUPERVISOR_ENDS if not (folder / ENGINE).exists() else end_within(folder))
    while state.supervisor.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    return not state.supervisor.alive and not folder.exists()


def heal(folder: Path) -> Healing:
    """Keep every open promise in the journal of the sandbox in `folder`, the latest first. Never raises."""
    journal = Journal(folder)
    try:
        promises = journal.open_promises()
    except HarnessError as odd:
        return Healing(unknown=(str(odd),))
    if not promises:
        return Healing()
    try:
        # Late: where nothing is promised, no end has to wait for this import.
        from harness.faults import decode
    except Exception as odd:  # a broken installation must not keep us from ending the processes
        return Healing(unknown=tuple(f"{undo} ({type(odd).__name__}: {odd})" for undo in promises.values()))
    healed: list[str] = []
    unhealed: list[str] = []
    unknown: list[str] = []
    for promise, undo in reversed(promises.items()):
        try:
            fault = decode(undo)
        except Exception as odd:  # whatever the journal says, the others are healed too
            unknown.append(f"{undo} ({type(odd).__name__}: {odd})")
            continue
        try:
            fault.heal(sandbox_in(folder))
            journal.kept(promise)
            healed.append(str(fault))
        except Exception as odd:  # as above
            unhealed.append(f"{fault} ({type(odd).__name__}: {odd})")
    return Healing(healed=tuple(healed), unhealed=tuple(unhealed), unknown=tuple(unknown))


def main(arguments: Sequence[str]) -> int:
    """The command line above; returns the exit status: 0, or 5 where something is left to be done by hand."""
    if arguments and arguments[0] == "--heal":
        healing = heal(Path(arguments[1]))
        for kind, found in (("healed", healing.healed), ("NOT healed", (*healing.unhealed, *healing.unknown))):
            for what in found:
                sys.stderr.write(f"{kind}: {what}\n")
        return 5 if healing.unhealed or healing.unknown else 0
    done = rollback(everything="--all" in arguments)
    sys.stderr.write(f"{done}\n")
    return 0 if done.clean else 5


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
