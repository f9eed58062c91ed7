"""The machine: how busy it was, with whom, and what a failure beside strangers is worth."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness import Control, Outcome, Slo, judge, seconds
from harness.judge import encode_check
from harness.machine import CpuTimes, MachineWatch, cpu_times
from harness.model.load import Sample
from harness.model.record import LoadRecord, MachineEvidence, MachineLook, Record, Scenario
from harness.model.timeline import Span, Window
from harness.testing import FakeClock

SLOW = 3.0
ROOM = "the machine had room for the run"


def record(latency: float, *looks: MachineLook) -> Record:
    """A run of 60 s on two cores, whose requests all took `latency` seconds."""
    at = [1000 + n / 20 for n in range(1200)]
    samples = tuple(Sample(planned=t, sent=t, ended=t + latency, name="/", status=200, ok=True) for t in at)
    load = LoadRecord(
        window="load",
        plan="20/s",
        target="fake",
        began=1000.0,
        ended=1060.0,
        planned=1200,
        sent=1200,
        finished=1200,
        in_flight=0,
        dropped=0,
        complete=True,
        lateness_p99=0.001,
        lateness_max=0.002,
        generator_cpu=0.1,
        samples_file="samples.csv",
        samples_count=1200,
    )
    check = Slo.latency(p50=seconds(1)).during(Window("calm"))
    return Record(
        run_id="1",
        scenario=Scenario(name="outage", hypothesis="it holds"),
        control=Control.NONE,
        time_scale=1,
        seed=1,
        runtime="fake",
        began=1000.0,
        ended=1060.0,
        windows=(
            Span(name="load", kind="load", began=1000.0, ended=1060.0),
            Span(name="calm", kind="observe", began=1000.0, ended=1060.0),
        ),
        loads=(load,),
        samples=samples,
        checks=(encode_check(check),),
        machine=MachineEvidence(cores=2, looks=looks),
    )


def look(busy: float, ours: float, lasted: float = 6.0) -> MachineLook:
    return MachineLook(at=1030.0, seconds=lasted, busy=busy, ours=ours)


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        pytest.param(look(2.0, 0.9), Outcome.INVALID, id="strangers took what was left"),
        pytest.param(look(2.0, 1.9), Outcome.FAIL, id="it was the run's own doing"),
        pytest.param(look(1.6, 0.5), Outcome.FAIL, id="there was room for all"),
        pytest.param(look(2.0, 0.9, lasted=2.0), Outcome.FAIL, id="for a moment only"),
    ],
)
def test_a_failure_beside_strangers_says_nothing(seen: MachineLook, outcome: Outcome) -> None:
    """Where other programs took the machine, what failed may be the machine's fault and not the system's."""
    assert judge.judge(record(SLOW, seen)).outcome is outcome


def test_a_pass_beside_strangers_stands() -> None:
    """A system that meets its objectives on a crowded machine meets them."""
    judgement = judge.judge(record(0.1, look(2.0, 0.5)))
    assert judgement.outcome is Outcome.PASS
    assert not [verdict for verdict in judgement.verdicts if verdict.claim == ROOM]


def test_a_run_whose_machine_nobody_watched_may_fail() -> None:
    """A record without that evidence is judged as ever."""
    assert judge.judge(replace(record(SLOW), machine=None)).outcome is Outcome.FAIL


def test_what_it_says_names_the_figures() -> None:
    """A reader learns for how long, and how much was taken."""
    (verdict,) = (v for v in judge.judge(record(SLOW, look(2.0, 0.9))).verdicts if v.claim == ROOM)
    assert verdict.observed == "for 6 s it had none; other programs used 1.1 of its 2 cores"


def test_a_look_is_the_average_since_the_one_before() -> None:
    """CPU seconds per second of the clock, the machine's and the run's own."""
    clock = FakeClock()
    counts: Iterator[CpuTimes] = iter([CpuTimes(10.0, 1.0), CpuTimes(11.5, 1.5)])
    watch = MachineWatch(clock, lambda: next(counts))
    watch._look()
    clock.sleep(1.0)
    watch._look()
    assert [(one.seconds, one.busy, one.ours) for one in watch.evidence().looks] == [(1.0, 1.5, 0.5)]


def test_what_a_run_starts_is_its_own() -> None:
    """A child's CPU counts as ours, after its end as well, and the machine used at least as much."""
    before = cpu_times()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    after = cpu_times()
    assert after.ours - before.ours >= 0.27
    assert after.all - before.all >= 0.25  # in ticks of 10 ms, for each CPU
    assert os.cpu_count() == MachineWatch(FakeClock()).evidence().cores
