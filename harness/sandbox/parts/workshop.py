"""Workshop: a temporary folder in the cache where parts are downloaded and built before they are installed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.errors import HarnessError, UsageError
from harness.sandbox.parts.cache import Cache, Installed, locked


class Interrupted(HarnessError):
    """The work was called off."""


class ToolFailed(HarnessError):
    """A program that we started failed, or took too long; the message has its last words."""


class Workshop:
    """Lives inside `open_workshop`. `folder` is on the file system of the cache, so that an install is one rename."""

    def __init__(self, cache: Cache, folder: Path, say: Callable[[str], None]) -> None:
        self.cache = cache
        self.folder = folder
        self.say = say
        self._stop = threading.Event()
        self._once = threading.Lock()
        self._made: dict[str, str] = {}

    def call_off(self) -> None:
        """Let every program that runs for us be ended, and every wait raise Interrupted."""
        self._stop.set()

    def new_folder(self, name: str) -> Path:
        """A new empty folder."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def once(self, name: str, make: Callable[[], str]) -> str:
        """What `make` returns, made once in this workshop, whichever thread comes first."""
        with self._once:
            if name not in self._made:
                self._made[name] = make()
            return self._made[name]

    def pause(self, wall: float) -> None:
        """Wait `wall` seconds. Raises Interrupted when called off."""
        if self._stop.wait(wall):
            raise Interrupted("called off")

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> str:
        """Run a program to its end and return what it printed, both streams in one.

        `environment` is laid over ours. After `timeout` seconds, or when called off, its whole process group is
        killed. Raises ToolFailed or Interrupted.
        """
        log = Path(tempfile.mkstemp(prefix="output-", dir=self.folder)[1])
        deadline = time.monotonic() + timeout
        with log.open("wb") as output:
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=directory or self.folder,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                )
            except OSError as problem:
                raise ToolFailed(f"{argv[0]} does not run: {problem.strerror}") from problem
            with process:
                try:
                    while process.poll() is None:
                        self.pause(0.05)
                        if time.monotonic() > deadline:
                            raise ToolFailed(f"{Path(argv[0]).name} took longer than {timeout:g} s")
                finally:
                    _end_group(process)
        printed = log.read_text(errors="replace").strip()
        if process.returncode != 0:
            raise ToolFailed(f"{Path(argv[0]).name} failed with status {process.returncode}: {_last_words(printed)}")
        return printed

    def install(self, key: str, fill: Callable[[Path], Installed]) -> Installed:
        """Install what `fill` puts into an empty folder under `key`, all or nothing.

        One process at a time works on a key; whoever comes second uses what the first one installed.
        """
        with locked(self.cache.lock_file(key), wait=self.pause, patience=900, waiting=lambda: self._waiting(key)):
            ready = self.cache.load(key)
            if ready is not None:
                return ready
            folder = self.new_folder(key)
            return self.cache.store(key, folder, fill(folder))

    def _waiting(self, key: str) -> None:
        self.say(f"{key}: another process is at it, waiting")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the process group that `process` leads."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_words(printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return " / ".join(lines[-3:])[-400:] or "it printed nothing"


@contextlib.contextmanager
def open_workshop(cache: Cache, say: Callable[[str], None]) -> Iterator[Workshop]:
    """A workshop for as long as the block lasts; what killed processes left behind is removed first.

    Raises UsageError where the cache can't be written.
    """
    with contextlib.ExitStack() as held:
        try:
            folder = _claim(cache.workshops, held)
        except OSError as problem:
            raise UsageError(
                f"the cache folder {cache.root} can't be written: {problem}",
                hint="set GAMEDAY_CACHE to a folder that can",
            ) from problem
        shop = Workshop(cache, folder, say)
        try:
            yield shop
        finally:
            shop.call_off()
            shutil.rmtree(folder, ignore_errors=True)
            _lock_of(folder).unlink(missing_ok=True)


def _claim(workshops: Path, held: contextlib.ExitStack) -> Path:
    """A new folder in `workshops`, ours for as long as `held` holds."""
    with locked(workshops / "all.lock", wait=time.sleep, patience=30):
        for left in workshops.iterdir():
            # A compiler whose owner was killed may still write here; then the rest is swept the next time.
            if left.is_dir() and not _owned(left):
                shutil.rmtree(left, ignore_errors=True)
                _lock_of(left).unlink(missing_ok=True)
        folder = workshops / secrets.token_hex(4)
        held.enter_context(locked(_lock_of(folder), wait=time.sleep, patience=0))
        folder.mkdir()
    return folder


def _owned(folder: Path) -> bool:
    """Whether a live process holds the workshop `folder`."""
    try:
        with locked(_lock_of(folder), wait=time.sleep, patience=0):
            return False
    except TimeoutError:
        return True


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".owner")
