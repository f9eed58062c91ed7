"""Driver: run the load engine as a process of its own for as long as a block lasts."""

from __future__ import annotations

import importlib.util
import ipaddress
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from harness.clock import Clock
from harness.errors import HarnessError, LoadError, UsageError
from harness.load.account import Files, Order, read_json, read_sign_off, settle
from harness.load.progress import LoadProgress, Recent
from harness.load.samples import SampleTail, read_samples
from harness.model.load import Arrivals, Sample
from harness.model.record import LoadRecord

__all__ = ["LoadDriver", "LoadProgress", "RunningLoad", "read_samples"]

ENGINE = "loadtests.open_model"
READY_WITHIN = 30.0  # wall seconds; importing Locust takes one or two on a busy machine
USAGE = 2  # the engine's exit status for settings that can't work
LINES_SAID = 15  # of the engine's last words


class Process(Protocol):
    """How a helper process stands; `status` is None while it runs."""

    @property
    def status(self) -> int | None: ...


class Spawner(Protocol):
    """Who runs the engine for us, so that it ends with the sandbox even where the harness is killed (a sandbox that
    can spawn helpers is one)."""

    def spawn(
        self, name: str, argv: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path
    ) -> Process: ...

    def spawned(self, name: str) -> Process: ...

    def end(self, name: str, *, grace: float) -> Process: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadDriver:
    """How load is made: by the `users` of a locustfile (`loadtests/users.py` or `file.py:Class`) against `target`.

    Everything about one load goes to `folder/load/<window>/`. Durations here are wall time: they are actions of ours,
    not observations. `open_at_most` bounds the arrivals that are open at once (one more is dropped, and counted);
    a request ends after `timeout`; at the end what is open gets `drain` to finish. `allow` names hosts that load may
    go to beside this machine.
    """

    spawner: Spawner
    users: str
    target: str
    folder: Path
    clock: Clock
    seed: int = 1
    open_at_most: int = 2000
    timeout: timedelta = timedelta(seconds=10)
    drain: timedelta = timedelta(seconds=5)
    longest: timedelta = timedelta(hours=4)
    allow: tuple[str, ...] = ()

    @contextmanager
    def drive(self, plan: Arrivals, *, window: str = "load") -> Iterator[RunningLoad]:
        """Users arrive as `plan` (in runbook time) says until the block ends, or the plan does.

        Raises as `start` does. Once the block has ended the yielded load has its `record` and `samples`.
        """
        load = self.start(plan, window)
        try:
            yield load
        finally:
            self.stop(load)

    def start(self, plan: Arrivals, window: str) -> RunningLoad:
        """Start the engine; returns when it is ready and the first arrival is due at once.

        Raises UsageError for settings that can't work (all of them at once) and LoadError where the engine does not
        come up; either brings the engine's last words.
        """
        if problems := [*plan.problems(), *self.problems()]:
            raise UsageError("the load can't be driven", problems=problems)
        files = Files(folder=_new_folder(self.folder / "load", window))
        files.plan.write_text(json.dumps(plan.scaled(self.clock.scale).to_json()), encoding="utf-8")
        name = f"load-{files.folder.name}"
        spawned = self.clock.now()
        try:
            self.spawner.spawn(name, self._argv(files), environment=_environment(), directory=Path.cwd(), log=files.log)
            self._until_ready(name, files, spawned + READY_WITHIN)
        except BaseException:
            with suppress(HarnessError):  # it may never have been spawned; the reader wants the first error
                self.spawner.end(name, grace=0.0)
            raise
        order = Order(
            window=window,
            plan=plan,
            time_scale=self.clock.scale,
            seed=self.seed,
            target=self.target,
            spawned=spawned,
            ready=self.clock.now(),
        )
        return RunningLoad(driver=self, name=name, order=order, files=files)

    def stop(self, load: RunningLoad) -> None:
        """No more arrivals, let what is open finish, and settle the account; safe on one that is dead, and twice."""
        if load.over:
            return
        status = None
        try:
            status = self.spawner.end(load.name, grace=self.drain.total_seconds() + 5.0).status
        finally:
            load.settle(status)

    def problems(self) -> list[str]:
        """Everything wrong with these settings, in plain words; empty if they are fine."""
        found = []
        path = self.users if Path(self.users).is_file() else re.sub(r":\w+$", "", self.users)
        if not Path(path).is_file():
            found.append(f"there is no user file {path}")
        url = urlsplit(self.target)
        if url.scheme not in ("http", "https") or not url.hostname:
            found.append(f"the load's target {self.target!r} is not a http:// or https:// address")
        elif url.hostname not in self.allow and not _may_be_loopback(url.hostname):
            found.append(f"the load's target {url.hostname} is not on this machine and was not allowed by name")
        if importlib.util.find_spec("locust") is None:
            found.append("locust is not installed: pip install 'gameday-harness[load]'")
        if self.open_at_most < 1:
            found.append(f"a bound of {self.open_at_most} open arrivals lets nobody in")
        if self.timeout <= timedelta() or self.drain < timedelta() or self.longest <= timedelta():
            found.append("the load's timeout, drain and longest duration can't be negative or nothing")
        return found

    def _argv(self, files: Files) -> list[str]:
        """The engine's command line."""
        options = {
            "plan": files.plan,
            "users": self.users,
            "host": self.target,
            "samples": files.samples,
            "progress": files.progress,
            "sign-off": files.sign_off,
            "seed": self.seed,
            "open-at-most": self.open_at_most,
            "timeout": self.timeout.total_seconds(),
            "drain": self.drain.total_seconds(),
            "at-most": self.longest.total_seconds(),
        }
        given = [f"--{name}={value}" for name, value in options.items()]
        # -P: a folder `loadtests` where we happen to be started must not stand in for ours.
        return [sys.executable, "-P", "-m", ENGINE, *given, *(f"--allow={host}" for host in self.allow)]

    def _until_ready(self, name: str, files: Files, limit: float) -> None:
        """Wait until the engine has told of itself. It ends before that only where something is wrong."""
        while read_json(files.progress) is None:
            status = self.spawner.spawned(name).status
            if status is not None and read_sign_off(files.sign_off) is None:
                words = _last_words(files.log)
                if status == USAGE:
                    raise UsageError(f"the load can't be driven:\n{words}")
                raise LoadError(f"the load generator ended at once, with exit status {status}:\n{words}")
            if self.clock.now() > limit:
                raise LoadError(
                    f"the load generator was not ready after {READY_WITHIN:g} s:\n{_last_words(files.log)}",
                    hint=f"its log: {files.log}",
                )
            self.clock.sleep(0.02)


@dataclass(slots=True, kw_only=True)
class RunningLoad:
    """Load that is on. `record` and `samples` are there once it is over."""

    driver: LoadDriver
    name: str
    order: Order
    files: Files
    _tail: SampleTail = field(init=False)
    _recent: Recent = field(init=False, default_factory=Recent)
    _settled: tuple[LoadRecord, tuple[Sample, ...]] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._tail = SampleTail(self.files.samples)

    @property
    def over(self) -> bool:
        """Whether its account has been settled."""
        return self._settled is not None

    @property
    def alive(self) -> bool:
        """Whether the engine runs, or has signed off (its plan may end before the block does). False: it died."""
        if read_sign_off(self.files.sign_off) is not None:
            return True
        # Asked in this order: an engine signs off before it ends.
        return self.driver.spawner.spawned(self.name).status is None

    def progress(self) -> LoadProgress:
        """How it goes right now."""
        now = self.driver.clock.now()
        self._recent.add(self._tail.new(), now)
        told = read_json(self.files.progress) or {}
        elapsed = max(0.0, now - float(told.get("began", now)))
        p50, p95 = self._recent.percentiles(0.5, 0.95)
        return LoadProgress(
            alive=self.alive,
            planned=round(self.order.wall_plan.expected(timedelta(seconds=elapsed))),
            sent=int(told.get("sent", 0)),
            finished=int(told.get("finished", 0)),
            in_flight=int(told.get("open", 0)),
            dropped=int(told.get("dropped", 0)),
            rate=self._recent.rate(elapsed),
            errors=self._recent.errors(),
            p50=p50,
            p95=p95,
        )

    def summary(self) -> str:
        """Its progress in one line."""
        return str(self.progress())

    def stop(self) -> None:
        """No more arrivals, let what is open finish, and settle the account; safe on one that is dead, and twice."""
        self.driver.stop(self)

    def settle(self, status: int | None) -> None:
        """Read what the engine left behind; it has ended with exit `status`."""
        self._settled = settle(
            self.order, self.files, status=status, now=self.driver.clock.now(), run_folder=self.driver.folder
        )

    @property
    def record(self) -> LoadRecord:
        """What was planned and done. Raises LoadError while the load is on."""
        return self._account[0]

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Every request. Raises LoadError while the load is on."""
        return self._account[1]

    @property
    def _account(self) -> tuple[LoadRecord, tuple[Sample, ...]]:
        if self._settled is None:
            raise LoadError(f"the load {self.order.window} is still on: it has no record yet")
        return self._settled


def _new_folder(parent: Path, window: str) -> Path:
    """A folder for one load, named after its window."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", window).strip(".-") or "load"
    for attempt in range(1, 1000):
        folder = parent / (plain if attempt == 1 else f"{plain}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as cause:
            raise UsageError(f"can't write to {parent}: {cause.strerror}") from cause
        return folder
    raise UsageError(f"{parent} holds a thousand loads of this name already")


def _environment() -> dict[str, str]:
    """What the engine needs in its environment: where our packages are, wherever it is started."""
    return {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PYTHONUNBUFFERED": "1"}


def _may_be_loopback(host: str) -> bool:
    """Whether `host` may be this machine. For names other than localhost the engine looks closer."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "(it said nothing)"
    return "\n".join(lines[-LINES_SAID:]) or "(it said nothing)"
