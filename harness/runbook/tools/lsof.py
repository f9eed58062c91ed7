"""lsof: what the sandbox's processes have open, in the form of lsof(8)."""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from harness.errors import HarnessError, Unsupported
from harness.runbook.host import Host
from harness.runbook.tools.answer import Answer, refusal
from harness.runbook.tools.held import PROC, Handle, Socket, command_of, handles, inode_of, pids, sockets_of
from harness.sandbox.base import Sandbox

_TYPES = {
    stat.S_IFREG: "REG", stat.S_IFDIR: "DIR", stat.S_IFCHR: "CHR", stat.S_IFBLK: "BLK", stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "sock", stat.S_IFLNK: "LINK",
}  # fmt: skip
_HEAD = ("COMMAND", "PID", "TID", "TASKCMD", "USER", "FD", "TYPE", "DEVICE", "SIZE/OFF", "NODE", "NAME")
_TASK = slice(2, 4)  # the columns that stand only where threads are listed
_LEFT = {0, 3, 10}  # columns that begin at their left
_SAID_AT_ONCE = 1 << 16  # characters that the shim reads in a moment


@dataclass(slots=True)
class _Asked:
    """What a call asks for."""

    pids: set[int] = field(default_factory=set)
    files: list[str] = field(default_factory=list)
    network: str | None = None
    terse: bool = False
    tasks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Lsof:
    """`ports` are those of this machine that the runbook calls otherwise, `host` is what is laid out; `spool` is a
    folder for what is too long to be said, which the program `cat` prints. As the real one it lists the threads of a
    process as well where nothing is chosen, with all that the process has open."""

    sandbox: Sandbox
    ports: Mapping[int, int]
    host: Host | None
    spool: Path
    cat: Path

    def answer(self, arguments: Sequence[str]) -> Answer:
        try:
            asked = _read(arguments)
            rows, missed = self._rows(asked)
        except HarnessError as problem:
            return refusal("lsof", str(problem))
        if asked.terse:
            out = "".join(f"{pid}\n" for pid in dict.fromkeys(row[1] for row in rows))
        else:
            out = _table(rows, tasks=asked.tasks)
        note = "lsof: of the sandbox's processes only"
        if len(out) < _SAID_AT_ONCE or missed:
            return Answer(out=out, err="".join(missed), status=1 if missed or not rows else 0, note=note)
        self.spool.mkdir(exist_ok=True)
        spooled = self.spool / str(len(list(self.spool.iterdir())))
        spooled.write_text(out, encoding="utf-8")
        return Answer(become=(str(self.cat), str(spooled)), note=note)

    def _rows(self, asked: _Asked) -> tuple[list[tuple[str, ...]], list[str]]:
        """One row for each thing that is asked for, and what is to be said of files that are not there."""
        files: dict[str, os.stat_result] = {}
        missed = []
        for name in asked.files:
            try:
                files[name] = self._place(name).stat()
            except OSError as problem:
                missed.append(f"lsof: status error on {name}: {problem.strerror}\n")
        open_now = {pid: list(handles(pid)) for pid in pids(self.sandbox) if not asked.pids or pid in asked.pids}
        every = sockets_of({inode_of(one) for held in open_now.values() for one in held})
        sockets = {one.inode: one for one in every if one.inode}
        wanted = {(found.st_dev, found.st_ino) for found in files.values()}
        found: list[tuple[str, ...]] = []
        for pid, held in open_now.items():
            rows = [self._row(pid, one, sockets) for one in held if self._is_wanted(one, asked, wanted, sockets)]
            found += rows
            for task in _tasks(pid) if asked.tasks else ():
                told = (str(task), command_of(pid, task)[:9])
                found += [(*row[: _TASK.start], *told, *row[_TASK.stop :]) for row in rows]
        return found, missed

    def _place(self, name: str) -> Path:
        """The laid-out file, or one of the sandbox's own by the name that this very tool shows."""
        here = self.host.place(name) if self.host else None
        return here if here and here.exists() else Path(name)

    def _is_wanted(
        self, one: Handle, asked: _Asked, files: set[tuple[int, int]], sockets: Mapping[int, Socket]
    ) -> bool:
        if asked.network is not None:
            found = sockets.get(inode_of(one))
            return found is not None and self._fits(found, asked.network)
        if asked.files:
            return one.status is not None and (one.status.st_dev, one.status.st_ino) in files
        return True

    def _fits(self, found: Socket, network: str) -> bool:
        """Whether a socket is one of `-i NETWORK`: `4`, `TCP`, `:8080`, or several of them (lsof(8))."""
        said = re.fullmatch(r"([46]?)(tcp|udp)?(?::(\d+))?", network, re.IGNORECASE)
        assert said, "checked when it was read"
        ports = {self.ports.get(end.port, end.port) for end in (found.local, found.peer)}
        return (
            found.family.endswith(said[1])
            and (not said[2] or found.kind == said[2].lower())
            and (not said[3] or int(said[3]) in ports)
        )

    def _row(self, pid: int, one: Handle, sockets: Mapping[int, Socket]) -> tuple[str, ...]:
        found, status = sockets.get(inode_of(one)), one.status
        owner = _user(PROC / str(pid))
        # Where no access is shown there is a blank, and another for the lock that is not looked for.
        head = (
            command_of(pid)[:9],
            str(pid),
            "",
            "",
            owner,
            f"{one.descriptor} " if one.descriptor[0].isdigit() else one.descriptor,
        )
        if found is not None:
            return (*head, found.family, str(found.inode), "0t0", found.kind.upper(), self._connection(found))
        if status is None:
            return (*head, "unknown", "", "", "", one.target)
        kind = "a_inode" if one.target.startswith("anon_inode:") else _TYPES.get(stat.S_IFMT(status.st_mode), "unknown")
        device = status.st_rdev if kind in ("CHR", "BLK") else status.st_dev
        size = str(status.st_size) if kind in ("REG", "DIR") else f"0t{one.offset}"
        name = re.sub(r"^(pipe|socket):\[\d+\]$", r"\1", one.target.removeprefix("anon_inode:"))
        name = self.host.back(name) if self.host else name
        return (*head, kind, f"{os.major(device)},{os.minor(device)}", size, str(status.st_ino), name)

    def _connection(self, one: Socket) -> str:
        ends = [f"{_host(end.host)}:{self.ports.get(end.port, end.port)}" for end in (one.local, one.peer) if end.port]
        state = f" ({one.state.replace('-', '_')})" if one.kind == "tcp" else ""
        return "->".join(ends) + state


def _read(arguments: Sequence[str]) -> _Asked:
    """What the words of a call ask for. Raises Unsupported."""
    asked, rest = _Asked(), list(arguments)
    while rest:
        word = rest.pop(0)
        if re.fullmatch(r"-[nPwlt]+", word):
            asked.terse = asked.terse or "t" in word
        elif word == "-Ki" or (word == "-K" and rest[:1] == ["i"]):
            asked.tasks = False
            del rest[: word == "-K"]
        elif word.startswith("-p") and re.fullmatch(r"\d+(,\d+)*", said := word[2:] or "".join(rest[:1])):
            del rest[: not word[2:]]
            asked.pids |= {int(pid) for pid in said.split(",")}
        elif word.startswith("-i"):
            separate = word == "-i" and bool(rest) and re.fullmatch(r"[46]?(tcp|udp)?(:\d+)?", rest[0], re.IGNORECASE)
            asked.network = rest.pop(0) if separate else word[2:]
            if not re.fullmatch(r"[46]?(tcp|udp)?(:\d+)?", asked.network, re.IGNORECASE):
                raise Unsupported(f"-i {asked.network} is not possible here")
        elif word.startswith(("-", "+")):
            raise Unsupported(f"{word} is not possible here")
        else:
            asked.files.append(word)
    if sum(map(bool, (asked.pids, asked.network is not None, asked.files))) > 1:
        raise Unsupported("only one of -p, -i and files is possible here in one call")
    asked.tasks = asked.tasks and not (asked.pids or asked.files or asked.network is not None)
    return asked


def _table(rows: Sequence[tuple[str, ...]], *, tasks: bool) -> str:
    if not rows:
        return ""
    shown = [row if tasks else (*row[: _TASK.start], *row[_TASK.stop :]) for row in (_HEAD, *rows)]
    left = _LEFT if tasks else {0, 8}
    widths = [max(len(row[at]) for row in shown) for at in range(len(shown[0]))]
    lines = (
        " ".join(
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in shown
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _host(address: str) -> str:
    if ip_address(address).is_unspecified:
        return "*"
    return f"[{address}]" if ":" in address else address


def _tasks(pid: int) -> Iterator[int]:
    """The threads of a process besides its first."""
    try:
        yield from sorted(task for one in (PROC / str(pid) / "task").iterdir() if (task := int(one.name)) != pid)
    except (FileNotFoundError, ProcessLookupError):
        return


def _user(folder: Path) -> str:
    try:
        owner = folder.stat().st_uid
    except OSError:
        return "?"
    try:
        return pwd.getpwuid(owner).pw_name[:8]
    except KeyError:
        return str(owner)
