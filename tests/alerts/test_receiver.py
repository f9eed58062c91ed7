"""What the receiver keeps, refuses, forgets and survives."""

from __future__ import annotations

import ast
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.alerts import receiver
from harness.alerts.receiver import LARGEST_MESSAGE, Inbox, MessageError, ReceiverServer


def message(**changes: Any) -> bytes:
    """A notification as Alertmanager posts it, shortened."""
    alert = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-01-01T00:00:00Z", "fingerprint": "f"}
    return json.dumps({"version": "4", "status": "firing", "alerts": [alert], **changes}).encode()


@pytest.fixture
def server() -> Iterator[ReceiverServer]:
    with ReceiverServer(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(server: ReceiverServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_address[1]}", trust_env=False) as client:
        yield client


def test_a_notification_is_kept_with_its_arrival(client: httpx.Client) -> None:
    """What is posted to any path can be read, with the instant of its arrival."""
    before = time.time()
    assert client.post("/any/path?x=1", content=message()).status_code == 200
    answer = client.get("/notifications").json()
    (kept,) = answer["notifications"]
    assert before <= kept["at"] <= time.time()
    assert (kept["seq"], answer["next"], answer["rejected"], answer["lost"]) == (0, 1, 0, 0)
    assert kept["message"]["alerts"][0]["labels"] == {"alertname": "A"}
    assert answer["started"] <= before


def test_since_tells_only_what_is_new(client: httpx.Client) -> None:
    """A reader that says where it stopped gets the rest."""
    for _ in range(3):
        client.post("/", content=message())
    found = client.get("/notifications", params={"since": 2}).json()
    assert [one["seq"] for one in found["notifications"]] == [2]
    assert client.get("/notifications?since=3").json()["notifications"] == []
    assert client.get("/notifications?since=x").status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        message(version="3"),
        message(alerts=None),
        message(alerts=["a"]),
        message(alerts=[{"status": "odd", "labels": {}, "startsAt": ""}]),
        message(alerts=[{"status": "firing", "labels": {"a": 1}, "startsAt": ""}]),
        message(alerts=[{"status": "firing", "labels": None, "startsAt": ""}]),
        message(alerts=[{"status": "firing", "labels": {}}]),
    ],
    ids=lambda body: body[:20].decode(errors="replace"),
)
def test_what_is_no_notification_is_refused_and_counted(client: httpx.Client, body: bytes) -> None:
    """A malformed message is answered 400 and counted; it is never evidence."""
    assert client.post("/", content=body).status_code == 400
    answer = client.get("/notifications").json()
    assert (answer["rejected"], answer["notifications"]) == (1, [])


@pytest.mark.parametrize("length", [str(LARGEST_MESSAGE + 1), "-1", "many"])
def test_a_length_out_of_bounds_is_refused(server: ReceiverServer, client: httpx.Client, length: str) -> None:
    """A body is not even read where its length is out of bounds: the answer comes at once."""
    with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=5) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode())
        assert b" 400 " in connection.recv(4096)
    assert client.get("/notifications").json()["rejected"] == 1


def test_health_and_unknown_paths(client: httpx.Client) -> None:
    """There is a health page, and nothing besides what is documented."""
    assert client.get("/health").status_code == 200
    assert client.get("/").status_code == 404


def test_memory_is_bounded_and_what_is_lost_is_counted() -> None:
    """The oldest messages go first, and are counted as lost: their absence is no evidence."""
    inbox = Inbox(memory=3 * len(message()))
    for _ in range(5):
        inbox.take("/", message())
    found = inbox.since(0)
    assert [one["seq"] for one in found["notifications"]] == [2, 3, 4]
    assert (found["next"], found["lost"]) == (5, 2)


def test_alerts_that_alertmanager_cut_off_are_lost() -> None:
    """Alertmanager says how many alerts it left out of a message."""
    inbox = Inbox()
    inbox.take("/", message(truncatedAlerts=3))
    assert inbox.since(0)["lost"] == 3


def test_refusing_says_why() -> None:
    """The sender can read what was wrong."""
    with pytest.raises(MessageError, match="version"):
        Inbox().take("/", message(version="5"))


def test_it_imports_nothing_but_the_standard_library() -> None:
    """It runs alone in a small container."""
    tree = ast.parse(Path(receiver.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_told_to(number: signal.Signals) -> None:
    """A signal ends the process at once, with status 0 and although a connection is open."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "harness.alerts.receiver", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                try:
                    assert client.get("/health").status_code == 200
                    break
                except httpx.ConnectError:
                    time.sleep(0.02)
            process.send_signal(number)
            assert process.wait(timeout=5) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
