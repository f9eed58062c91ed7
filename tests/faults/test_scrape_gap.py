"""What a scrape gap does to Prometheus, and what its receipt makes of what Prometheus says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.errors import InjectFailed
from harness.faults import ScrapeGap
from harness.model.units import seconds
from harness.probes import scrapes
from harness.sandbox.base import Address
from harness.testing import FakeSandbox
from tests.alerts.live import live
from tests.faults.watcher import CONFIG, Watcher, asked_in

GAP = ScrapeGap("shop")


@pytest.fixture
def watcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    with Watcher() as watcher:
        yield asked_in(watcher, monkeypatch)


def test_only_the_jobs_own_scrapes_go_nowhere(watcher: Watcher) -> None:
    """The other jobs, the settings and the file itself are afterwards as they were."""
    GAP.inject(watcher)
    changed = yaml.safe_load(watcher.file.read_text())
    assert changed["scrape_configs"][0].pop("proxy_url") == "http://127.0.0.1:1"
    assert changed["scrape_configs"][0] == yaml.safe_load(CONFIG)["scrape_configs"][0]
    assert changed["scrape_configs"][1] == yaml.safe_load(CONFIG)["scrape_configs"][1]
    GAP.heal(watcher)
    assert watcher.file.read_text() == CONFIG
    assert list(watcher.file.parent.iterdir()) == [watcher.file]


def test_an_inject_that_failed_half_way_is_no_new_beginning(watcher: Watcher) -> None:
    """Where the configuration was changed already, the one that is given back is the first."""
    scrapes.divert(watcher.file, "shop")
    GAP.inject(watcher)
    GAP.heal(watcher)
    assert watcher.file.read_text() == CONFIG


def test_a_proxy_of_its_own_gives_way(watcher: Watcher) -> None:
    """A job that takes its proxy from elsewhere gets ours alone: Prometheus refuses two."""
    watcher.file.write_text("scrape_configs: [{job_name: shop, proxy_from_environment: true}]")
    assert yaml.safe_load(scrapes.redirected(watcher.file.read_text(), "shop")) == {
        "scrape_configs": [{"job_name": "shop", "proxy_url": "http://127.0.0.1:1"}]
    }


def test_it_waits_until_prometheus_has_seen_it(watcher: Watcher) -> None:
    """A target that was not scraped since is neither cut off nor there."""
    watcher.late = 3
    assert GAP.receipt(watcher, 1.0).in_force is None
    GAP.inject(watcher)
    assert GAP.receipt(watcher, 1.0).in_force is True


def test_a_gap_that_does_not_come_is_said(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Prometheus goes on scraping there was no fault."""
    monkeypatch.setattr("harness.faults.scrape_gap.TAKES_OVER", seconds(0))
    watcher.late = 100
    with pytest.raises(InjectFailed):
        GAP.inject(watcher)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CONFIG.replace("shop", "other"), "there are: other, till"),
        ("scrape_configs: [", "not YAML"),
        ("[]", "no job is called 'shop'"),
        ("", "no job is called 'shop'"),
    ],
)
def test_what_can_not_work_is_said_before(watcher: Watcher, text: str, said: str) -> None:
    """An unknown job and an unreadable configuration are problems."""
    watcher.file.write_text(text)
    (problem,) = GAP.problems(watcher)
    assert said in problem


def test_other_peoples_trouble_is_not_ours(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that is down where it should be scraped is no scrape gap, and one of two is half of one."""
    down = scrapes.Target("http://127.0.0.1:81/metrics", "down", "dial tcp 127.0.0.1:81: connection refused")
    ours = scrapes.Target("http://127.0.0.1:81/metrics", "down", f"dial tcp {scrapes.NOWHERE}: connection refused")
    for found, in_force in (([down], False), ([ours, down], None), ([], None), ([ours], True)):
        monkeypatch.setattr(scrapes, "targets", lambda url, job, found=found: found)
        assert GAP.receipt(watcher, 1.0).in_force is in_force


class Served(FakeSandbox):
    """The servers of a test as a sandbox: Prometheus alone."""

    def __init__(self, port: int, folder: Path) -> None:
        super().__init__()
        self._port = port
        self._folder = folder

    def address(self, service: str, port: int) -> Address:
        return Address("127.0.0.1", self._port)

    def path(self, service: str, inside: str) -> Path:
        return self._folder / Path(inside).name


@pytest.mark.integration
def test_a_real_prometheus_loses_its_target_and_finds_it_again(tmp_path: Path) -> None:
    """While the gap lasts `up` of the same target is 0, and 1 before and after; nothing else of it is different."""
    with live(tmp_path) as servers:
        sandbox, gap = Served(servers.ports["prometheus"], tmp_path), ScrapeGap("api")
        servers.pause(0.6)
        assert gap.problems(sandbox) == []
        assert gap.receipt(sandbox, 1.0).in_force is False
        gap.inject(sandbox)
        assert gap.receipt(sandbox, 2.0).in_force is True
        gap.heal(sandbox)
        servers.pause(0.6)
        (up,) = servers.record().alerts.up
    values = [value for _, value in up.points]
    assert up.labels["instance"] == f"127.0.0.1:{servers.target.port}"
    assert (values[0], values[-1]) == (1, 1)
    assert 0 in values
