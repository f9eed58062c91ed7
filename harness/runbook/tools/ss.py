"""ss: the sockets of the sandbox's processes, in the form of ss(8)."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.runbook.tools.answer import Answer, refusal
from harness.runbook.tools.held import End, Socket, command_of, handles, inode_of, pids, sockets_of
from harness.sandbox.base import Sandbox

_LONG = {
    "--tcp": "t", "--udp": "u", "--listening": "l", "--numeric": "n", "--all": "a", "--summary": "s", "--options": "o",
    "--no-header": "H", "--processes": "p", "--ipv4": "4", "--ipv6": "6",
}  # fmt: skip
_STATES = {"ESTABLISHED": "ESTAB", "CLOSE": "UNCONN"}
_HEAD = ("Netid", "State", "Recv-Q", "Send-Q", "Local Address:", "Port", "Peer Address:", "Port", "Process")

Holders = Mapping[int, Sequence[tuple[str, int, str]]]  # the inode of a socket -> command, pid, descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class Ss:
    """`ports` are those of this machine that the runbook calls otherwise. Of a listener's queue only its length is
    known, not its limit: its Send-Q is 0, as where the real one has to read /proc/net/tcp."""

    sandbox: Sandbox
    ports: Mapping[int, int]

    def answer(self, arguments: Sequence[str]) -> Answer:
        flags = ""
        for word in arguments:
            known = _LONG.get(word, word[1:] if re.fullmatch(r"-[tulnasoHp46]+", word) else "")
            if not known:
                return refusal("ss", f"{word} is not possible here")
            flags += known
        if not {"t", "u", "s"} & set(flags):
            return refusal("ss", "of the sandbox's sockets it shows those of -t and -u, or the summary of -s")
        try:
            holders = self._holders()
            found = sockets_of(holders)
        except HarnessError as problem:
            return refusal("ss", str(problem))
        note = "ss: of the sandbox's processes only, with the ports that the runbook gives them"
        if "s" in flags:
            return Answer(out=_summary(found, len(holders)), note=note)
        return Answer(out=self._table(found, flags, holders), note=note)

    def _holders(self) -> dict[int, list[tuple[str, int, str]]]:
        found: dict[int, list[tuple[str, int, str]]] = {}
        for pid in pids(self.sandbox):
            for handle in handles(pid):
                if inode := inode_of(handle):
                    found.setdefault(inode, []).append((command_of(pid), pid, handle.descriptor.rstrip("rwu ")))
        return found

    def _table(self, found: Sequence[Socket], flags: str, holders: Holders) -> str:
        kinds = [kind for kind in ("tcp", "udp") if kind[0] in flags]
        rows = [self._row(one, flags, holders) for one in found if one.kind in kinds and _is_wanted(one, flags)]
        shown = [_HEAD, *rows] if "H" not in flags else rows
        widths = [max((len(row[at]) for row in shown), default=0) for at in range(len(_HEAD))]
        return "".join(_line(row, widths, kinds) for row in shown)

    def _row(self, one: Socket, flags: str, holders: Holders) -> tuple[str, ...]:
        state = _STATES.get(one.state, one.state)
        ends = (*self._end(one.local, one, flags), *self._end(one.peer, one, flags))
        used = ",".join(f'("{name}",pid={pid},fd={number})' for name, pid, number in holders.get(one.inode, ()))
        extra = [f"users:({used})"] if "p" in flags and used else []
        if "o" in flags and one.timer:
            kind, left, tries = one.timer
            extra.append(f"timer:({kind},{_time(left)},{tries})")
        return (one.kind, state, str(one.received), str(one.unsent), *ends, " ".join(extra))

    def _end(self, end: End, one: Socket, flags: str) -> tuple[str, str]:
        host = f"[{end.host}]" if one.family == "IPv6" else end.host
        if not end.port:
            return f"{host}:", "*"
        port = self.ports.get(end.port, end.port)
        with suppress(OSError):
            if "n" not in flags:
                return f"{host}:", socket.getservbyport(port, one.kind)
        return f"{host}:", str(port)


def _is_wanted(one: Socket, flags: str) -> bool:
    if {"4", "6"} & set(flags) and one.family[-1] not in flags:
        return False
    if "a" in flags:
        return True
    waits = one.state == "LISTEN" or (one.kind == "udp" and one.state == "CLOSE")
    return waits if "l" in flags else not waits and one.state not in ("CLOSE", "TIME-WAIT", "SYN-RECV")


def _line(row: Sequence[str], widths: Sequence[int], kinds: Sequence[str]) -> str:
    """Hosts end where ports begin, as the real one lines them up."""
    cells = [cell.rjust(widths[at]) if at in (4, 6) else cell.ljust(widths[at]) for at, cell in enumerate(row)]
    joined = [cells[0]] if len(kinds) > 1 else []
    joined += [*cells[1:4], cells[4] + cells[5], cells[6] + cells[7], cells[8]]
    return " ".join(joined).rstrip() + "\n"


def _time(left: float) -> str:
    """Seconds as ss writes them: `1min58sec`, `9.200ms`, `188ms`."""
    minutes, seconds = divmod(left, 60)
    if minutes:
        return f"{minutes:.0f}min" + (f"{int(seconds)}sec" if seconds >= 1 and minutes < 10 else "")
    if seconds >= 10:
        return f"{int(seconds)}sec"
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    parts = (f"{whole}{'.' if thousandths else 'sec'}" if whole else "", f"{thousandths:03d}ms" if thousandths else "")
    return "".join(parts)


def _summary(found: Sequence[Socket], total: int) -> str:
    """What `ss -s` prints. Of TCP, closed ones are those that only wait for their time to end."""
    tcp = [one for one in found if one.kind == "tcp"]
    states = Counter(one.state for one in tcp)
    waiting = states["TIME-WAIT"]
    estab = states["ESTABLISHED"] + states["CLOSE-WAIT"]
    orphaned = sum(not one.inode for one in tcp) - waiting
    lines = [
        f"Total: {total}",
        f"TCP:   {len(tcp)} (estab {estab}, closed {waiting}, orphaned {orphaned}, timewait {waiting})",
        "",
        "Transport Total     IP        IPv6",
        *_transports([one for one in found if one.state != "TIME-WAIT"]),
        "",
    ]
    return "\n".join(lines) + "\n"


def _transports(found: Sequence[Socket]) -> Iterator[str]:
    counts = Counter((one.kind.upper(), one.family) for one in found)
    for name in ("RAW", "UDP", "TCP", "INET", "FRAG"):
        kinds = ("UDP", "TCP") if name == "INET" else (name,)
        four, six = (sum(counts[kind, family] for kind in kinds) for family in ("IPv4", "IPv6"))
        yield f"{name}\t  {four + six:<9} {four:<9} {six:<9}"
