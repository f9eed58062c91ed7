"""Door: the one way from inside the confined shell to the sandbox; it serves the shell's tools and nothing else.

It listens on loopback while a shell is open, and answers only callers that show the shell's own token, which stands
in a file that nobody else may read. It is served by the thread that waits for the command, so the sandbox is never
called from two threads. One call is one connection: the token, the length of the argv and the argv, each ended by a
NUL; then the answer, as shim.sh describes it.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harness.runbook.tools.answer import WITHOUT, Answer, Tool, refusal

_LARGEST = 4 << 20  # bytes of one question
_PATIENCE = 2.0  # seconds that a caller gets to say what it wants


class Door:
    """Serves `tools`, by name. Close it when done; `answers` has what was answered since the last `forget`."""

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self._tools = tools
        self._token = secrets.token_hex(16)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._nowhere = socket.socket()
        self._nowhere.bind(("127.0.0.1", 0))  # never listens: whoever connects to it is refused
        self.answers: list[Answer] = []

    @property
    def nowhere(self) -> int:
        """A loopback port on which nobody listens, kept free as long as the door is open."""
        return int(self._nowhere.getsockname()[1])

    def write_pass(self, path: Path) -> None:
        """Write what a tool must show to be let in."""
        path.touch(mode=0o600)
        path.write_text(f"{self._listening.getsockname()[1]} {self._token}\n", encoding="utf-8")

    def add(self, name: str, tool: Tool) -> None:
        self._tools = {**self._tools, name: tool}

    def serve(self, wait: float) -> None:
        """Answer one caller, if one comes within `wait` wall seconds."""
        ready, _, _ = select.select([self._listening], [], [], wait)
        if ready:
            caller, _ = self._listening.accept()
            with caller, suppress(OSError):  # a caller that is gone is not our trouble
                caller.settimeout(_PATIENCE)
                caller.sendall(b"".join(os.fsencode(field) + b"\0" for field in self._answer(caller)))

    def _answer(self, caller: socket.socket) -> Sequence[str]:
        token, argv = _asked(caller)
        if not argv or not secrets.compare_digest(token.encode("utf-8", "replace"), self._token.encode()):
            return _said(Answer(err="the operations shell does not know this caller\n", status=126))
        tool = self._tools.get(argv[0])
        answer = tool.answer(argv[1:]) if tool else refusal(argv[0], "this shell has no such tool")
        self.answers.append(answer)
        return ("become", WITHOUT, *answer.become) if answer.become else _said(answer)

    def forget(self) -> None:
        self.answers.clear()

    def close(self) -> None:
        self._listening.close()
        self._nowhere.close()


def _said(answer: Answer) -> Sequence[str]:
    return ("say", answer.out.replace("\0", ""), answer.err.replace("\0", ""), str(answer.status))


def _asked(caller: socket.socket) -> tuple[str, list[str]]:
    """The token and the argv that a caller sends; an empty argv where it says nothing sensible in time."""
    said = b""
    while len(said) < _LARGEST:
        fields = said.split(b"\0")
        if len(fields) > 2 and (not fields[1].isdigit() or len(fields) > 2 + int(fields[1])):
            break
        more = caller.recv(65536)
        if not more:
            break
        said += more
    token, count, *argv = [*(os.fsdecode(field) for field in said.split(b"\0")[:-1]), "", ""][
        : max(2, said.count(b"\0"))
    ]
    return token, argv if count.isdigit() and len(argv) == int(count) else []
