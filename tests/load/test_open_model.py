"""The engine for real, against a server of the tests' own: what it says is held against what must have happened."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.clock import SystemClock
from harness.errors import UsageError
from harness.load.checks import LoadKeptUp
from harness.load.driver import LoadDriver, RunningLoad
from harness.model.load import Arrivals, Sample
from harness.model.record import LoadRecord, Record, Scenario
from harness.model.units import seconds
from harness.model.verdict import Control, Outcome, Verdict
from tests.load.conftest import LocalSpawner, Server

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
STRANGER = Path(__file__).with_name("stranger.py")
Drive = Callable[..., LoadDriver]

GET = """
from locust import FastHttpUser, task
class User(FastHttpUser):
    @task
    def get(self):
        self.client.get("PATH")
"""


@pytest.fixture
def driver(tmp_path: Path, spawner: LocalSpawner, server: Server) -> Drive:
    """A driver whose users all do `source`, in a folder with a space in its name."""

    def make(source: str = GET.replace("PATH", "/"), **change: Any) -> LoadDriver:
        folder = tmp_path / "a run"
        folder.mkdir(exist_ok=True)
        users = folder / "users.py"
        users.write_text(source)
        settings = {"users": str(users), "target": server.url, "drain": seconds(0.5), **change}
        return LoadDriver(spawner=spawner, folder=folder, clock=SystemClock(), **settings)

    return make


def verdict(record: LoadRecord, samples: tuple[Sample, ...], **change: Any) -> Verdict:
    """What the judge would say of this load."""
    whole = Record(
        run_id="r",
        scenario=Scenario(name="s", hypothesis="h"),
        control=Control.NONE,
        time_scale=1,
        seed=1,
        runtime="processes",
        began=record.began,
        ended=record.ended or record.began,
        loads=(record,),
        samples=samples,
    )
    return LoadKeptUp(window=record.window, **change).judge(whole)


def until(done: Callable[[], bool], at_most: float) -> bool:
    limit = time.monotonic() + at_most
    while not done():
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def wait_for_answers(load: RunningLoad, count: int = 1) -> None:
    assert until(lambda: load.progress().finished >= count, at_most=10), load.progress()


# -- an open model -------------------------------------------------------------------------------------------------


def test_a_freeze_is_shown_as_long_as_it_was(driver: Drive, server: Server) -> None:
    """All who arrive while the server stands still wait until it goes on: theory says how many wait how long."""
    rate, bound = 100, 0.4
    with driver().drive(Arrivals.constant(rate)) as load:
        time.sleep(0.7)
        server.freeze()
        stopped = time.monotonic()
        time.sleep(1.2)
        server.thaw()
        freeze = time.monotonic() - stopped
        time.sleep(1.0)
    record, samples = load.record, load.samples
    slow = sum(1 for sample in samples if sample.at_least > bound)
    waited = sum(sample.at_least for sample in samples)
    assert record.complete, record.problem
    # Arrivals never stopped: a closed loop would have sent next to nothing while it was frozen.
    assert record.ended is not None
    assert record.planned == pytest.approx(rate * (record.ended - record.began), abs=5)
    assert record.planned - 5 <= record.sent <= record.planned
    # In a freeze f they come evenly and wait f, …, 0: rate·(f - bound) wait longer than the bound, rate·f²/2 in all.
    assert slow / (rate * (freeze - bound)) == pytest.approx(1, abs=0.15)
    assert waited / (rate * freeze**2 / 2) == pytest.approx(1, abs=0.2)
    assert max(sample.at_least for sample in samples) == pytest.approx(freeze, abs=0.25)
    assert verdict(record, samples).outcome is Outcome.PASS


def test_an_engine_that_falls_behind_is_found_out(driver: Drive) -> None:
    """Users that hold up the whole process make the generator late: INVALID, and the samples show the delay."""
    source = """
from gevent.monkey import get_original
from locust import FastHttpUser, task
calls = []
class User(FastHttpUser):
    @task
    def get(self):
        calls.append(1)
        if len(calls) == 20:
            get_original("time", "sleep")(1.0)
        self.client.get("/")
"""
    with driver(source).drive(Arrivals.constant(60)) as load:
        time.sleep(2.0)
    record, found = load.record, verdict(load.record, load.samples)
    assert record.complete, record.problem
    assert found.outcome is Outcome.INVALID, found
    assert "late" in found.observed
    # Each still counts from when the plan wanted it, not from when the engine got round to it.
    planned = sorted(sample.planned - record.began for sample in load.samples)
    assert planned == pytest.approx([(k + 0.5) / 60 for k in range(len(planned))], abs=0.001)
    assert max(sample.sent - sample.planned for sample in load.samples) > 0.9


def test_the_same_seed_sends_the_same_requests(driver: Drive, server: Server) -> None:
    """Which task, in which order: from the seed alone, however the server answers."""
    source = """
from locust import FastHttpUser, task
class A(FastHttpUser):
    @task(3)
    def a(self): self.client.get("/a")
    @task
    def b(self): self.client.get("/slow")
class B(FastHttpUser):
    @task
    def c(self): self.client.get("/c")
"""

    def names(seed: int, name: str) -> list[str]:
        with driver(source, seed=seed, drain=seconds(2)).drive(
            Arrivals.constant(60, lasting=seconds(1)), window=name
        ) as load:
            assert until(lambda: load.driver.spawner.spawned(load.name).status is not None, at_most=10)
        assert load.record.complete, load.record.problem
        assert load.record.sent == 60
        return [sample.name for sample in sorted(load.samples, key=lambda sample: sample.planned)]

    first = names(7, "one")
    assert first == names(7, "two")
    assert first != names(8, "three")


# -- what is open ----------------------------------------------------------------------------------------------


def test_what_is_open_at_the_end_is_counted(driver: Drive) -> None:
    """Requests that nobody answered are samples too, with how long they had been waiting."""
    with driver(GET.replace("PATH", "/hang")).drive(Arrivals.constant(20)) as load:
        time.sleep(1.0)
    record, samples = load.record, load.samples
    assert (record.complete, record.finished, record.in_flight) == (True, 0, record.sent), record.problem
    assert len(samples) == record.sent
    assert all(sample.ended is None and not sample.ok and sample.censored for sample in samples)
    assert max(sample.at_least for sample in samples) > 1.4  # a second of load, half a second of drain


def test_more_than_the_bound_are_dropped_and_said(driver: Drive) -> None:
    """The bound on open arrivals protects this machine; reaching it makes the run INVALID."""
    with driver(GET.replace("PATH", "/hang"), open_at_most=5).drive(Arrivals.constant(50)) as load:
        assert until(lambda: load.progress().dropped > 0, at_most=5)
    record = load.record
    assert (record.sent, record.in_flight) == (5, 5)
    assert record.dropped == pytest.approx(record.planned - record.sent, rel=0.3)
    assert verdict(record, load.samples).outcome is Outcome.INVALID
    assert "dropping arrivals: 5 are open" in load.files.log.read_text()


@pytest.mark.parametrize("kind", ["FastHttpUser", "HttpUser"])
@pytest.mark.parametrize("path", ["/hang", "/trickle"])
def test_every_request_ends_in_bounded_time(driver: Drive, kind: str, path: str) -> None:
    """Also where the answer comes byte by byte, each of them in time."""
    source = GET.replace("PATH", path).replace("FastHttpUser", kind)
    with driver(source, timeout=seconds(0.4)).drive(Arrivals.constant(10, lasting=seconds(0.5))) as load:
        wait_for_answers(load, 5)
    assert load.record.complete, load.record.problem
    assert [sample.ok for sample in load.samples] == [False] * 5
    assert all(0.35 < sample.at_least < 0.9 for sample in load.samples), load.samples
    assert all("no complete answer within 0.4 s" in s.error or "timed out" in s.error for s in load.samples), (
        load.samples
    )


# -- how it ends -----------------------------------------------------------------------------------------------


def test_a_killed_engine_leaves_what_it_saw_and_no_sign_off(driver: Drive, spawner: LocalSpawner) -> None:
    """No exception: the record is incomplete and says so, and the judge calls it UNKNOWN."""
    with driver().drive(Arrivals.constant(50)) as load:
        wait_for_answers(load, 10)
        spawner.only().kill()
        assert until(lambda: not load.alive, at_most=5)
    assert not load.record.complete
    assert "exit status -9" in load.record.problem
    assert len(load.samples) >= 10
    assert verdict(load.record, load.samples).outcome is Outcome.UNKNOWN


def test_a_second_request_to_stop_does_not_wait(driver: Drive, spawner: LocalSpawner) -> None:
    """It still writes what is open as unanswered, and signs off."""
    with driver(GET.replace("PATH", "/hang"), drain=seconds(30)).drive(Arrivals.constant(20)) as load:
        time.sleep(0.5)
        asked = time.monotonic()
        spawner.only().terminate()
        assert not until(lambda: spawner.only().poll() is not None, at_most=0.7)
        spawner.only().terminate()
        assert until(lambda: spawner.only().poll() is not None, at_most=10)
    assert time.monotonic() - asked < 15  # half of what it would wait by itself
    assert (load.record.complete, load.record.in_flight) == (True, load.record.sent), load.record.problem


def test_a_plan_that_ends_before_the_block_is_no_death(driver: Drive, spawner: LocalSpawner) -> None:
    """The engine signs off and goes; its load stays alive in the sense that nothing is wrong."""
    with driver().drive(Arrivals.constant(40, lasting=seconds(0.5))) as load:
        assert until(lambda: spawner.only().poll() == 0, at_most=5)
        assert load.alive
    assert (load.record.complete, load.record.planned, load.record.finished) == (True, 20, 20), load.record.problem


def test_an_engine_stops_by_itself_after_its_longest_duration(driver: Drive, spawner: LocalSpawner) -> None:
    """Whatever becomes of everybody else; a load that was cut short is not complete."""
    with driver(longest=seconds(0.5)).drive(Arrivals.constant(20)) as load:
        assert until(lambda: spawner.only().poll() == 0, at_most=5)
    assert "maximum duration" in load.record.problem
    assert not load.record.complete


def test_an_engine_ends_when_its_parent_does(tmp_path: Path, server: Server) -> None:
    """A supervisor that is killed takes the load with it: no sign-off, no process."""
    (tmp_path / "plan.json").write_text(json.dumps(Arrivals.constant(10).to_json()))
    (tmp_path / "users.py").write_text(GET.replace("PATH", "/"))
    names = ("plan.json", "samples.csv", "progress.json", "sign-off.json")
    plan, samples, progress, sign_off = (tmp_path / name for name in names)
    argv = [
        sys.executable, "-m", "loadtests.open_model", f"--plan={plan}", f"--users={tmp_path / 'users.py'}",
        f"--host={server.url}", f"--samples={samples}", f"--progress={progress}", f"--sign-off={sign_off}",
        "--at-most=30",
    ]  # fmt: skip
    parent = f"import subprocess, time; p = subprocess.Popen({argv!r}); print(p.pid, flush=True); time.sleep(30)"
    with subprocess.Popen(
        [sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        try:
            assert until(progress.exists, at_most=10)
            process.kill()
            assert until(lambda: not running(pid), at_most=2)
        finally:
            process.kill()
            if running(pid):
                os.kill(pid, signal.SIGKILL)
    assert not sign_off.exists()


def running(pid: int) -> bool:
    """Whether this process of ours lives; one that ended and was not waited for does not."""
    try:
        state = re.sub(r".*\)", "", Path(f"/proc/{pid}/stat").read_text()).split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


# -- whose users -----------------------------------------------------------------------------------------------


def test_a_strangers_locustfile_works_as_it_is(driver: Drive) -> None:
    """on_start, both clients, weights, nested and sequential task sets, catch_response, options, listeners."""
    with driver(users=str(STRANGER), seed=3).drive(Arrivals.constant(120, lasting=seconds(2))) as load:
        wait_for_answers(load, 240)
    record, samples = load.record, load.samples
    assert (record.complete, record.sent, record.finished) == (True, 240, 240), record.problem
    count = Counter(sample.name for sample in samples)
    good = Counter(sample.name for sample in samples if sample.ok)
    errors = {sample.name: sample.error for sample in samples if not sample.ok}
    assert good["GET look"] == count["GET look"] > 50  # a 503 that the user takes for success
    assert good["GET /rest"] == count["GET /rest"] > 50
    assert good["GET /books"] == count["GET /books"] == count["GET detail"] > 20  # two requests in one task
    assert 0 < count["POST /login"] < 20  # once for each user object, and those are used again
    # Three steps in turn: no step is ever ahead of the one before it by more than the users in the middle of it.
    assert count["GET /basket"] >= count["POST /pay"] >= count["GET /thanks"] > 0
    assert errors == {"GET detail": "another page", "GET /price": "KeyError: 'missing'"}
    assert good["GET detail"] == good["GET /price"] == 0


def test_load_never_leaves_this_machine_by_a_redirect(driver: Drive) -> None:
    """A redirect to another host is a failed request and no connection."""
    with driver(GET.replace("PATH", "/elsewhere")).drive(Arrivals.constant(10, lasting=seconds(0.3))) as load:
        wait_for_answers(load, 3)
    assert all(not sample.ok and "192.0.2.1 is neither loopback nor allowed" in sample.error for sample in load.samples)
    assert len(load.samples) == 3


def test_a_server_that_is_gone_is_a_failure_of_every_request(driver: Drive, server: Server) -> None:
    """Refused connections are samples without a status, at once."""
    with driver().drive(Arrivals.constant(20)) as load:
        wait_for_answers(load)
        server.process.kill()
        server.process.wait(5)
        gone = time.time()
        time.sleep(0.7)
    late = [sample for sample in load.samples if sample.planned > gone + 0.1]
    assert len(late) >= 8
    assert all((sample.status, sample.ok) == (0, False) for sample in late)
    assert all("Refused" in sample.error for sample in late), late
    assert load.record.complete, load.record.problem


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("from locust import task\n\ndef broken(:\n", r"users\.py:3: invalid syntax"),
        ("import nowhere_to_be_found\n", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("x = 1\n", "has no user class"),
        ("from locust import FastHttpUser\nclass Idle(FastHttpUser): pass\n", "Idle: it has no task"),
    ],
)
def test_a_user_file_that_can_not_work_is_told_before_the_load_begins(driver: Drive, source: str, said: str) -> None:
    """The reader is told what and where, and that it is for them to mend."""
    with pytest.raises(UsageError, match=said):
        driver(source).start(Arrivals.constant(1), "load")


def test_one_class_of_a_file_can_be_chosen(driver: Drive) -> None:
    """`file.py:Class` sends only that one; a class that is not there is named beside those that are."""
    with driver(users=f"{STRANGER}:Quick").drive(Arrivals.constant(40, lasting=seconds(0.5))) as load:
        wait_for_answers(load, 20)
    assert {sample.name for sample in load.samples} == {"GET look", "GET /rest"}
    with pytest.raises(UsageError, match="no user class Slow; it has: Quick, Shopper"):
        driver(users=f"{STRANGER}:Slow").start(Arrivals.constant(1), "load")


# -- our own users ---------------------------------------------------------------------------------------------


def test_our_users_take_a_quick_wrong_answer_for_a_failure(driver: Drive) -> None:
    """The tests' server answers 200 to everything, and never with a script."""
    with driver(users=str(ROOT / "loadtests" / "users.py")).drive(Arrivals.constant(100, lasting=seconds(1))) as load:
        wait_for_answers(load, 100)
    names = Counter(sample.name for sample in load.samples)
    assert all(sample.status == 200 and not sample.ok for sample in load.samples)
    assert set(names) == {"POST /api/generation/scripts", "POST /api/rag/search", "GET /api/projects/{id}"}
    assert names["POST /api/generation/scripts"] == pytest.approx(88, abs=10)


@pytest.mark.alone
def test_our_users_run_with_plain_locust(tmp_path: Path, server: Server) -> None:
    """The same file, Locust's own command, nothing of ours in between."""
    done = subprocess.run(
        [
            sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests" / "users.py"), "--headless", "--users", "5",
            "--spawn-rate", "5", "--run-time", "2s", "--host", server.url, "--exit-code-on-error", "0",
            "--json-file", str(tmp_path / "stats"), "--loglevel", "WARNING",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stats = json.loads((tmp_path / "stats.json").read_text())
    assert sum(entry["num_requests"] for entry in stats) > 0


OWN_CHECKS = """
import collections, random
from loadtests import users
random.seed(1)
drawn = [users.draw_prompt() for _ in range(5000)]
seen, hits = set(), 0
for prompt in drawn:
    hits += prompt in seen
    seen.add(prompt)
assert 0.15 < hits / len(drawn) < 0.2, hits
good = {"script": "About bees on a rooftop.", "model": "m", "cached": False}
assert users.wrong_script(good, "bees on a rooftop") == ""
for bad in [None, [], {}]:
    assert users.wrong_script(bad, "bees on a rooftop"), bad
for odd in [{"script": " "}, {"script": 3}, {"model": None}, {"cached": 1}]:
    assert users.wrong_script({**good, **odd}, "bees on a rooftop"), odd
assert users.wrong_script(good, "the last tram home")
assert users.wrong_documents({"documents": [{"text": "t"}]}) == ""
for bad in [None, {}, {"documents": []}, {"documents": [{}]}, {"documents": ["t"]}]:
    assert users.wrong_documents(bad), bad
assert users.wrong_project({"id": 3, "name": "n"}, 3) == ""
for bad in [None, {}, {"id": 4, "name": "n"}, {"id": 3, "name": ""}]:
    assert users.wrong_project(bad, 3), bad
"""


def test_our_users_draw_and_judge_as_they_say() -> None:
    """One prompt in six was asked for before; every wrong answer has its reason. (Not in this process: Locust.)"""
    done = subprocess.run(
        [sys.executable, "-c", OWN_CHECKS], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
