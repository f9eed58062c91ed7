"""Shim: stands in for one tool inside the confined shell, and asks the door what to do.

It runs as `python -I -S shim.py PASS NAME ARGUMENT…` and imports nothing of ours. PASS is a file with the door's port
and its token. The door answers with what to print and how to exit, how long to wait, or what to become.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path


def ask(pass_file: str, argv: list[str]) -> dict[str, object]:
    """What the door says to `argv`; the connection stays open as long as the door needs to do what was asked."""
    port, token = Path(pass_file).read_text(encoding="utf-8").split()
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as door:
        question = {"token": token, "argv": argv, "directory": str(Path.cwd())}
        door.sendall(json.dumps(question).encode() + b"\n")
        door.settimeout(None)
        with door.makefile("rb") as answer:
            decoded: dict[str, object] = json.loads(answer.read())
    return decoded


def main() -> int:
    try:
        answer = ask(sys.argv[1], sys.argv[2:])
    except (OSError, ValueError) as problem:
        sys.stderr.write(f"{sys.argv[2]}: the operations shell did not answer: {problem}\n")
        return 126
    for name in str(answer.get("without", "")).split():
        os.environ.pop(name, None)
    become = answer.get("become")
    if isinstance(become, list):
        os.execv(str(become[0]), [str(part) for part in become])  # noqa: S606 - the argv that the door has checked
    wait = answer.get("wait", 0)
    if isinstance(wait, int | float):
        time.sleep(wait)
    sys.stdout.write(str(answer.get("out", "")))
    sys.stdout.flush()
    sys.stderr.write(str(answer.get("err", "")))
    status = answer.get("status", 0)
    return status if isinstance(status, int) else 1


if __name__ == "__main__":
    sys.exit(main())
