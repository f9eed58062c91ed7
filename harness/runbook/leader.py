"""Leader: leads the process group of one command, bounds what it prints, and ends all of it with the command.

It runs as `python -I -S leader.py RESULT LIMIT PROGRAM ARGUMENT…`. It starts PROGRAM in its own process group, copies
the first LIMIT bytes of its output to its own, and writes {"status", "dropped", "crowded"} to the file RESULT. Then it
kills all of its session, itself last, so that no background job outlives its command: with `set -m` each job has a
group of its own, and nothing in the shell can leave the session. A command of more than CROWD processes is ended at
once. It imports next to nothing, and nothing of ours, because it starts once for every command line.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

CHUNK = 65536
TICK = 10  # milliseconds between looks at whether the command has ended
CROWD = 256  # processes of one command
ROUNDS = 200  # of killing what was started while we killed


def run(limit: int, argv: list[str]) -> tuple[int, int, bool]:
    """Run `argv` to its end, or until it is a crowd: its exit status (negative: by that signal), how many bytes were
    not kept, and whether it was a crowd."""
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    wiring = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, writer, 2)]
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=wiring, setsigdef=[signal.SIGPIPE])
    os.close(writer)
    watch = select.poll()
    watch.register(reader, select.POLLIN)
    status: int | None = None
    kept = dropped = 0
    tasks, looked = machine_tasks(), time.monotonic()
    while True:
        if (now := time.monotonic()) - looked > TICK / 1000:
            looked = now
            # The machine's own number is cheap to read. Counting ours takes longer than some crowds leave us.
            grown = machine_tasks() - tasks
            if grown > 4 * CROWD or (grown > CROWD and len(session()) > CROWD):
                return -signal.SIGKILL, dropped, True
        status = _ended(pid) if status is None else status  # asked before reading: what it wrote last is still read
        ready = watch.poll(0 if status is not None else TICK)
        data = os.read(reader, CHUNK) if ready else b""
        os.write(1, data[: max(0, limit - kept)])
        dropped += max(0, kept + len(data) - max(limit, kept))
        kept = min(limit, kept + len(data))
        if status is not None and not data:
            return status, dropped, False  # a background job may hold the pipe open still: it is about to be killed
        if ready and not data:  # all have closed it, yet the command goes on
            watch.unregister(reader)
            watch.register(null, 0)


def _ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def machine_tasks() -> int:
    """How many processes and threads this machine has; 0 where it does not say (proc(5), loadavg)."""
    try:
        with open("/proc/loadavg", "rb") as told:  # noqa: PTH123 - as with `rename` below
            return int(told.read().split()[3].split(b"/")[1])
    except OSError:
        return 0


def session() -> list[tuple[int, int]]:
    """The others of our session that still run, as (pid, process group); nobody where there is no /proc."""
    ours, me = os.getsid(0), os.getpid()
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():  # noqa: PTH112, PTH208 - as with `rename` below
        if name.isdigit() and int(name) != me:
            try:
                with open(f"/proc/{name}/stat", "rb") as told:  # noqa: PTH123 - as with `rename` below
                    state, _, group, its = told.read().rpartition(b")")[2].split()[:4]  # proc(5), stat
            except OSError:  # it has ended since
                continue
            if int(its) == ours and state != b"Z":
                found.append((int(name), int(group)))
    return found


def end_jobs() -> None:
    """Kill the other process groups of our session."""
    mine = os.getpgrp()
    for _ in range(ROUNDS):
        others = {group for _, group in session() if group != mine}
        for group in others:
            try:
                os.killpg(group, signal.SIGKILL)
            except OSError:  # it has ended since
                continue
        if not others:
            return


def end_all() -> None:
    """Kill the whole session: the groups of jobs, then our own in one stroke, the leader with it."""
    end_jobs()
    os.killpg(os.getpgrp(), signal.SIGKILL)


def end_crowd(result: str, dropped: int) -> None:
    """Kill our own group before anything else, since a crowd grows faster than it can be counted; a child that stands
    aside tells of it, and looks for what is left."""
    mine = os.getpgrp()
    try:
        aside = os.fork()
        os.setpgid(aside, aside)  # 0 is the child itself
    except OSError:
        aside = -1
    if aside:
        os.killpg(mine, signal.SIGKILL)
    tell(result, -signal.SIGKILL, dropped, crowded=True)  # before anybody wonders why the leader is gone
    end_jobs()
    os._exit(0)


def tell(result: str, status: int, dropped: int, *, crowded: bool) -> None:
    """Write the file RESULT, all at once."""
    unfinished = result + ".part"
    told = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(told, f'{{"status": {status}, "dropped": {dropped}, "crowded": {int(crowded)}}}'.encode())
    os.close(told)
    os.rename(unfinished, result)  # noqa: PTH104 - pathlib takes longer to import than all the rest


def main() -> None:
    if os.getpgrp() != os.getpid():
        os.setsid()  # never kill a group that is not ours
    signal.signal(signal.SIGTERM, lambda *_: end_all())
    result, limit, *argv = sys.argv[1:]
    status, dropped, crowded = run(int(limit), argv)
    if crowded:
        end_crowd(result, dropped)
    tell(result, status, dropped, crowded=False)
    end_all()


if __name__ == "__main__":
    main()
