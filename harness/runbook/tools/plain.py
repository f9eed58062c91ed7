"""Plain tools: sleep on runbook time, nginx's reload, text filters that could also write, a stand-in, and all that is
refused."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.clock import Clock
from harness.errors import HarnessError
from harness.runbook.tools.answer import Answer, refusal
from harness.sandbox.base import CanKill, HasLogs, Sandbox

_SLEEP = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)")
_AT_ONCE, _LOOK = 0.3, 0.02  # wall seconds in which a server complains, and between looks at its log
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

# Tools that only read, and are run as they are.
READERS = (
    "cat", "cut", "df", "egrep", "fgrep", "free", "grep", "head", "iostat", "jq", "ls", "nproc", "ps", "seq", "tail",
    "top", "tr", "uname", "uptime", "wc",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sleep:
    """`sleep` waits on runbook time: `scale` runbook seconds pass in one. `binary` is the real sleep."""

    binary: Path
    scale: float

    def answer(self, arguments: Sequence[str]) -> Answer:
        matches = [_SLEEP.fullmatch(argument) for argument in arguments]
        if not matches:
            return Answer(err="sleep: missing operand\n", status=1)
        total = 0.0
        for match, argument in zip(matches, arguments, strict=True):
            if match is None:
                return Answer(err=f"sleep: invalid time interval '{argument}'\n", status=1)
            total += float(match[1]) * _SECONDS[match[2]]
        wait = total / self.scale
        note = "" if self.scale == 1 else f"sleep: {total:g} s of the runbook are {wait:.3g} s here"
        return Answer(become=(str(self.binary), f"{wait:.6f}"), wait=wait, saved=total - wait, note=note)


@dataclass(frozen=True, slots=True)
class Nginx:
    """`nginx -s reload` sends the sandbox's nginx the signal that the real one would. `service` is what the unit
    `nginx` stands for, empty where there is none.

    The real one reads the configuration itself first, and fails where it is wrong. Here the server reads it, and goes
    on with the old one; what its log says of that at once is said to the caller.
    """

    sandbox: Sandbox
    service: str
    clock: Clock

    def answer(self, arguments: Sequence[str]) -> Answer:
        if list(arguments) != ["-s", "reload"]:
            return refusal("nginx", f"{' '.join(arguments) or 'to start one'} is not possible here")
        if not self.service or not isinstance(self.sandbox, CanKill):
            return refusal("nginx", "this sandbox has no nginx that could be told to reload")
        try:
            said_before = len(self._log())
            self.sandbox.kill(self.service, signal.SIGHUP)
            complaint = self._complaint(said_before)
        except HarnessError as problem:
            return Answer(err=f"nginx: [error] {problem}\n", status=1)
        return Answer(err=f"nginx: {complaint}\n", status=1) if complaint else Answer()

    def _log(self) -> str:
        return self.sandbox.log(self.service) if isinstance(self.sandbox, HasLogs) else ""

    def _complaint(self, after: int) -> str:
        """What the server says of its new configuration, in its log after so many characters; empty if nothing."""
        until = self.clock.now() + _AT_ONCE
        while True:
            if found := re.search(r"\[emerg\][^\n]*\n", self._log()[after:]):
                return found[0].rstrip()
            if self.clock.now() >= until:
                return ""
            self.clock.sleep(_LOOK)


@dataclass(frozen=True, slots=True)
class Filter:
    """A text filter that could also write files or start programs: `unsafe` says where a call would do so."""

    name: str
    binary: Path
    unsafe: Callable[[Sequence[str]], str]
    first: tuple[str, ...] = ()

    def answer(self, arguments: Sequence[str]) -> Answer:
        if problem := self.unsafe(arguments):
            return refusal(self.name, problem)
        return Answer(become=(str(self.binary), *self.first, *arguments))


_AWK_OPTION = re.compile(r"-|--|-[vF].*|--(assign|field-separator)=.*|--posix|--re-interval|--version", re.DOTALL)


def unsafe_awk(arguments: Sequence[str]) -> str:
    """awk starts programs by system() and pipes, and writes by >. A pipe or a > inside quotes is refused as well.
    Of its options few are let through: some of the others, in any abbreviation, read a program or write a file."""
    for argument in arguments:
        if argument.startswith("-") and not _AWK_OPTION.fullmatch(argument):
            return f"{argument} may read a program or write a file"
        if found := re.search(r"system|getline|[|>]|@", argument):
            return f"{found[0]!r} may start a program or write a file"
    return ""


def unsafe_sed(arguments: Sequence[str]) -> str:
    """sed -i writes files, -f reads a program, also as --i and --f; the commands e, r and w are stopped by sed's own
    --sandbox."""
    unsafe = (argument for argument in arguments if re.match(r"-[a-zA-Z]*[if]|--[if]", argument))
    return next((f"{argument} may write a file" for argument in unsafe), "")


def unsafe_sort(arguments: Sequence[str]) -> str:
    """sort -o writes a file, and others of its options start a program or leave files behind; each in any
    abbreviation that sort itself takes."""
    unsafe = (argument for argument in arguments if re.match(r"-[a-zA-Z]*[oT]|--(o|co|t|files)", argument))
    return next((f"{argument} may write a file or start a program" for argument in unsafe), "")


def unsafe_uniq(arguments: Sequence[str]) -> str:
    """The second file that uniq is given is one to write."""
    files = (argument for argument in arguments if not re.fullmatch(r"-.+|\d+", argument))
    return next(
        (f"{name}: give it its input through a pipe, since a second name would be written" for name in files), ""
    )


def unsafe_date(arguments: Sequence[str]) -> str:
    """date -s, or a date alone, sets the clock."""
    unsafe = (argument for argument in arguments if re.match(r"-[a-zA-Z]*s|--s|\d", argument))
    return next((f"{argument} may set this machine's clock" for argument in unsafe), "")


FILTERS: dict[str, tuple[Callable[[Sequence[str]], str], tuple[str, ...]]] = {
    "awk": (unsafe_awk, ()),
    "sed": (unsafe_sed, ("--sandbox",)),
    "sort": (unsafe_sort, ()),
    "uniq": (unsafe_uniq, ()),
    "date": (unsafe_date, ()),
}


@dataclass(frozen=True, slots=True)
class StandIn:
    """A program of ours, `script`, for a reader that this machine does not have."""

    name: str
    script: Path

    def answer(self, arguments: Sequence[str]) -> Answer:
        become = (sys.executable, "-I", "-S", str(self.script), *arguments)
        return Answer(become=become, note=f"{self.name}: by a stand-in, since this machine has none")


@dataclass(frozen=True, slots=True)
class Refuse:
    """All that this shell does not have: bash asks it with the command that it could not find."""

    def answer(self, arguments: Sequence[str]) -> Answer:
        name = arguments[0] if arguments else "?"
        reason = f"{name}: not possible here: this shell has no such command"
        return Answer(err=f"{reason}\n", status=127, refused=reason)
