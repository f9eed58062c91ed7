"""Limits and memory on real processes, as the kernel sees them."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.sandbox.base import Limits
from harness.sandbox.identity import Identity, belonging
from harness.sandbox.limits import Restraint, own_cores
from harness.sandbox.processes import ProcessSandbox, open_sandbox
from tests.sandbox.stack import eventually, write_stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
CORES = sorted(os.sched_getaffinity(0))
TWO = pytest.mark.skipif(len(CORES) < 2, reason="one core can't be told from another on a machine with one")
MB = 2**20


def soft(pid: int, kind: int) -> int:
    return resource.prlimit(pid, kind)[0]


# -- one process -----------------------------------------------------------------------------------------------------


@contextmanager
def running(code: str) -> Iterator[int]:
    """A Python process of its own that runs `code`, which prints a line once it is up, and then waits."""
    wait = "\nprint(flush=True)\nimport time\ntime.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", code + wait], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@TWO
def test_lifting_gives_back_what_a_process_had_of_its_own() -> None:
    """Cores and open files that a process had chosen itself are there again after a limit and another, each once it is
    lifted and not before."""
    mine = f"import os, resource; os.sched_setaffinity(0, [{CORES[1]}])"
    mine += "; resource.setrlimit(resource.RLIMIT_NOFILE, (77, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))"
    with running(mine) as pid:
        restraint = Restraint(lambda: {pid})
        restraint.order(Limits(cores=frozenset(CORES[:1]), open_files=50))
        assert (os.sched_getaffinity(pid), soft(pid, resource.RLIMIT_NOFILE)) == ({CORES[0]}, 50)
        restraint.order(Limits(open_files=40))
        assert (os.sched_getaffinity(pid), soft(pid, resource.RLIMIT_NOFILE)) == ({CORES[0]}, 40)
        restraint.lift(["cores"])
        assert (os.sched_getaffinity(pid), soft(pid, resource.RLIMIT_NOFILE)) == ({CORES[1]}, 40)
        restraint.lift(["open_files"])
        assert (os.sched_getaffinity(pid), soft(pid, resource.RLIMIT_NOFILE)) == ({CORES[1]}, 77)


@TWO
def test_every_thread_is_limited_and_given_back_its_own() -> None:
    """A limit of cores reaches the threads that pinned themselves, and each gets back what it had."""
    code = f"""
import os, threading, time
def pinned():
    os.sched_setaffinity(0, [{CORES[1]}])
    up.set()
    time.sleep(60)
up = threading.Event()
threading.Thread(target=pinned, daemon=True).start()
up.wait()
"""
    with running(code) as pid:
        threads = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
        before = {thread: os.sched_getaffinity(thread) for thread in threads}
        assert len({frozenset(cores) for cores in before.values()}) == 2
        restraint = Restraint(lambda: {pid})
        assert restraint.in_force().cores is None, "they differ"
        restraint.order(Limits(cores=frozenset(CORES[:1])))
        assert all(os.sched_getaffinity(thread) == {CORES[0]} for thread in threads)
        assert restraint.in_force().cores == frozenset(CORES[:1])
        restraint.lift(["cores"])
        assert {thread: os.sched_getaffinity(thread) for thread in threads} == before


@TWO
def test_what_is_in_force_is_read_and_not_remembered() -> None:
    """A limit that somebody takes off behind our back is not told as in force; one that somebody puts on is."""
    with running("") as pid:
        restraint = Restraint(lambda: {pid})
        restraint.order(Limits(cores=frozenset(CORES[:1]), open_files=50))
        os.sched_setaffinity(pid, CORES)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
        assert restraint.in_force() == Limits()
        restraint.lift(["cores", "open_files"])
        os.sched_setaffinity(pid, CORES[1:2])
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (30, soft(pid, resource.RLIMIT_NOFILE)))
        assert restraint.in_force() == Limits(cores=frozenset(CORES[1:2]), open_files=30)


def test_a_process_that_differs_from_its_siblings_makes_a_limit_untold() -> None:
    """Where one process of several is not limited, none of them is told as limited."""
    with running("") as one, running("") as other:
        restraint = Restraint(lambda: {one, other})
        restraint.order(Limits(open_files=50))
        assert restraint.in_force().open_files == 50
        hard = resource.prlimit(other, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(other, resource.RLIMIT_NOFILE, (60, hard))
        assert restraint.in_force().open_files is None


def test_hard_limits_are_never_touched() -> None:
    """What a process may raise its own limit to stays as it was; the machine's own limits are ours."""
    kinds = (resource.RLIMIT_NOFILE, resource.RLIMIT_DATA)
    with running("") as pid:
        before = [resource.prlimit(pid, kind)[1] for kind in kinds]
        Restraint(lambda: {pid}).order(Limits(open_files=50, memory=100 * MB))
        assert soft(pid, resource.RLIMIT_DATA) == 200 * MB + 512 * MB
        assert [resource.prlimit(pid, kind)[1] for kind in kinds] == before
    assert own_cores() == frozenset(CORES)


# -- services --------------------------------------------------------------------------------------------------------


def service(folder: Path, code: str, **more: Any) -> AbstractContextManager[ProcessSandbox]:
    """A sandbox with the one service `app`, which runs `code`."""

    port = ["{port:9000}"] if "expose" in more else []

    def only(services: dict[str, Any]) -> None:
        services.clear()
        services["app"] = {"x-process": {"command": ["{python}", "-c", code, *port]}, **more}

    return open_sandbox(write_stack(folder, only), parts={}, render={}, logs=folder / "logs")


def said(sandbox: ProcessSandbox, pattern: str) -> str:
    """What the service's log says, once it does."""
    assert eventually(lambda: re.search(pattern, sandbox.log("app")), 10), sandbox.log("app")
    match = re.search(pattern, sandbox.log("app"))
    assert match
    return match[1]


RAISES = """
import resource, socket, subprocess, sys, time
born, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(born + 9, hard), hard))
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("born with", born, flush=True)
time.sleep(0.5)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    time.sleep(60)
"""


def test_a_limit_is_there_from_birth_and_put_back_where_a_service_raised_its_own(state: Path, tmp_path: Path) -> None:
    """A service that is started limited has the limit before its program runs; one that raises it while it starts, with
    all that it forked, has it again once it is ready."""
    with service(tmp_path, RAISES, expose=["9000"]) as sandbox:
        sandbox.limit("app", Limits(open_files=61))
        sandbox.restart("app")
        assert said(sandbox, r"born with (61)")
        assert [soft(process.pid, resource.RLIMIT_NOFILE) for process in sandbox.processes("app")] == [61, 61]
        sandbox.lift("app", "open_files")
        assert [soft(process.pid, resource.RLIMIT_NOFILE) for process in sandbox.processes("app")] == [70, 70]


HUNGRY = """
import subprocess, sys, time
eat = "held = []\\nimport time\\nwhile True:\\n held.append(b'x' * 4 * 2**20)\\n time.sleep(0.02)"
child = subprocess.Popen([sys.executable, "-c", eat])
print("child", child.pid, flush=True)
print("ended with", child.wait(), flush=True)
time.sleep(60)
"""


def test_the_process_that_takes_too_much_is_killed_and_its_siblings_live(state: Path, tmp_path: Path) -> None:
    """A worker that grows without end is killed a little past the limit; the main process sees it and goes on; the
    log has the kernel's words, and the event says how much was held."""
    with service(tmp_path, HUNGRY, mem_limit="100m") as sandbox:
        main = sandbox.processes("app")[0].pid
        child = said(sandbox, r"child (\d+)")
        assert said(sandbox, r"ended with (-\d+)") == str(-signal.SIGKILL)
        line = said(sandbox, r"(Memory cgroup out of memory: .*)\n")
        assert f"Killed process {child} (python" in line
        assert re.search(r"anon-rss:\d{5,6}kB", line)
        (event,) = [event for event in sandbox.events() if event.kind == "service.oom-killed"]
        assert event.details["pid"] == int(child)
        held = event.details["resident"]
        assert isinstance(held, int)
        assert 100 * MB < held < 200 * MB
        assert [process.pid for process in sandbox.processes("app")] == [main]


GULP = """
import time
try:
    held = bytearray(2**30)
except MemoryError:
    print("refused", 1, flush=True)
time.sleep(60)
"""


def test_one_gulp_beyond_the_backstop_is_refused(state: Path, tmp_path: Path) -> None:
    """What a process takes at once, faster than anybody could look, stops at the backstop that it was born with."""
    with service(tmp_path, GULP, mem_limit="100m") as sandbox:
        assert said(sandbox, r"refused (1)")
        assert [event.kind for event in sandbox.events()].count("service.oom-killed") == 0


LOOP = "import sys, time; time.sleep(float(len(sys.argv) > 9)); print('again', 1, flush=True); time.sleep(0.02)"


def test_a_crash_loop_is_held_down_while_nothing_runs(state: Path, tmp_path: Path) -> None:
    """A service that is between two attempts of its policy is held down too."""
    with service(tmp_path, LOOP, restart="always") as sandbox:

        def attempts() -> int:
            return sandbox.services()[0].starts

        assert eventually(lambda: attempts() >= 3, 10)
        assert eventually(lambda: not sandbox.processes("app"), 5)
        sandbox.kill("app", signal.SIGKILL, stay_down=True)
        seen = attempts()
        time.sleep(1.0)  # its next attempt would have been due after 0.4 s
        assert attempts() == seen
        assert sandbox.services()[0].detail.endswith("held down until somebody starts it")


BREEDER = """
import os, time
while True:
    if os.fork() == 0:
        os.setsid()
        time.sleep(60)
        os._exit(0)
    time.sleep(0.005)
"""


def test_a_kill_reaches_what_is_forked_meanwhile(state: Path, tmp_path: Path) -> None:
    """A service that forks all the time, into sessions of their own, leaves nobody behind."""
    with service(tmp_path, BREEDER) as sandbox:
        assert eventually(lambda: len(sandbox.processes("app")) > 10, 10)
        sandbox.kill("app", signal.SIGKILL, stay_down=True)
        supervisor = {int(sandbox._ask("ping")["pid"])}
        assert eventually(lambda: {one.pid for one in belonging(sandbox.folder)} <= supervisor, 3)


LEAVES = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print("child", child.pid, flush=True)
time.sleep(60)
"""


def test_a_stop_leaves_nobody_behind(state: Path, tmp_path: Path) -> None:
    """What a service started in a session of its own ends with it when an operator stops it."""
    with service(tmp_path, LEAVES) as sandbox:
        child = int(said(sandbox, r"child (\d+)"))
        sandbox.stop("app")
        assert eventually(lambda: Identity.of(child) is None, 2)
