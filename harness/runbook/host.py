"""Host: the operator's host as far as a runbook acts on it, laid out in a folder of the shell's own.

What is laid out is said in one small file: whole folders (`/tmp`: all below is the tree's), single files with their
content, age and mode, and settings of the kernel, which are files of /proc/sys here as well. Ages are said and not
copied, since no version control keeps them. An absolute path that is laid out means the tree; every other one means
nothing here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath

import yaml
from pydantic import ConfigDict, Field, ValidationError

from harness.errors import EvidenceMissing, Unsupported, UsageError
from harness.runbook.written import Duration, OnceOnly, Strict

KERNEL = "/proc/sys"
_PLAIN = re.compile(r"(/[\w.@+-]+)+")
_SETTING = re.compile(r"\w[\w-]*(\.\w[\w-]*)+")
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    """A file of the host as a run finds it; `age` is the time since it was last written."""

    content: str = ""
    age: timedelta = timedelta(0)
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """What is laid out: `folders` as a whole, `files` by their path, `settings` of the kernel by their key."""

    folders: tuple[str, ...] = ()
    files: Mapping[str, HostFile]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host that is laid out below `root`: `folders` with all in them, and `singles`, which stand alone."""

    root: Path
    folders: tuple[str, ...]
    singles: frozenset[str]

    def place(self, said: str) -> Path | None:
        """Where the absolute path `said` is in this tree; None for one that is not laid out. One that lies in the tree
        already is its own. Raises Unsupported for a path that would lead out of it."""
        if not said.startswith("/"):
            return None
        inside = self._inside(re.sub(r"/+", "/", said))
        if not self._is_laid_out(inside):
            return None
        here = Path(f"{self.root}{inside}")
        if ".." in PurePosixPath(said).parts or not _is_below(Path(os.path.realpath(here)), self.root):
            raise Unsupported(f"{inside} leads out of what is laid out of the host")
        return here

    def _inside(self, said: str) -> str:
        own = str(self.root)
        return said.removeprefix(own) if said.startswith(f"{own}/") else said

    def _is_laid_out(self, inside: str) -> bool:
        path = inside.rstrip("/")
        return path in self.singles or any(path == folder or path.startswith(f"{folder}/") for folder in self.folders)

    def back(self, text: str) -> str:
        """`text` with the tree's paths as the operator says them."""
        return text.replace(str(self.root), "")

    def count(self, pattern: str) -> int:
        """How many files the glob `pattern` (`/var/log/**/*.gz`) finds. Raises EvidenceMissing where that can't be
        told."""
        folder = pattern[: pattern.rfind("/", 0, found.start())] if (found := _GLOB.search(pattern)) else pattern
        try:
            if not self.root.is_dir() or self.place(folder) is None:
                raise EvidenceMissing(f"{folder} is not laid out on this host")
            found_files = [path for path in self.root.glob(pattern.lstrip("/")) if path.is_file()]
        except (OSError, Unsupported) as problem:
            raise EvidenceMissing(f"{pattern} can't be counted: {problem}") from problem
        return len(found_files)

    def text(self, path: str) -> str:
        """What stands in the file `path`, without the white space around it. Raises EvidenceMissing."""
        try:
            if (here := self.place(path)) is None:
                raise EvidenceMissing(f"{path} is not laid out on this host")
            return here.read_text(encoding="utf-8", errors="replace").strip()
        except (OSError, Unsupported) as problem:
            raise EvidenceMissing(f"{path} of the laid-out host can't be read: {problem}") from problem


def _is_below(path: Path, root: Path) -> bool:
    return path == root or root in path.parents


def lay_out(plan: HostPlan, root: Path, now: float) -> Host:
    """Write the tree of `plan` below the new folder `root`; ages count back from the epoch second `now`."""
    root.mkdir(parents=True)
    root = root.resolve()
    kernel = {f"{KERNEL}/{key.replace('.', '/')}": value for key, value in plan.settings.items()}
    for folder in plan.folders:
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for path, file in {
        **plan.files,
        **{path: HostFile(content=f"{value}\n") for path, value in kernel.items()},
    }.items():
        here = root / path.lstrip("/")
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_text(file.content, encoding="utf-8")
        here.chmod(file.mode)
        written = now - file.age.total_seconds()
        os.utime(here, (written, written))
    singles = {path for path in (*plan.files, *kernel) if not _within(path, plan.folders)}
    return Host(root=root, folders=plan.folders, singles=frozenset(singles))


def _within(path: str, folders: tuple[str, ...]) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)


# -- the file as written -------------------------------------------------------------------------------------------


class _File(Strict):
    model_config = ConfigDict(str_strip_whitespace=False)

    content: str = ""
    age: Duration = timedelta(0)
    mode: str = Field(default="644", pattern=r"^[0-7]{3}$")


class _Host(Strict):
    folders: list[str] = Field(default=[])
    files: dict[str, _File] = Field(default={})
    settings: dict[str, str | int] = Field(default={})


def read_host(path: Path | None) -> HostPlan | None:
    """Read what is laid out from the file at `path`; None where there is none. Raises UsageError with all problems."""
    if path is None:
        return None
    try:
        plain = yaml.load(path.read_text(encoding="utf-8"), Loader=OnceOnly)  # noqa: S506 - a SafeLoader
        written = _Host.model_validate(plain)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as cause:
        raise UsageError(f"{path}: the host can't be read: {cause}") from cause
    except ValidationError as cause:
        told = [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in cause.errors()]
        raise UsageError(f"{path}: the host has problems", problems=told) from cause
    if problems := list(_problems(written)):
        raise UsageError(f"{path}: the host has problems", problems=problems)
    return HostPlan(
        folders=tuple(written.folders),
        files={
            name: HostFile(content=file.content, age=file.age, mode=int(file.mode, 8))
            for name, file in written.files.items()
        },
        settings={key: str(value) for key, value in written.settings.items()},
    )


def _problems(written: _Host) -> Iterator[str]:
    for path in (*written.folders, *written.files):
        if not _PLAIN.fullmatch(path) or {".", ".."} & set(path.split("/")):
            yield f"{path!r} is no plain absolute path"
        elif path == KERNEL or path.startswith((f"{KERNEL}/", "/dev/", "/proc/")) or path in ("/dev", "/proc"):
            yield f"{path!r} is the kernel's own: say it under `settings`"
    for path in sorted(written.files):
        if path in written.folders or any(other.startswith(f"{path}/") for other in (*written.files, *written.folders)):
            yield f"{path!r} is a file, and something stands below it"
    for key in written.settings:
        if not _SETTING.fullmatch(key):
            yield f"{key!r} is no setting of the kernel (say `net.ipv4.tcp_fin_timeout`)"
