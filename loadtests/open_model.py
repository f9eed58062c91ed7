"""Open model: send Locust's users when the plan says so, whatever the system does, and say honestly what became of it.

    python -m loadtests.open_model --plan plan.json --users loadtests/users.py --host http://127.0.0.1:8080 \\
        --samples samples.csv --progress progress.json --sign-off sign-off.json

It runs in a process of its own, because importing locust changes sockets for the whole process. SIGTERM ends it in
order: no more arrivals, a while for what is still open (`--drain`), the rest written as unanswered, and a sign-off.
A second SIGTERM skips the while. Without a sign-off the samples are not whole. Exit status: 0 signed off, 2 settings
that can't work, anything else broken.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
import locust
from gevent.event import Event
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser

from harness.model.load import Arrivals, Sample
from loadtests.arrival import Arrival, Request, named, said, status_of
from loadtests.crowd import Crowd, CrowdError, Seat, Task, read_users, run_task, task_name
from loadtests.fence import close_fence, is_allowed
from loadtests.lateness import Lateness, Pauses
from loadtests.sample_file import SampleFile
from loadtests.watch import MARK, watch_client

SIGN_OFF_FORMAT = 1
TICK = 0.1  # seconds between flushes
LEAD = 0.05  # seconds from ready to the first planned instant, so that the first arrivals are not late
LAST_WORDS = 2.0  # seconds for what the user file does when the test stops
ERRORS_SAID = 20  # of each run, on stderr; the samples have them all


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says. Durations in wall seconds."""

    plan: Arrivals
    users: str
    host: str
    samples: Path
    progress: Path
    sign_off: Path
    seed: int
    open_at_most: int
    timeout: float
    drain: float
    at_most: float
    allow: tuple[str, ...]


class OpenModel:
    """The engine: sends each arrival at its planned instant and keeps count.

    `sent` counts the arrivals that have really started: `sent = finished + in_flight` at the end, and what the plan
    called for beyond `sent + dropped` is what the engine did not get round to.
    """

    def __init__(self, settings: Settings, file: SampleFile) -> None:
        self._settings = settings
        self._file = file
        self._offset = time.time() - time.monotonic()
        self._stop = Event()
        self._at_once = Event()
        self._empty = Event()
        self._open: set[Arrival] = set()
        self._serving: dict[Any, Arrival] = {}
        self._lateness = Lateness()
        self._pauses = Pauses()
        self._parent = os.getppid()
        self._over = False
        self.reason = ""
        self.sent = self.finished = self.dropped = self.in_flight = self.open_most = 0
        self.task_errors = self.strays = 0
        self.began = self.stopped = 0.0
        self._cpu = 0.0
        self._crowd = Crowd(
            read_users(settings.users),
            host=settings.host,
            timeout=settings.timeout,
            seed=settings.seed,
            prepare=lambda seat: watch_client(seat, timeout=settings.timeout),
        )

    def now(self) -> float:
        """Wall seconds since the epoch; follows the monotonic clock, as the harness does."""
        return time.monotonic() + self._offset

    # -- the run -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Follow the plan until it ends or somebody stops us, drain, and account for every arrival."""
        events: Any = locust.events
        events.request.add_listener(self._on_request)
        events.init.fire(environment=self._crowd.environment, runner=None, web_ui=None)
        self._crowd.make_one_of_each()
        random.seed(self._settings.seed)  # the users' own draws
        events.test_start.fire(environment=self._crowd.environment)
        self._pauses.watch()
        self._cpu = time.process_time()
        self.began = self.now() + LEAD
        self._tell()
        ticker = gevent.spawn(self._tick)
        ticker.link_exception(lambda _: os._exit(1))  # samples can't be written: there is nothing left to do
        self._arrive()
        self.stopped = max(self.began, self.stopped or self.now())
        self._drain()
        ticker.kill()
        with gevent.Timeout(LAST_WORDS, exception=False):
            events.test_stop.fire(environment=self._crowd.environment)
        self._tell()

    def stop(self, reason: str) -> None:
        """No more arrivals; the second time, no more waiting either."""
        if self._stop.is_set():
            self._at_once.set()
        self.reason = self.reason or reason
        self.stopped = self.stopped or self.now()
        self._stop.set()

    def _arrive(self) -> None:
        plan = self._settings.plan
        for offset in plan.times(seed=self._settings.seed):
            if self._waits_until(self.began + offset):
                return
            self._send(self.began + offset)
        rest = math.inf if plan.duration is None else plan.duration.total_seconds()
        if self._waits_until(self.began + rest):
            return
        self.reason = self.reason or "the plan ended"  # whoever is due already still gets a turn

    def _waits_until(self, due: float) -> bool:
        """Wait until `due`, never less; true as soon as we are stopped."""
        while (rest := due - self.now()) > 0:
            if self._stop.wait(None if math.isinf(rest) else rest):
                return True
        return bool(self._stop.is_set())

    def _send(self, due: float) -> None:
        cls, task = self._crowd.pick()
        if len(self._open) >= self._settings.open_at_most:
            if not self.dropped:
                _say(f"dropping arrivals: {self._settings.open_at_most} are open, which is the bound (--open-at-most)")
            self.dropped += 1
            return
        arrival = Arrival(due, task_name(cls, task), now=self.now, keep=self._keep)
        self._empty.clear()
        self._open.add(arrival)
        gevent.spawn(self._serve, arrival, cls, task)
        self.open_most = max(self.open_most, len(self._open))

    def _keep(self, sample: Sample) -> None:
        self._file.write(sample)

    def _serve(self, arrival: Arrival, cls: type[locust.User], task: Task) -> None:
        """One arrival, from its start to the end of its task. One that we did not get round to before we were stopped
        was not sent: it is planned, and missing."""
        if self._stop.is_set():
            self._leaves(arrival)
            return
        self.sent += 1
        self._lateness.add(max(0.0, self.now() - arrival.planned))
        me = gevent.getcurrent()
        self._serving[me] = arrival
        try:
            error = self._do(arrival, cls, task)
        finally:
            del self._serving[me]
        if self._over:
            return
        arrival.ends(error)
        self.finished += 1
        self._leaves(arrival)

    def _leaves(self, arrival: Arrival) -> None:
        self._open.remove(arrival)
        if not self._open:
            self._empty.set()

    def _do(self, arrival: Arrival, cls: type[locust.User], task: Task) -> str:
        """Do the task; what it failed with, or nothing. A user that wants to stop is never used again."""
        seat: Seat | None = None
        try:
            seat = self._crowd.take(cls)
            seat.arrival = arrival
            run_task(seat, task)
        except (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately):
            pass  # Locust's ways to say that this task is over
        except StopUser:
            seat = None
        except StopTest:
            seat = None
            self.stop("a user's task stopped the test")
        except (Exception, gevent.Timeout) as error:
            self.task_errors += 1
            if self.task_errors <= ERRORS_SAID:
                _say(f"{arrival.name} failed: {type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}")
            return said(error)
        finally:
            if seat is not None:
                seat.arrival = None
                self._crowd.give_back(seat)
        return ""

    def _on_request(
        self,
        request_type: str,
        name: str,
        response_time: float,
        exception: Any = None,
        context: Any = None,
        **rest: Any,
    ) -> None:
        """Locust's own report on a request: the one place where success is decided."""
        request = context.get(MARK) if isinstance(context, dict) else None
        status = status_of(rest.get("response"))
        if isinstance(request, Request):
            request.name = named(request_type, name)
            request.arrival.reports(request, status, said(exception, status))
        elif (arrival := self._serving.get(gevent.getcurrent())) is not None:
            arrival.reports_other(named(request_type, name), (response_time or 0.0) / 1000, said(exception, status))
        else:
            self.strays += 1

    def _drain(self) -> None:
        """Give what is open its while, then keep the rest as unanswered."""
        limit = self.now() + self._settings.drain
        while self._open and not self._at_once.is_set() and (rest := limit - self.now()) > 0:
            self._empty.wait(min(rest, TICK))
        self._over = True
        self.in_flight = len(self._open)
        for arrival in self._open:
            arrival.breaks_off()

    # -- telling -------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        last_told = 0.0
        while True:
            gevent.sleep(TICK)
            self._file.flush()
            if os.getppid() != self._parent:
                _say("our parent is gone: ending without a sign-off")
                os._exit(3)
            if self.now() - self.began > self._settings.at_most:
                self.stop("the maximum duration was reached")
            if self.now() - last_told >= 0.25:
                last_told = self.now()
                self._tell()

    def _tell(self) -> None:
        _write_whole(
            self._settings.progress,
            {
                "at": self.now(),
                "began": self.began,
                "sent": self.sent,
                "finished": self.finished,
                "open": len(self._open),
                "dropped": self.dropped,
                "lateness_max": self._lateness.most,
                "samples": self._file.count,
            },
        )

    def sign_off(self) -> dict[str, Any]:
        """The engine's own account, once the samples are on disk."""
        p50, p99 = self._lateness.percentiles(0.5, 0.99)
        plan = self._settings.plan
        return {
            "format": SIGN_OFF_FORMAT,
            "reason": self.reason,
            "began": self.began,
            "stopped": self.stopped,
            "ended": self.now(),
            "planned": plan.count(timedelta(seconds=self.stopped - self.began), self._settings.seed),
            "sent": self.sent,
            "finished": self.finished,
            "in_flight": self.in_flight,
            "dropped": self.dropped,
            "samples": self._file.count,
            "sha256": self._file.sha256,
            "lateness": {"p50": p50, "p99": p99, "max": self._lateness.most},
            "cpu_seconds": time.process_time() - self._cpu,
            "gc": {"pauses": self._pauses.count, "longest": self._pauses.longest},
            "open_most": self.open_most,
            "task_errors": self.task_errors,
            "strays": self.strays,
            "locust": locust.__version__,
        }


# -- the command -------------------------------------------------------------------------------------------------


def read_settings(argv: Sequence[str]) -> Settings:
    """The command line, checked. Exits with status 2 and every problem on stderr where it can't work."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.open_model", description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="the arrivals, as JSON, in wall time")
    parser.add_argument("--users", required=True, help="a locustfile, or file.py:Class")
    parser.add_argument("--host", required=True, help="where the users go: http://127.0.0.1:8080")
    parser.add_argument("--samples", type=Path, required=True, help="made anew: one line for each request")
    parser.add_argument("--progress", type=Path, required=True, help="rewritten four times a second")
    parser.add_argument("--sign-off", type=Path, required=True, help="written last, and only at an orderly end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--open-at-most", type=int, default=2000, help="arrivals open at once; above, they are dropped")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one request")
    parser.add_argument("--drain", type=float, default=5.0, help="seconds for what is open at the end")
    parser.add_argument("--at-most", type=float, default=7200.0, help="seconds after which it ends by itself")
    parser.add_argument("--allow", action="append", default=[], metavar="HOST", help="a host other than loopback")
    given = vars(parser.parse_args(argv))
    problems: list[str] = []
    try:
        given["plan"] = Arrivals.from_json(json.loads(given["plan"].read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        problems.append(f"--plan {given['plan']}: {error}")
    given["allow"] = tuple(given["allow"])
    problems += _problems(given)
    if problems:
        _say("\n".join(problems))
        raise SystemExit(2)
    return Settings(**given)


def _problems(given: dict[str, Any]) -> list[str]:
    """What can't work, beside the plan."""
    found = [
        f"--{name.replace('_', '-')} {given[name]:g} must be more than 0"
        for name in ("open_at_most", "timeout", "at_most")
        if not given[name] > 0
    ]
    if not given["drain"] >= 0:
        found.append(f"--drain {given['drain']:g} must be 0 or more")
    url = urlsplit(given["host"])
    if url.scheme not in ("http", "https") or not url.hostname:
        found.append(f"--host {given['host']} is not a http:// or https:// address")
    elif not is_allowed(url.hostname, given["allow"]):
        found.append(f"--host {url.hostname} is not on this machine; to load it all the same: --allow {url.hostname}")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the engine; the exit status."""
    settings = read_settings(sys.argv[1:] if argv is None else argv)
    _allow_open_files(settings.open_at_most)
    close_fence(settings.allow)
    try:
        with SampleFile(settings.samples) as file:
            engine = OpenModel(settings, file)
            for number in (signal.SIGTERM, signal.SIGINT):
                # Not gevent's own: that one waits its turn behind whatever users keep the processor busy.
                signal.signal(number, lambda *_: engine.stop("asked to stop"))
            engine.run()
            file.close()
            _write_whole(settings.sign_off, engine.sign_off())
    except (CrowdError, FileExistsError) as error:
        _say(str(error))
        return 2
    return 0


def _allow_open_files(open_at_most: int) -> None:
    """Raise our own limit on open files, as far as we may, to a socket for each open arrival and some to spare."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * open_at_most + 100
    if soft != resource.RLIM_INFINITY and soft < wanted:
        possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
        if possible < wanted:
            _say(f"only {possible} files may be open at once; {open_at_most} open arrivals may need {wanted}")


def _write_whole(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file so that a reader sees the old one or the new one, never a part."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(path)


def _say(text: str) -> None:
    sys.stderr.write(text.rstrip() + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Not sys.exit: whatever users left running must not keep an engine alive that has signed off.
    os._exit(status)
