"""An install is all or nothing, one at a time, and nothing that was left half done looks installed."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from harness.sandbox.parts.cache import Cache, Installed, locked
from harness.sandbox.parts.workshop import Interrupted, ToolFailed, Workshop, open_workshop


def quiet(_line: str) -> None:
    """A listener who forgets."""


def server(folder: Path) -> Installed:
    """Puts a program of 5 bytes into `folder`."""
    path = folder / "bin" / "server"
    path.parent.mkdir()
    path.write_text("12345")
    path.chmod(0o755)
    return Installed(version="1.2", how="release 1.2", files={"server": path})


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "a cache")


def test_what_was_installed_is_found_again(cache: Cache) -> None:
    """An install can be read back with its version and where it came from, and the workshop is gone."""
    with open_workshop(cache, quiet) as shop:
        installed = shop.install("key", server)
    assert cache.load("key") == installed
    assert installed.files["server"] == cache.folder("key") / "bin" / "server"
    assert [path.name for path in cache.workshops.iterdir()] == ["all.lock"]


def test_a_failed_install_leaves_nothing(cache: Cache) -> None:
    """Where the download breaks off, nothing looks installed and the half of it is removed."""

    def broken(folder: Path) -> Installed:
        server(folder)
        raise OSError("no space left on device")

    with open_workshop(cache, quiet) as shop, pytest.raises(OSError, match="no space"):
        shop.install("key", broken)
    assert cache.load("key") is None
    assert not cache.folder("key").exists()
    assert [path.name for path in cache.workshops.iterdir()] == ["all.lock"]


@pytest.mark.parametrize(
    "damage", ["shorter", "gone", "not executable", "manifest shorter", "manifest of another format"]
)
def test_damage_is_noticed_and_mended(damage: str, cache: Cache) -> None:
    """An install that lost a file, or a part of one, does not count, and the next one takes its place."""
    with open_workshop(cache, quiet) as shop:
        program = shop.install("key", server).files["server"]
    manifest = cache.folder("key") / "part.json"
    match damage:
        case "shorter":
            program.write_text("123")
        case "not executable":
            program.chmod(0o644)
        case "gone":
            program.unlink()
        case "manifest shorter":
            manifest.write_text(manifest.read_text()[:20])
        case _:
            manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 99'))
    assert cache.load("key") is None
    with open_workshop(cache, quiet) as shop:
        shop.install("key", server)
    assert cache.load("key") is not None


def test_two_at_once_install_once(cache: Cache) -> None:
    """Whoever comes second waits, is told so, and uses what the first one installed."""
    filled: list[str] = []
    said: list[str] = []
    in_it, go_on = threading.Event(), threading.Event()

    def slowly(folder: Path) -> Installed:
        filled.append("first")
        in_it.set()
        go_on.wait(5)
        return server(folder)

    def never(folder: Path) -> Installed:
        filled.append("second")
        return server(folder)

    def second_says(line: str) -> None:
        said.append(line)
        go_on.set()

    with open_workshop(cache, quiet) as one, open_workshop(cache, second_says) as other:
        first = threading.Thread(target=one.install, args=("key", slowly))
        first.start()
        assert in_it.wait(5)
        other.install("key", never)
        first.join(5)
    assert filled == ["first"]
    assert said == ["key: another process is at it, waiting"]


def test_left_overs_of_a_killed_process_are_swept(cache: Cache) -> None:
    """A workshop that nobody holds is removed by the next one; one in use is left alone."""
    for name in ("dead", "orphan"):
        (cache.workshops / name).mkdir(parents=True)
        (cache.workshops / name / "half").write_text("")
    (cache.workshops / "dead.owner").write_text("")
    with open_workshop(cache, quiet) as alive:
        left = {path.name for path in cache.workshops.iterdir()}
        assert left == {"all.lock", alive.folder.name, f"{alive.folder.name}.owner"}
        with open_workshop(cache, quiet):
            assert alive.folder.is_dir()


def test_a_lock_is_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    """A lock that is never released is a TimeoutError, not a hang."""
    path = tmp_path / "lock"

    def no_wait(_wall: float) -> None:
        """Time passes by itself."""

    with locked(path, wait=no_wait, patience=0), pytest.raises(TimeoutError), locked(path, wait=no_wait, patience=0.01):
        pytest.fail("two hold one lock")


# -- running programs ----------------------------------------------------------------------------------------------


def wait_until_gone(pid: int) -> bool:
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def shop(cache: Cache) -> Workshop:
    folder = cache.workshops / "w"
    folder.mkdir(parents=True)
    return Workshop(cache, folder, quiet)


def test_a_failing_program_is_quoted(shop: Workshop) -> None:
    """The error has the status and the last lines that the program printed."""
    with pytest.raises(ToolFailed, match="sh failed with status 3: second / third"):
        shop.run(["sh", "-c", "echo second; echo third >&2; exit 3"], timeout=5)


def test_a_missing_program_is_named(shop: Workshop) -> None:
    """A program that is not there is an error of the way, not of ours."""
    with pytest.raises(ToolFailed, match="no-such-tool does not run"):
        shop.run(["no-such-tool"], timeout=5)


def test_a_program_that_takes_too_long_ends_with_its_children(shop: Workshop) -> None:
    """At its time limit the whole process group is killed, compilers that it started included."""
    note = shop.folder / "child"
    with pytest.raises(ToolFailed, match=r"sh took longer than 0.3 s"):
        shop.run(["sh", "-c", f"sleep 60 & echo $! > '{note}'; wait"], timeout=0.3)
    assert wait_until_gone(int(note.read_text()))


def test_calling_off_ends_what_runs(shop: Workshop) -> None:
    """Ctrl-C reaches programs that run in other threads."""
    threading.Timer(0.1, shop.call_off).start()
    with pytest.raises(Interrupted):
        shop.run(["sleep", "60"], timeout=30)


def test_what_is_needed_twice_is_made_once(shop: Workshop) -> None:
    """Two builds that need the same tool-chain get it once."""
    made: list[str] = []

    def make() -> str:
        made.append("go")
        return "/go"

    assert [shop.once("go", make), shop.once("go", make)] == ["/go", "/go"]
    assert made == ["go"]
