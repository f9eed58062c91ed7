"""Leader: leads the process group of one command, bounds what it prints, and ends all of it with the command.

It runs as `python -I -S leader.py RESULT LIMIT PROGRAM ARGUMENT…`. It starts PROGRAM in its own process group, copies
the first LIMIT bytes of its output to its own, and writes {"status", "dropped"} to the file RESULT. Then it kills its
process group, itself last, so that no background job outlives its command. It imports next to nothing, and nothing
of ours, because it starts once for every command line.
"""

from __future__ import annotations

import os
import select
import signal
import sys

CHUNK = 65536
TICK = 10  # milliseconds between looks at whether the command has ended


def run(limit: int, argv: list[str]) -> tuple[int, int]:
    """Run `argv` to its end; its exit status (negative: by that signal) and how many bytes were not kept."""
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    wiring = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, writer, 2)]
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=wiring, setsigdef=[signal.SIGPIPE])
    os.close(writer)
    watch = select.poll()
    watch.register(reader, select.POLLIN)
    status: int | None = None
    kept = dropped = 0
    while True:
        status = _ended(pid) if status is None else status  # asked before reading: what it wrote last is still read
        ready = watch.poll(0 if status is not None else TICK)
        data = os.read(reader, CHUNK) if ready else b""
        os.write(1, data[: max(0, limit - kept)])
        dropped += max(0, kept + len(data) - max(limit, kept))
        kept = min(limit, kept + len(data))
        if status is not None and not data:
            return status, dropped  # a background job may hold the pipe open still: it is about to be killed
        if ready and not data:  # all have closed it, yet the command goes on
            watch.unregister(reader)
            watch.register(null, 0)


def _ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def end_all() -> None:
    """Kill the whole group, the leader too."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    if os.getpgrp() != os.getpid():
        os.setsid()  # never kill a group that is not ours
    signal.signal(signal.SIGTERM, lambda *_: end_all())
    result, limit, *argv = sys.argv[1:]
    status, dropped = run(int(limit), argv)
    unfinished = result + ".part"
    told = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(told, f'{{"status": {status}, "dropped": {dropped}}}'.encode())
    os.close(told)
    os.rename(unfinished, result)  # noqa: PTH104 - pathlib takes longer to import than all the rest
    end_all()


if __name__ == "__main__":
    main()
