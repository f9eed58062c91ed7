"""The number of workers follows the load."""

import json

import pytest

from harness import Arrivals, Logs, Run, minutes
from harness.faults import Cpu, HeavyRequests

pytestmark = pytest.mark.alone  # two workers pass the threshold only where both cores are theirs
LOG = Logs("generation")
DOCUMENT = json.dumps({"query": "a bakery at night", "pages": 1400})


def test_workers_follow_the_load(run: Run) -> None:
    """With auto-scaling on, workers that have little to do go, and large documents bring one more. Where no CPU is left
    it does not help: users wait as before, and as the workers' mean is lower then, one of them soon goes again."""
    jobs = HeavyRequests(
        "generation",
        8002,
        "/api/rag/documents",
        at_once=24,
        until=Cpu(1.5),
        headers={"Content-Type": "application/json"},
        body=DOCUMENT,
    )
    with run.load(Arrivals.constant(per_second=10)):
        run.mitigate("auto-scale")
        fewer = run.observe("with little to do", minutes(10))
        with run.fault(jobs):
            more = run.observe("with large documents", minutes(10))
        after = run.observe("with little to do again", minutes(6))
        run.restore("auto-scale")  # there must be fewer workers than usual
    run.verify(
        LOG.shows("3 -> 2 workers", during=fewer),
        LOG.shows("Scaling up workers due to high load", during=more),
        LOG.lacks("Scaling up workers due to high load", during=fewer),
        LOG.lacks("Scaling up workers due to high load", during=after),
    )
