"""The driver starts one engine, waits until it is ready, and never leaves one behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from harness.errors import LoadError, UsageError
from harness.load.driver import LoadDriver
from harness.model.load import Arrivals
from harness.model.units import minutes, seconds
from harness.testing import FakeClock
from loadtests.sample_file import SampleFile
from tests.load.conftest import LocalProcess


def stays_silent(_: Path) -> int | None:
    """An engine that runs and never gets ready."""
    return None


def gets_ready(folder: Path) -> int | None:
    """An engine that runs as it should."""
    with SampleFile(folder / "samples.csv"):
        pass
    (folder / "progress.json").write_text(json.dumps({"at": 1_000_000.5, "began": 1_000_000.0}))
    return None


def refuses(folder: Path) -> int | None:
    """An engine that says what is wrong with its settings."""
    (folder / "engine.log").write_text("users.py:3: invalid syntax\n")
    return 2


def breaks(folder: Path) -> int | None:
    """An engine that breaks while it starts."""
    (folder / "engine.log").write_text("noise\n" * 50 + "MemoryError\n")
    return -9


@dataclass
class FakeSpawner:
    """Runs `engine` on the folder of its load in place of a process; its answer is the exit status."""

    engine: Callable[[Path], int | None] = gets_ready
    argv: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    ended: list[tuple[str, float]] = field(default_factory=list)
    status: int | None = None

    def spawn(
        self, name: str, argv: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path
    ) -> LocalProcess:
        self.names.append(name)
        self.argv, self.environment = argv, environment
        self.status = self.engine(log.parent)
        return self.spawned(name)

    def spawned(self, name: str) -> LocalProcess:
        return LocalProcess(1, self.status)

    def end(self, name: str, *, grace: float) -> LocalProcess:
        self.ended.append((name, grace))
        self.status = self.status if self.status is not None else -15
        return self.spawned(name)


@dataclass
class Scene:
    """A driver with a fake engine and a fake clock at scale 60."""

    spawner: FakeSpawner
    folder: Path
    users: Path
    clock: FakeClock = field(default_factory=lambda: FakeClock(scale=60))

    def driver(self, **change: object) -> LoadDriver:
        settings: dict[str, object] = {
            "spawner": self.spawner,
            "users": str(self.users),
            "target": "http://127.0.0.1:8080",
            "folder": self.folder,
            "clock": self.clock,
        }
        return LoadDriver(**{**settings, **change})  # type: ignore[arg-type]  # a table of settings has no one type


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    users = tmp_path / "users.py"
    users.write_text("")
    return Scene(FakeSpawner(), tmp_path / "run", users)


def test_the_engine_follows_the_plan_in_wall_time(scene: Scene) -> None:
    """Durations are divided by the time scale, rates are not; the record names the plan as its author wrote it."""
    plan = Arrivals.constant(80, lasting=minutes(2))
    with scene.driver().drive(plan, window="a load / 1") as load:
        written = json.loads((scene.folder / "load" / "a-load-1" / "plan.json").read_text())
    assert Arrivals.from_json(written) == Arrivals.constant(80, lasting=seconds(2))
    assert load.record.plan == "80/s for 2 min (open model)"
    assert scene.spawner.names == ["load-a-load-1"]


def test_the_engine_is_ended_with_the_block(scene: Scene) -> None:
    """It is given its drain and some more, also where the block breaks; an engine that does not sign off is told."""
    with (
        pytest.raises(RuntimeError, match="the scenario broke"),
        scene.driver(drain=seconds(3)).drive(Arrivals.constant(1)) as load,
    ):
        raise RuntimeError("the scenario broke")
    assert scene.spawner.ended == [("load-load", 8.0)]
    assert (load.record.complete, load.samples) == (False, ())
    assert "did not sign off" in load.record.problem


def test_stopping_twice_changes_nothing(scene: Scene) -> None:
    """The account is settled once."""
    driver = scene.driver()
    load = driver.start(Arrivals.constant(1), "load")
    driver.stop(load)
    record = load.record
    driver.stop(load)
    assert load.record is record
    assert len(scene.spawner.ended) == 1


def test_a_load_that_is_on_has_no_record_yet(scene: Scene) -> None:
    """Half an account is no account."""
    load = scene.driver().start(Arrivals.constant(1), "load")
    with pytest.raises(LoadError, match="still on"):
        _ = load.record


def test_an_engine_is_alive_until_it_ends_without_a_sign_off(scene: Scene) -> None:
    """One whose plan is over has signed off and is not dead, one that was killed is."""
    load = scene.driver().start(Arrivals.constant(1), "load")
    assert load.alive
    scene.spawner.status = -9
    assert not load.alive
    assert str(load.progress()).startswith("load generator dead")
    signed = {
        "format": 1, "reason": "the plan ended", "began": 1, "stopped": 2, "ended": 2, "planned": 1, "sent": 1,
        "finished": 1, "in_flight": 0, "dropped": 0, "samples": 1, "sha256": "", "cpu_seconds": 0,
        "lateness": {"p50": 0, "p99": 0, "max": 0},
    }  # fmt: skip
    load.files.sign_off.write_text(json.dumps(signed))
    assert load.alive


@pytest.mark.parametrize(
    ("engine", "error", "said"),
    [
        (refuses, UsageError, "users.py:3: invalid syntax"),
        (breaks, LoadError, r"exit status -9:[^$]*MemoryError"),
        (stays_silent, LoadError, "not ready after 30 s"),
    ],
)
def test_an_engine_that_does_not_come_up_is_told_with_its_last_words(
    scene: Scene, engine: Callable[[Path], int | None], error: type[Exception], said: str
) -> None:
    """Settings that can't work are the reader's to mend, anything else is ours; nothing is left running."""
    scene.spawner.engine = engine
    with pytest.raises(error, match=said) as raised:
        scene.driver().start(Arrivals.constant(1), "load")
    assert str(raised.value).count("noise") < 20
    assert scene.spawner.ended == [("load-load", 0.0)]


def test_an_engine_is_not_left_behind_by_an_interrupt(scene: Scene) -> None:
    """Ctrl-C while it comes up ends it."""
    scene.spawner.engine = stays_silent

    def interrupt() -> None:
        raise KeyboardInterrupt

    scene.clock.at(scene.clock.now() + 1.0, interrupt)
    with pytest.raises(KeyboardInterrupt):
        scene.driver().start(Arrivals.constant(1), "load")
    assert scene.spawner.ended == [("load-load", 0.0)]


def test_all_that_is_wrong_is_told_before_anything_starts(scene: Scene) -> None:
    """One message names the plan, the users, the target and the bounds."""
    driver = scene.driver(
        users="nowhere.py:User", target="http://192.0.2.1/", open_at_most=0, timeout=timedelta(), allow=("other",)
    )
    with pytest.raises(UsageError) as raised:
        driver.start(Arrivals.constant(-5), "load")
    wrong = "\n".join(raised.value.problems)
    for part in (
        "rate of -5/s",
        "no user file nowhere.py",
        "192.0.2.1 is not on this machine",
        "bound of 0",
        "timeout",
    ):
        assert part in wrong
    assert scene.spawner.names == []


@pytest.mark.parametrize("target", ["127.0.0.1:8080", "ftp://127.0.0.1", "http://", ""])
def test_a_target_that_is_no_address_is_refused(scene: Scene, target: str) -> None:
    """Load goes to an http:// or https:// address."""
    assert any(
        re.search("is not a http:// or https:// address", each) for each in scene.driver(target=target).problems()
    )


def test_a_host_can_be_allowed_by_name(scene: Scene) -> None:
    """What was allowed is handed to the engine, which holds every connection to it."""
    driver = scene.driver(target="http://192.0.2.1/", allow=("192.0.2.1",))
    assert driver.problems() == []
    driver.start(Arrivals.constant(1), "load")
    assert "--allow=192.0.2.1" in scene.spawner.argv


def test_two_loads_of_one_name_have_a_folder_each(scene: Scene) -> None:
    """Nothing is written over."""
    with scene.driver().drive(Arrivals.constant(1)) as one:
        pass
    with scene.driver().drive(Arrivals.constant(1)) as two:
        pass
    assert [one.record.samples_file, two.record.samples_file] == ["load/load/samples.csv", "load/load-2/samples.csv"]
