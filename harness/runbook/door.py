"""Door: the one way from inside the confined shell to the sandbox; it serves the shell's tools and nothing else.

It listens on loopback while a shell is open, and answers only callers that show the shell's own token, which stands
in a file that nobody else may read. It is served by the thread that waits for the command, so the sandbox is never
called from two threads. One call is one connection: a line of JSON with the token and the argv, then the answer.
"""

from __future__ import annotations

import json
import secrets
import select
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from harness.runbook.tools.answer import WITHOUT, Answer, Tool, refusal

_LARGEST = 1 << 20  # bytes of one question
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
        path.write_text(f"{self._listening.getsockname()[1]} {self._token}", encoding="utf-8")

    def add(self, name: str, tool: Tool) -> None:
        self._tools = {**self._tools, name: tool}

    def serve(self, wait: float) -> None:
        """Answer one caller, if one comes within `wait` wall seconds."""
        ready, _, _ = select.select([self._listening], [], [], wait)
        if ready:
            caller, _ = self._listening.accept()
            with caller, suppress(OSError):  # a caller that is gone is not our trouble
                caller.settimeout(_PATIENCE)
                caller.sendall(json.dumps(self._answer(caller)).encode())

    def _answer(self, caller: socket.socket) -> dict[str, object]:
        with caller.makefile("rb") as lines:
            line = lines.readline(_LARGEST)
        try:
            question = json.loads(line)
            argv = [str(word) for word in question["argv"]]
            known = secrets.compare_digest(str(question["token"]), self._token)
        except (ValueError, KeyError, TypeError):
            known, argv = False, []
        if not known or not argv:
            return {"err": "the operations shell does not know this caller\n", "status": 126}
        tool = self._tools.get(argv[0])
        answer = tool.answer(argv[1:]) if tool else refusal(argv[0], "this shell has no such tool")
        self.answers.append(answer)
        return {
            "out": answer.out,
            "err": answer.err,
            "status": answer.status,
            "wait": answer.wait,
            "become": list(answer.become) or None,
            "without": WITHOUT,
        }

    def forget(self) -> None:
        self.answers.clear()

    def close(self) -> None:
        self._listening.close()
        self._nowhere.close()
