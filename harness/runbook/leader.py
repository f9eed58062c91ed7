"""Leader: leads the process group of one command, bounds what it prints, and ends all of it with the command.

It runs as `python -I -S leader.py RESULT LIMIT ARGUMENT…` and imports nothing of ours: it starts ARGUMENT… in its own
process group, copies the first LIMIT bytes of its output to its own, and writes {"status", "dropped"} to the file
RESULT. Then it kills its process group, itself last, so that no background job outlives its command.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path

CHUNK = 65536


def run(limit: int, argv: list[str]) -> tuple[int, int]:
    """Run `argv` to its end; its exit status (negative: by that signal) and how many bytes were not kept."""
    reader, writer = os.pipe()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer) as process:
        os.close(writer)
        os.set_blocking(reader, False)
        kept = dropped = 0
        with selectors.DefaultSelector() as selector:
            selector.register(reader, selectors.EVENT_READ)
            while True:
                ended = process.poll() is not None  # asked before reading: what it wrote last is then still read
                ready = selector.select(0 if ended else 0.01)
                data = _read(reader) if ready else b""
                taken = data[: max(0, limit - kept)]
                os.write(1, taken)
                kept += len(taken)
                dropped += len(data) - len(taken)
                if ready and not data:  # every writer has closed it
                    process.wait()
                    break
                if ended and not data:  # a background job holds it open: it is about to be killed
                    break
    os.close(reader)
    return process.returncode, dropped


def _read(reader: int) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return os.read(reader, CHUNK)
    return b""


def main() -> None:
    if os.getpgrp() != os.getpid():
        os.setsid()  # never kill a group that is not ours
    signal.signal(signal.SIGTERM, lambda *_: end_all())
    result, limit, *argv = sys.argv[1:]
    status, dropped = run(int(limit), argv)
    unfinished = Path(result + ".part")
    unfinished.write_text(json.dumps({"status": status, "dropped": dropped}), encoding="utf-8")
    unfinished.rename(result)
    end_all()


def end_all() -> None:
    """Kill the whole group, the leader too."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
