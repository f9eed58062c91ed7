"""People who wait see the load of the last few seconds, in one line."""

from __future__ import annotations

from harness.load.progress import LoadProgress, Recent
from harness.model.load import Sample


def answered(ended: float, *, status: int = 200, ok: bool = True, latency: float = 0.1) -> Sample:
    planned = ended - latency
    return Sample(planned=planned, sent=planned, ended=ended, name="GET /", status=status, ok=ok)


def test_only_the_last_seconds_count() -> None:
    """An outage shows at once, and is forgotten once it is over."""
    recent = Recent()
    recent.add([answered(100 + n / 10, status=503, ok=False) for n in range(30)], now=103.0)
    assert recent.errors() == {"503": 1.0}
    recent.add([answered(103 + n / 10) for n in range(40)], now=107.0)
    assert recent.errors() == {}
    assert recent.rate(7.0) == 10.0


def test_errors_are_told_by_what_came_instead() -> None:
    """A status, nothing, or a wrong answer under a good status; the most frequent first."""
    recent = Recent()
    wrong = [answered(1.0, status=status, ok=False) for status in (503, 503, 0, 200)]
    recent.add([*wrong, *[answered(1.0)] * 4], now=1.0)
    assert recent.errors() == {"503": 0.25, "no answer": 0.125, "wrong answer": 0.125}


def test_percentiles_are_of_real_latencies() -> None:
    """Nearest rank: a latency that was measured, never one in between."""
    recent = Recent()
    assert recent.percentiles(0.5) == [None]
    recent.add([answered(1000.0, latency=float(n)) for n in range(1, 11)], now=1000.0)
    assert recent.percentiles(0.5, 0.95, 1.0) == [5.0, 10.0, 10.0]


def test_progress_says_itself_in_one_line() -> None:
    """The rate, what is wrong, the latency, what is open; a dead generator before everything else."""
    progress = LoadProgress(
        alive=True, planned=90, sent=88, finished=80, in_flight=8, dropped=2, rate=39.6, errors={"503": 0.25},
        p50=0.043, p95=0.2,
    )  # fmt: skip
    assert str(progress) == "40/s, 503 25 %, p50 43 ms, 8 open, 2 dropped"
    dead = LoadProgress(
        alive=False, planned=90, sent=88, finished=80, in_flight=8, dropped=0, rate=0, errors={}, p50=None, p95=None
    )
    assert str(dead) == "load generator dead after 88 requests"
