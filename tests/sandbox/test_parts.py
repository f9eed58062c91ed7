"""Parts are found where they are, had where they are not, and every way that fails says why."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.errors import PartMissing, UsageError
from harness.sandbox import parts
from harness.sandbox.parts import base
from harness.sandbox.parts.base import FoundPart, Part, Unavailable, version_of
from harness.sandbox.parts.cache import Cache, users_cache
from harness.sandbox.parts.workshop import ToolFailed, Workshop

Program = Callable[..., Path]


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty PATH, an empty cache and no setting of ours. Returns the one folder on its PATH."""
    folder = tmp_path / "bin folder"
    folder.mkdir()
    for variable in [name for name in os.environ if name.startswith("GAMEDAY_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("GAMEDAY_CACHE", str(tmp_path / "cache folder"))
    return folder


@pytest.fixture
def program(bare_machine: Path) -> Program:
    """Makes a program that prints `says` and ends with `status`."""

    def make(name: str, says: str = "", status: int = 0, folder: Path = bare_machine) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
        path.chmod(0o755)
        return path

    return make


@dataclass(frozen=True)
class FakeWay:
    """A way that has `had`, or else fails with `reason`; `asked` counts how often it was to get something."""

    had: FoundPart | None = None
    reason: str = "the moon is in the way"
    label: str = "moon"
    asked: list[str] = field(default_factory=list)

    def look(self) -> FoundPart:
        raise Unavailable(f"no {self.label} in the cache")

    def get(self, shop: Workshop) -> FoundPart:
        self.asked.append(self.label)
        if self.had is None:
            raise ToolFailed(self.reason)
        return self.had


def found(name: str, how: str = "moon") -> FoundPart:
    return FoundPart(name=name, argv=("/x",), version="1.0", how=how)


def know(monkeypatch: pytest.MonkeyPatch, *known: Part) -> None:
    """Let these be the only parts."""
    monkeypatch.setattr(parts, "_PARTS", {each.name: lambda _cache, each=each: each for each in known})


def simple(name: str, *ways: FakeWay, stand_in: FoundPart | None = None) -> Part:
    return Part(
        name=name,
        commands=(name,),
        version_flag="--version",
        at_least="2.0",
        because="a reason",
        ways=ways,
        stand_in=stand_in,
        elsewhere="the shop",
    )


def listed(problem: PartMissing) -> list[str]:
    """The lines of the message that stand for one part each."""
    return [line.removeprefix("  - ") for line in str(problem).splitlines() if line.startswith("  - ")]


def heard(_line: str) -> None:
    """A listener who forgets."""


# -- found by name -------------------------------------------------------------------------------------------------


def test_environment_goes_before_path(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that the environment names is taken even where PATH has one."""
    program("prometheus", "prometheus, version 3.1.0")
    chosen = program("mine", "prometheus, version 2.50.1 (branch: HEAD)", folder=tmp_path)
    monkeypatch.setenv("GAMEDAY_PROMETHEUS", str(chosen))
    part = parts.find("prometheus")
    assert (part.argv, part.version, part.how) == ((str(chosen),), "2.50.1", "GAMEDAY_PROMETHEUS")


@pytest.mark.parametrize(
    ("says", "status", "reason"),
    [
        ("prometheus, version 2.30.0", 0, "2.42 or newer is needed"),  # too old
        ("no such option", 2, "fails with status 2: no such option"),  # another program
    ],
)
def test_a_chosen_program_that_fails_is_an_error(
    says: str, status: int, reason: str, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment names and does not work is never replaced by what PATH has."""
    program("prometheus", "prometheus, version 3.1.0")
    monkeypatch.setenv("GAMEDAY_PROMETHEUS", str(program("mine", says, status, folder=tmp_path)))
    with pytest.raises(PartMissing, match="GAMEDAY_PROMETHEUS=") as problem:
        parts.find("prometheus")
    assert reason in str(problem.value)


@pytest.mark.parametrize(("path", "reason"), [("/nowhere/at all", "no such file"), ("/", "not an executable file")])
def test_a_chosen_path_that_is_no_program_is_an_error(path: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that names nothing, or a folder, is reported with its value."""
    monkeypatch.setenv("GAMEDAY_REDIS", path)
    with pytest.raises(PartMissing, match=f"GAMEDAY_REDIS={path}: .*{reason}"):
        parts.find("redis")


def test_an_empty_variable_is_no_choice(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """`GAMEDAY_PROMETHEUS=` means the same as if it were not set."""
    program("prometheus", "prometheus, version 3.1.0")
    monkeypatch.setenv("GAMEDAY_PROMETHEUS", " ")
    assert parts.find("prometheus").how == "PATH"


def test_a_broken_choice_stops_before_anything_is_got(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded or built while the environment names a program that does not work."""
    way = FakeWay(had=found("sun"))
    know(monkeypatch, simple("sun", way), simple("star", FakeWay()))
    monkeypatch.setenv("GAMEDAY_STAR", "/nowhere")
    with pytest.raises(PartMissing, match="GAMEDAY_STAR=/nowhere") as problem:
        parts.obtain(["sun", "star"], say=heard)
    assert way.asked == []
    assert len(problem.value.problems) == 1


# -- found on PATH -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("prometheus, version 2.42.0+ds (branch: debian/sid, revision: 1)", "2.42.0"),
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "7.0.15"),
        ("nginx version: nginx/1.31.3", "1.31.3"),
        ("toxiproxy-server version 2.12.0", "2.12.0"),
        ("toxiproxy-server version git", ""),
        ("server, built with go1.26.8", ""),  # not its own version
        ("alertmanager, version  (branch: , revision: unknown)\n  go version:       go1.26.8", ""),
    ],
)
def test_versions_are_read_as_servers_print_them(says: str, version: str, program: Program) -> None:
    """The version is the first number of the first line, and empty where there is none."""
    assert version_of((str(program("server", says)), "--version")) == version


@pytest.mark.parametrize(
    ("says", "status", "reason"),
    [
        ("prometheus, version 2.41.9", 0, "is 2.41.9; 2.42 or newer is needed (the field keep_firing_for"),
        ("prometheus, version git", 0, "does not say its version"),
        ("boom", 1, "fails with status 1: boom"),
    ],
)
def test_an_unfit_program_on_path_is_passed_over(says: str, status: int, reason: str, program: Program) -> None:
    """One on PATH that will not do is skipped, and its reason is kept for the case that nothing else is found."""
    program("prometheus", says, status)
    with pytest.raises(PartMissing) as problem:
        parts.find("prometheus")
    assert reason in str(problem.value)


def test_a_program_that_hangs_is_passed_over(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that never answers `--version` costs a bounded time."""
    path = bare_machine / "prometheus"
    path.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    path.chmod(0o755)
    monkeypatch.setattr(base, "PROBE_SECONDS", 0.1)
    began = time.monotonic()
    with pytest.raises(PartMissing, match=r"did not answer --version within 0.1 s"):
        parts.find("prometheus")
    assert time.monotonic() - began < 20


def test_the_second_name_on_path_will_do(program: Program) -> None:
    """Where `redis-server` is too old, `valkey-server` is taken."""
    program("redis-server", "Redis server v=5.0.7")
    good = program("valkey-server", "Valkey server v=8.0.1")
    assert parts.find("redis").argv == (str(good),)


def test_tools_come_from_beside_the_server(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """promtool is the one beside the Prometheus that is used, else the one on PATH."""
    monkeypatch.setenv("GAMEDAY_PROMETHEUS", str(program("prometheus", "version 3.1.0", folder=tmp_path)))
    on_path = program("promtool")
    assert parts.find("prometheus").tools == {"promtool": on_path}
    beside = program("promtool", folder=tmp_path)
    assert parts.find("prometheus").tools == {"promtool": beside}


def test_a_relative_path_entry_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server runs in a folder of its own, so its command is absolute whatever PATH says."""
    path = tmp_path / "local" / "prometheus"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\necho prometheus, version 3.1.0\n")
    path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "local")
    assert parts.find("prometheus").argv == (str(path),)


# -- wheels and stand-ins ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["redis", "nginx"])
def test_servers_in_wheels_need_nothing_else(name: str) -> None:
    """Redis and nginx come with the project's own packages."""
    part = parts.find(name)
    assert part.how.startswith("wheel ")
    assert os.access(part.argv[0], os.X_OK)


def test_the_stand_in_takes_toxiproxys_place() -> None:
    """Where Toxiproxy's server is not here, ours is found in its place."""
    part = parts.find("toxiproxy")
    assert part.argv == (sys.executable, "-m", "harness.faultproxy")
    assert part.how == "built-in"


def test_the_stand_in_can_be_asked_for(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """`GAMEDAY_TOXIPROXY=builtin` takes ours even where PATH has the real one, and nothing is got."""
    program("toxiproxy-server", "toxiproxy-server version 2.12.0")
    monkeypatch.setenv("GAMEDAY_TOXIPROXY", "builtin")
    part = parts.obtain(["toxiproxy"], say=heard)["toxiproxy"]
    assert part.how == "built-in, by GAMEDAY_TOXIPROXY"


# -- looking -------------------------------------------------------------------------------------------------------


def test_all_that_is_missing_is_reported_at_once() -> None:
    """One error names every part that is missing, and for each how to give one's own."""
    with pytest.raises(PartMissing) as problem:
        parts.find_all(["prometheus", "redis", "alertmanager", "chromadb"])
    assert [each.split(":")[0] for each in listed(problem.value)] == ["prometheus", "alertmanager", "chromadb"]
    assert "GAMEDAY_ALERTMANAGER=/path/to/alertmanager" in str(problem.value)
    assert "make setup" in problem.value.hint


def test_looking_changes_nothing(tmp_path: Path) -> None:
    """Looking for parts does not even create the cache folder."""
    parts.survey(parts.NAMES)
    assert not (tmp_path / "cache folder").exists()


def test_an_unknown_part_is_one_of_the_problems() -> None:
    """A part that we don't know is refused with the names that we do, beside all that is missing."""
    with pytest.raises(PartMissing) as problem:
        parts.find_all(["postgres", "prometheus"])
    first, second = listed(problem.value)
    assert first.startswith("postgres: there is no part of this name; known parts: redis, nginx")
    assert second.startswith("prometheus: no prometheus on PATH")


def test_an_unknown_part_stops_before_anything_is_got(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded or built while a name is wrong."""
    way = FakeWay(had=found("sun"))
    know(monkeypatch, simple("sun", way))
    with pytest.raises(PartMissing, match="postgres"):
        parts.obtain(["sun", "postgres"], say=heard)
    assert way.asked == []


def test_an_unknown_part_can_not_be_described() -> None:
    """Asking what is known of an unknown part is a usage error with the names that are known."""
    with pytest.raises(UsageError, match="no part called 'postgres'") as problem:
        parts.part("postgres")
    assert "alertmanager" in problem.value.hint


@pytest.mark.parametrize(
    ("environment", "root"),
    [
        ({"GAMEDAY_CACHE": "/a b", "XDG_CACHE_HOME": "/x"}, Path("/a b")),  # ours goes first
        ({"XDG_CACHE_HOME": "/x"}, Path("/x/gameday")),
        ({"XDG_CACHE_HOME": "relative"}, Path("~/.cache/gameday").expanduser()),  # to be ignored, says XDG
        ({}, Path("~/.cache/gameday").expanduser()),
    ],
)
def test_the_cache_folder_is_the_users_own(environment: dict[str, str], root: Path) -> None:
    """The cache is where the environment says, else where the XDG specification says."""
    assert users_cache(environment) == Cache(root)


# -- obtaining -----------------------------------------------------------------------------------------------------


def test_the_first_way_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ways are tried in order, and none after the first that works."""
    first, second, third = FakeWay(), FakeWay(had=found("sun")), FakeWay(had=found("sun"))
    know(monkeypatch, simple("sun", first, second, third))
    said: list[str] = []
    assert parts.obtain(["sun"], say=said.append) == {"sun": found("sun")}
    assert [len(way.asked) for way in (first, second, third)] == [1, 1, 0]
    assert said == ["sun: moon: the moon is in the way", "sun: have 1.0 (moon)"]


def test_every_failed_way_gives_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that can't be had lists each way with its reason; what could be had does not hide it."""
    ways = FakeWay(reason="too far", label="ship"), FakeWay(reason="too high", label="kite")
    know(monkeypatch, simple("sun", *ways), simple("star", FakeWay(had=found("star"))))
    with pytest.raises(PartMissing) as problem:
        parts.obtain(["sun", "star"], say=heard)
    assert listed(problem.value) == [
        "sun: ship: too far; kite: too high; to use your own, set GAMEDAY_SUN=/path/to/sun (it comes with the shop)"
    ]


def test_a_stand_in_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real server is tried for before its stand-in is taken, which is then no error."""
    way = FakeWay()
    know(monkeypatch, simple("sun", way, stand_in=found("sun", "built-in")))
    assert parts.obtain(["sun"], say=heard)["sun"].how == "built-in"
    assert way.asked == ["moon"]


def test_what_is_here_is_not_got_again(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With all parts here, obtaining them starts nothing and writes nothing."""
    program("sun", "sun 2.1")
    know(monkeypatch, simple("sun", FakeWay()))
    assert parts.obtain(["sun"], say=heard)["sun"].version == "2.1"
    assert not (tmp_path / "cache folder").exists()


def test_a_cache_that_cannot_be_written_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder that is a file is reported with the variable that chooses another."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GAMEDAY_CACHE", str(tmp_path / "file"))
    know(monkeypatch, simple("sun", FakeWay()))
    with pytest.raises(UsageError, match="can't be written") as problem:
        parts.obtain(["sun"], say=heard)
    assert "GAMEDAY_CACHE" in problem.value.hint
