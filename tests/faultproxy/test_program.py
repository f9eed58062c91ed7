"""The built-in fault proxy as a running program."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

PROGRAM = (sys.executable, "-m", "harness.faultproxy")
PATIENCE = 10.0


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    argv = [*PROGRAM, "--host", "127.0.0.1", "--port", str(port), *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while process.poll() is None and time.monotonic() < deadline:
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                time.sleep(0.01)
            yield process, port
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """Told to end, it ends with status 0 and no complaint, though connections to links and the API are open."""
    listen = free_port()
    config = tmp_path / "proxies.json"
    with closing(socket.create_server(("127.0.0.1", 0))) as upstream:
        far = f"127.0.0.1:{upstream.getsockname()[1]}"
        config.write_text(json.dumps([{"name": "a", "listen": f"127.0.0.1:{listen}", "upstream": far}]))
        with running("--config", str(config)) as (process, port):
            api = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            with closing(api), socket.create_connection(("127.0.0.1", listen), PATIENCE) as caller:
                body = '{"type": "latency", "attributes": {"latency": 60000}}'
                api.request("POST", "/proxies/a/toxics", body)
                api.getresponse().read()
                caller.sendall(b"held")
                process.send_signal(number)
                output, _ = process.communicate(timeout=PATIENCE)
                assert process.returncode == 0
                with suppress(ConnectionResetError):  # data were still on their way to it
                    assert caller.recv(1) == b""
    assert "Traceback" not in output
    assert "ERROR" not in output


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        ("[", "bad request body"),
        ('[{"name": "a"}]', "missing required field: upstream at proxy 1"),
        ('[{"name": "a", "upstream": "b:1", "listen": "{taken}"}]', "address already in use"),
    ],
)
def test_a_config_that_can_not_be_used_ends_it(tmp_path: Path, content: str | None, complaint: str) -> None:
    """Unlike Toxiproxy's server, it does not start with links missing: status 2 and the reason."""
    config = tmp_path / "proxies.json"
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        if content is not None:
            config.write_text(content.replace("{taken}", f"127.0.0.1:{taken.getsockname()[1]}"))
        with running("-config", str(config)) as (process, _):
            output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert complaint in output
    assert "Traceback" not in output


def test_a_taken_port_ends_it() -> None:
    """Unlike Toxiproxy's server, it does not wait for ever without an API."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        ended = subprocess.run(
            [*PROGRAM, "-host", "127.0.0.1", "-port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert ended.returncode == 2
    assert "can't listen" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_seed_repeats_the_same_fates() -> None:
    """With one seed the same connections of a link are hit in every run; with another, others are."""
    runs = [fates(seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert 0 < sum(runs[0]) < len(runs[0])


def fates(seed: int) -> list[bool]:
    with running("-seed", str(seed)) as (_, port), closing(socket.create_server(("127.0.0.1", 0))) as upstream:
        listen = free_port()
        far = f"127.0.0.1:{upstream.getsockname()[1]}"
        api = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        with closing(api):
            for path, body in [
                ("/proxies", {"name": "a", "listen": f"127.0.0.1:{listen}", "upstream": far}),
                ("/proxies/a/toxics", {"type": "limit_data", "toxicity": 0.5}),
            ]:
                api.request("POST", path, json.dumps(body))
                assert api.getresponse().read()
        return [is_hit(upstream, listen) for _ in range(30)]


def is_hit(upstream: socket.socket, listen: int) -> bool:
    with socket.create_connection(("127.0.0.1", listen), PATIENCE) as caller:
        far, _ = upstream.accept()
        with far:
            far.sendall(b"x")
            return caller.recv(1) == b""


def test_many_connections_at_once() -> None:
    """Three hundred connections stand at the same time, each with its own data."""
    with (
        running("-proxy-metrics") as (_, port),
        closing(socket.create_server(("127.0.0.1", 0), backlog=400)) as upstream,
    ):
        listen = free_port()
        far = f"127.0.0.1:{upstream.getsockname()[1]}"
        api = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        with closing(api):
            api.request("POST", "/proxies", json.dumps({"name": "a", "listen": f"127.0.0.1:{listen}", "upstream": far}))
            assert api.getresponse().read()
        callers = [socket.create_connection(("127.0.0.1", listen), PATIENCE) for _ in range(300)]
        ends = [upstream.accept()[0] for _ in callers]
        for place, caller in enumerate(callers):
            caller.sendall(place.to_bytes(4, "big"))
        seen = {int.from_bytes(end.recv(4), "big") for end in ends}
        for sock in (*callers, *ends):
            sock.close()
    assert seen == set(range(300))
