"""Replies and records of benchmarks, of which each test breaks what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness import Benchmark, Control, Record, Scenario, Window, seconds
from harness.model.benchmark import BenchmarkRecord, Reply

BENCHMARK = Benchmark("app", 80, "/health", requests=1000, at_once=10, p99=seconds(2), rate=50, mean=seconds(2))
CHECK = BENCHMARK.during(Window("later"))


def reply(took: float = 0.02, *, sent: float = 100.0, status: int = 200, error: str = "", length: int = 2) -> Reply:
    """One request that took so many seconds."""
    return Reply(
        sent=sent,
        connected=sent + took / 4,
        first=sent + took / 2,
        ended=sent + took,
        status=status,
        received=length + 40 if status else 0,
        length=length,
        error=error,
    )


def replies(right: int, *others: Reply) -> tuple[Reply, ...]:
    """So many right ones, and others."""
    return (*(reply(),) * right, *others)


def ran(asked: Sequence[Reply], *, lasted: float = 10.0, **changed: object) -> Record:
    """The record of a run in which the benchmark was run so."""
    whole = BenchmarkRecord(
        window="later",
        target="app:80/health",
        requests=1000,
        at_once=10,
        began=100.0,
        ended=100.0 + lasted,
        replies=tuple(asked),
        client_cpu=0.2,
    )
    return record(replace(whole, **changed))  # type: ignore[arg-type]  # its own fields


def record(*benchmarks: BenchmarkRecord) -> Record:
    """A record with these benchmarks and nothing else."""
    return Record(
        run_id="1",
        scenario=Scenario(name="s", hypothesis="h"),
        control=Control.NONE,
        time_scale=60.0,
        seed=1,
        runtime="fake",
        began=90.0,
        ended=200.0,
        benchmarks=benchmarks,
    )
