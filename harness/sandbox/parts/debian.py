"""Debian package: a distribution's package unpacked into the cache, never installed, never started as a service."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.sandbox.parts.base import FoundPart, Unavailable, at_least, cached_part, go_platform, part_of, version_of
from harness.sandbox.parts.cache import Cache, Installed
from harness.sandbox.parts.workshop import ToolFailed, Workshop

_STATUS = Path("/var/lib/dpkg/status")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackage:
    """`package` of this machine's own distribution, as apt's sources have it. apt works on a state of ours, as a plain
    user, and checks the signatures; `members` maps programs to their paths inside the package."""

    part: str
    package: str
    members: Mapping[str, str]
    at_least: str
    cache: Cache

    @property
    def label(self) -> str:
        return "Debian package"

    def look(self) -> FoundPart:
        return cached_part(self.part, self.cache, self._key, self.label)

    def get(self, shop: Workshop) -> FoundPart:
        missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
        if missing or not _STATUS.exists():
            raise Unavailable(f"not a Debian system ({', '.join(missing) or _STATUS} is missing)")
        return part_of(self.part, shop.install(self._key, lambda folder: self._fill(shop, folder)))

    def _fill(self, shop: Workshop, folder: Path) -> Installed:
        shop.say(f"{self.part}: getting the {self.label}")
        archive = _download(shop, self.package)
        shop.run(["dpkg-deb", "-x", str(archive), str(folder)], timeout=120)
        files = {name: folder / member for name, member in self.members.items()}
        absent = [str(path.relative_to(folder)) for path in files.values() if not path.is_file()]
        if absent:
            raise Unavailable(f"{archive.name} has no {', '.join(absent)}")
        version = version_of((str(files[self.part]), "--version"))
        if not at_least(version, self.at_least):
            raise Unavailable(f"this distribution has {version}; {self.at_least} or newer is needed")
        return Installed(version=version, how=f"Debian package {version}", files=files)

    @property
    def _key(self) -> str:
        return "-".join([self.part, "debian", *go_platform()])


def _download(shop: Workshop, package: str) -> Path:
    """Let apt download `package` of the system's own sources and check it, with lists and cache in the workshop."""
    folder = shop.new_folder("apt")
    (folder / "state" / "lists" / "partial").mkdir(parents=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True)
    options = {
        "Dir::State": folder / "state",
        "Dir::State::status": _STATUS,
        "Dir::Cache": folder / "cache",
        "Debug::NoLocking": "1",
        "Acquire::Languages": "none",  # no translated descriptions: a third less to download
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
    }
    if os.geteuid() == 0:
        options["APT::Sandbox::User"] = "root"  # the user _apt may not write into a cache in /root
    apt = ["apt-get", "-q", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    plain = {"LC_ALL": "C"}
    complaint = ""
    try:
        shop.run([*apt, "update"], timeout=120, environment=plain, directory=folder)
    except ToolFailed as problem:
        complaint = f" (before, apt-get update said: {problem})"  # one bad source does not spoil the others
    try:
        shop.run([*apt, "download", package], timeout=180, environment=plain, directory=folder)
    except ToolFailed as problem:
        raise Unavailable(f"{problem}{complaint}") from problem
    archives = list(folder.glob("*.deb"))
    if len(archives) != 1:
        raise Unavailable(f"apt-get download left {len(archives)} packages")
    return archives[0]
