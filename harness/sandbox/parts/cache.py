"""Cache: the folder of this user in which parts are installed, each all or nothing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError

_MANIFEST = "part.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What is in one folder of the cache: `files` maps a program's name to its path."""

    version: str
    how: str
    files: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class Cache:
    """`root` need not exist; looking never creates it."""

    root: Path

    @property
    def workshops(self) -> Path:
        return self.root / "work"

    def folder(self, key: str) -> Path:
        return self.root / "parts" / key

    def lock_file(self, key: str) -> Path:
        return self.root / "locks" / f"{key}.lock"

    def load(self, key: str) -> Installed | None:
        """What is installed under `key`; None where nothing is, or where it is damaged."""
        folder = self.folder(key)
        try:
            manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
            if manifest["format"] != _FORMAT:
                return None
            files = {}
            for name, entry in manifest["files"].items():
                path = folder / entry["path"]
                # A file that lost its end in a power cut, or that can't be started, is as good as none.
                if path.stat().st_size != entry["size"] or not os.access(path, os.X_OK):
                    return None
                files[name] = path
            return Installed(version=str(manifest["version"]), how=str(manifest["how"]), files=files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def store(self, key: str, folder: Path, contents: Installed) -> Installed:
        """Move `folder`, which holds `contents`, into its place, over anything damaged that stands there."""
        manifest = {
            "format": _FORMAT,
            "version": contents.version,
            "how": contents.how,
            "files": {
                name: {"path": str(path.relative_to(folder)), "size": path.stat().st_size}
                for name, path in contents.files.items()
            },
        }
        (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        folder.chmod(0o755)
        place = self.folder(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            shutil.rmtree(place)
        folder.rename(place)
        installed = self.load(key)
        if installed is None:
            raise UsageError(f"{place} can't be read back", hint="is there space left on the disk?")
        return installed


def users_cache(environment: Mapping[str, str]) -> Cache:
    """`$GAMEDAY_CACHE`, else `$XDG_CACHE_HOME/gameday`, else `~/.cache/gameday`."""
    chosen = environment.get("GAMEDAY_CACHE")
    if chosen:
        return Cache(Path(chosen).expanduser().absolute())
    base = environment.get("XDG_CACHE_HOME")
    # A relative XDG_CACHE_HOME is to be ignored, says the XDG base directory specification.
    parent = Path(base) if base and Path(base).is_absolute() else Path("~/.cache").expanduser()
    return Cache(parent / "gameday")


@contextlib.contextmanager
def locked(
    path: Path,
    *,
    wait: Callable[[float], None],
    patience: float,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the system drops it when this process dies, however it dies.

    `waiting` is called once where someone else holds it. Raises TimeoutError after `patience` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    told = False
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"{path} is locked by another process") from None
            if not told:
                waiting()
                told = True
            wait(0.1)
        yield
