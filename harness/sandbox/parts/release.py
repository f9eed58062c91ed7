"""Release: what a part's authors publish, checked against the checksums of the same release."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.sandbox.parts.base import FoundPart, Unavailable, cached_part, go_platform, part_of, version_of
from harness.sandbox.parts.cache import Cache, Installed
from harness.sandbox.parts.workshop import Workshop

_PLATFORMS = {("linux", "amd64"), ("linux", "arm64"), ("darwin", "amd64"), ("darwin", "arm64")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release. `base` is the address of its files; `asset` and `members` may name {version}, {os} and {arch}.

    An asset without members is the program itself. No digest is pinned here: the file is compared with the list
    `checksums` of the same release, which tells a damaged file but not a release that was replaced as a whole.
    """

    part: str
    version: str
    base: str
    asset: str
    checksums: str
    version_flag: str
    cache: Cache
    members: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"release {self.version}"

    def look(self) -> FoundPart:
        return cached_part(self.part, self.cache, self._key, self.label)

    def get(self, shop: Workshop) -> FoundPart:
        return part_of(self.part, shop.install(self._key, lambda folder: self._fill(shop, folder)))

    def _fill(self, shop: Workshop, folder: Path) -> Installed:
        if go_platform() not in _PLATFORMS:
            raise Unavailable(f"there is none for {'/'.join(go_platform())}")
        name = self._named(self.asset)
        shop.say(f"{self.part}: getting {self.label}")
        # Imported late: looking for parts, which is all that a warm start does, needs no HTTP client (0.3 s).
        from harness.sandbox.parts.download import download

        archive = folder / name
        digest = download(shop, self.base, name, checksums=self.checksums, into=archive)
        files = self._unpack(archive, folder)
        version = version_of((str(files[self.part]), self.version_flag)) or self.version
        return Installed(version=version, how=f"{self.label} (sha256 {digest[:12]}…)", files=files)

    def _unpack(self, archive: Path, folder: Path) -> dict[str, Path]:
        if not self.members:
            archive.chmod(0o755)
            return {self.part: archive}
        files = {name: folder / name for name in self.members}
        try:
            with tarfile.open(archive) as tar:
                for name, member in self.members.items():
                    packed = tar.extractfile(self._named(member))
                    if packed is None:
                        raise Unavailable(f"{self._named(member)} in {archive.name} is not a file")
                    with packed, files[name].open("wb") as program:
                        shutil.copyfileobj(packed, program)
                    files[name].chmod(0o755)
        except (tarfile.TarError, KeyError) as problem:
            raise Unavailable(f"{archive.name} can't be unpacked: {problem}") from problem
        archive.unlink()
        return files

    def _named(self, template: str) -> str:
        system, architecture = go_platform()
        return template.format(version=self.version, os=system, arch=architecture)

    @property
    def _key(self) -> str:
        return "-".join([self.part, self.version, "release", *go_platform()])
