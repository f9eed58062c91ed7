"""The metrics page."""

from __future__ import annotations

from harness.faultproxy.metrics import Labels, Metrics


def test_the_page_tells_bytes_and_open_connections() -> None:
    """Counters carry Toxiproxy's names and labels; label values are escaped."""
    metrics = Metrics(proxies=True)
    metrics.series(Labels("upstream", 'a"b\\c', "[::]:1", "x:2")).received += 5
    metrics.series(Labels("upstream", 'a"b\\c', "[::]:1", "x:2")).sent += 3
    labels = 'direction="upstream",proxy="a\\"b\\\\c",listener="[::]:1",upstream="x:2"'
    assert metrics.text({"quiet": 0}).splitlines() == [
        "# HELP toxiproxy_proxy_received_bytes_total ",
        "# TYPE toxiproxy_proxy_received_bytes_total counter",
        f"toxiproxy_proxy_received_bytes_total{{{labels}}} 5",
        "# HELP toxiproxy_proxy_sent_bytes_total ",
        "# TYPE toxiproxy_proxy_sent_bytes_total counter",
        f"toxiproxy_proxy_sent_bytes_total{{{labels}}} 3",
        "# HELP toxiproxy_proxy_open_connections ",
        "# TYPE toxiproxy_proxy_open_connections gauge",
        'toxiproxy_proxy_open_connections{proxy="quiet"} 0',
    ]


def test_only_the_families_asked_for_are_shown() -> None:
    """Without flags there is no page; with -runtime-metrics only the process is on it."""
    assert not Metrics().any
    page = Metrics(runtime=True).text({"quiet": 0})
    assert "process_cpu_seconds_total " in page
    assert "toxiproxy" not in page
