"""redis-cli: the real one where this machine has it, else a small stand-in that speaks the protocol itself (RESP 2)."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from harness.runbook.tools.answer import Answer, refusal
from harness.sandbox.base import Address

_TIMEOUT = 5.0  # seconds for one reply
_WITH_VALUE = frozenset({"-h", "-p", "-n", "-a", "--user", "--pass"})
_ALONE = frozenset({"--raw", "--no-raw", "--csv", "--no-auth-warning"})
# Commands by which a server reaches for others, loads code or writes where it is told to; a script may hold any.
_LEADS_OUT = frozenset(
    {
        "replicaof", "slaveof", "migrate", "module", "cluster", "debug", "sync", "psync", "eval", "evalsha", "eval_ro",
        "evalsha_ro", "fcall", "fcall_ro", "function", "script",
    }
)  # fmt: skip
_FILES = frozenset({"dir", "dbfilename", "appenddirname", "appendfilename", "logfile", "unixsocket", "aclfile"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisCli:
    """`binary` is the real redis-cli or None; `addresses` maps `host:port`, as the runbook says it, to where it is."""

    binary: Path | None
    addresses: Mapping[str, Address]

    def answer(self, arguments: Sequence[str]) -> Answer:
        options: dict[str, str] = {}
        rest = list(arguments)
        while rest and rest[0].startswith("-"):
            option = rest.pop(0)
            if option in _WITH_VALUE and rest:
                options[option] = rest.pop(0)
            elif option not in _ALONE:
                return refusal("redis-cli", f"option {option} is not possible here")
        if not rest:
            return refusal("redis-cli", "a session at a terminal is not possible here: give the command with it")
        place = f"{options.get('-h', 'localhost')}:{options.get('-p', '6379')}".replace("127.0.0.1", "localhost")
        if problem := _leads_out([word.lower() for word in rest]):
            return refusal("redis-cli", problem)
        address = self.addresses.get(place)
        if address is None:
            return refusal("redis-cli", f"{place} is no address that the operations shell knows")
        if self.binary is not None:
            others = [word for pair in options.items() if pair[0] not in ("-h", "-p") for word in pair]
            where = ("-h", address.host, "-p", str(address.port))
            return Answer(become=(str(self.binary), *where, *others, *rest))
        return self._stand_in(address, options, rest)

    @staticmethod
    def _stand_in(address: Address, options: Mapping[str, str], command: Sequence[str]) -> Answer:
        password = options.get("-a", options.get("--pass"))
        before = [["AUTH", *([options["--user"]] if "--user" in options else []), password]] if password else []
        before += [["SELECT", options["-n"]]] if "-n" in options else []
        note = "redis-cli: not on this machine; a stand-in of ours spoke to the server"
        try:
            said = [str(reply) for reply in talk(address, [*before, list(command)])]
        except OSError as problem:
            where = f"{options.get('-h', '127.0.0.1')}:{options.get('-p', '6379')}"
            return Answer(err=f"Could not connect to Redis at {where}: {problem}\n", status=1, note=note)
        except ValueError as problem:
            return Answer(err=f"Error: {problem}\n", status=1, note=note)
        complaints = [reply for reply in said[:-1] if reply != "OK"]
        return Answer(out="\n".join([*complaints, said[-1].rstrip("\r\n")]) + "\n", note=note)


def _leads_out(command: Sequence[str]) -> str:
    if command[0] in _LEADS_OUT and list(command[1:3]) != ["no", "one"]:
        return f"{command[0]} may lead the server out of the sandbox"
    odd = next((word for word in command[2:] if command[:2] == ["config", "set"] and word in _FILES), "")
    return f"config set {odd} decides where the server writes" if odd else ""


def talk(address: Address, commands: Sequence[Sequence[str]]) -> list[str]:
    """Send `commands` one after the other; each reply as redis-cli prints it when its output is no terminal.

    Raises OSError where the server can't be reached, ValueError where it does not speak RESP.
    """
    replies = []
    place = (address.host, address.port)
    with socket.create_connection(place, timeout=_TIMEOUT) as server, server.makefile("rb") as answers:
        for command in commands:
            words = [word.encode() for word in command]
            server.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
            replies.append(_reply(answers))
    return replies


def _reply(answers: BufferedReader) -> str:
    """One reply (https://redis.io/docs/latest/develop/reference/protocol-spec/): a string, number, error or array."""
    line = answers.readline()
    kind, rest = line[:1], line[1:].rstrip(b"\r\n").decode("utf-8", "replace")
    if kind in (b"+", b"-", b":"):
        return rest
    if kind == b"$":
        return "" if int(rest) < 0 else answers.read(int(rest) + 2)[:-2].decode("utf-8", "replace")
    if kind == b"*":
        return "\n".join(_reply(answers) for _ in range(max(0, int(rest))))
    raise ValueError(f"the server does not speak Redis' protocol: {line[:40]!r}")
