"""Wheel: a server that comes inside a Python package."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.sandbox.parts.base import FoundPart, Unavailable, go_platform, version_of
from harness.sandbox.parts.cache import Cache, Installed
from harness.sandbox.parts.workshop import Workshop

PINS = Path(__file__).with_name("pins")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """The server `program` of a part, found by `pattern` in the package `distribution`: in this Python's own
    packages, or else in a copy in the cache."""

    part: str
    distribution: str
    pattern: str
    cache: Cache
    command: Callable[[Path], tuple[str, ...]] = lambda program: (str(program),)
    version_flag: str = "--version"
    exact: bool = False  # only the pinned version will do, because we enter it by a private door

    @property
    def version(self) -> str:
        return pinned_version(self.distribution)

    @property
    def label(self) -> str:
        return f"wheel {self.distribution} {self.version}"

    def look(self) -> FoundPart:
        cached = self.cache.load(self._key)
        if cached is not None:
            return self._found(cached.files[self.part], cached.version)
        version, folder = self._installed()
        program = self._program(folder)
        if not os.access(program, os.X_OK):
            raise Unavailable(f"{program} is not executable")
        return self._found(program, version)

    def get(self, shop: Workshop) -> FoundPart:
        def fill(folder: Path) -> Installed:
            shop.say(f"{self.part}: getting {self.label}")
            fetch_wheel(shop, self.distribution, folder)
            for unwanted in folder.iterdir():
                if unwanted.name != self.pattern.split("/", maxsplit=1)[0] and not unwanted.name.endswith(".dist-info"):
                    shutil.rmtree(unwanted) if unwanted.is_dir() else unwanted.unlink()
            program = self._program(folder)
            program.chmod(0o755)
            version_of((*self.command(program), self.version_flag))  # raises where it does not run here
            return Installed(version=self.version, how=self.label, files={self.part: program})

        installed = shop.install(self._key, fill)
        return self._found(installed.files[self.part], installed.version)

    @property
    def _key(self) -> str:
        return "-".join([self.distribution, self.version, *go_platform()])

    def _installed(self) -> tuple[str, Path]:
        try:
            distribution = importlib.metadata.distribution(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            raise Unavailable(f"the package {self.distribution} is not installed") from None
        if self.exact and distribution.version != self.version:
            raise Unavailable(f"the package {self.distribution} is {distribution.version}, not {self.version}")
        return distribution.version, Path(str(distribution.locate_file("")))

    def _program(self, folder: Path) -> Path:
        program = next(iter(sorted(folder.glob(self.pattern))), None)
        if program is None:
            raise Unavailable(f"the package {self.distribution} has no {Path(self.pattern).name} for this machine")
        return program

    def _found(self, program: Path, version: str) -> FoundPart:
        how = f"wheel {self.distribution} {version}"
        return FoundPart(name=self.part, argv=self.command(program), version=version, how=how)


def pinned_version(distribution: str) -> str:
    """The version that `pins/<distribution>.txt` asks for."""
    return (PINS / f"{distribution}.txt").read_text(encoding="utf-8").split("==")[1].split()[0]


def fetch_wheel(shop: Workshop, distribution: str, into: Path) -> None:
    """Unpack the pinned wheel of `distribution`, checked against its pinned hashes, without what it depends on.

    pip is asked before uv because it knows this user's own index, proxy and certificates from pip's settings.
    Raises Unavailable.
    """
    pin = str(PINS / f"{distribution}.txt")
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(into), "-r", pin]
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if importlib.util.find_spec("pip") is not None:
        quiet = ["--quiet", "--no-input", "--no-compile", "--disable-pip-version-check", "--no-warn-script-location"]
        shop.run([sys.executable, "-m", "pip", "install", *quiet, *options], timeout=300)
    elif uv is not None:
        shop.run([uv, "pip", "install", "--quiet", "--python", sys.executable, *options], timeout=300)
    else:
        raise Unavailable("neither pip nor uv is there to get it with")
