"""What a fault proxy must do, tried on Toxiproxy's own server and on the built-in one, through the adapter.

Effects are measured on real connections. Lower bounds on times are tight, because a fault that is too weak is the
error that matters; upper bounds are wide, because test machines are busy.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest

from harness.errors import SandboxError, UsageError
from harness.model.units import seconds
from harness.sandbox import parts
from harness.sandbox.base import Address, Link
from harness.sandbox.toxiproxy import FarEnd, ProxiedLink, Toxiproxy

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

Stream = Literal["upstream", "downstream"]
STREAMS: tuple[Stream, ...] = ("upstream", "downstream")
PATIENCE = 10.0  # seconds; how long a test waits for what must come
QUIET = 0.2  # seconds; how long a test waits to see that nothing comes
EARLY = 0.01  # seconds that a timer may be early by our clock


# -- the two servers -------------------------------------------------------------------------------------------------


def argv_of(kind: str) -> tuple[str, ...]:
    if kind == "built-in":
        return (sys.executable, "-m", "harness.faultproxy", "-seed", "7")
    found = parts.find("toxiproxy")
    if found.how == "built-in":
        pytest.skip(
            "TOXIPROXY'S OWN SERVER CAN'T BE HAD HERE, so the built-in one is not compared with it: "
            "set GAMEDAY_TOXIPROXY=/path/to/toxiproxy-server, or run `make setup`"
        )
    return found.argv


@dataclass
class Server:
    """A running server, the adapter that talks to it, and where to look in its log."""

    kind: str
    api: Address
    toxiproxy: Toxiproxy


@pytest.fixture(scope="module", params=["toxiproxy", "built-in"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    kind = str(request.param)
    api = Address("127.0.0.1", free_port())
    log = tmp_path_factory.mktemp("server") / "log"
    options = ("-host", api.host, "-port", str(api.port), "-proxy-metrics")
    with (
        log.open("wb") as output,
        subprocess.Popen([*argv_of(kind), *options], stdout=output, stderr=output) as process,
    ):
        try:
            toxiproxy = Toxiproxy(api, timeout=seconds(3))
            wait_until(lambda: toxiproxy.healthy() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield Server(kind, api, toxiproxy)
            assert process.poll() is None, f"the server died:\n{log.read_text()[-2000:]}"
        finally:
            process.terminate()
            process.wait(PATIENCE)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port: int = taken.getsockname()[1]
        return port


def wait_until(condition: Any, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


# -- both ends of a link ---------------------------------------------------------------------------------------------


@dataclass
class Upstream:
    """A server that does what a line of its client says: `echo N`, `give N`, `take N`, `flood`, `bye`."""

    listener: socket.socket
    received: int = 0  # bytes after the command lines
    flooded: int = 0  # bytes sent on `flood`
    closed_at: list[float] = field(default_factory=list)
    open: set[socket.socket] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.open.add(client)
            threading.Thread(target=self._converse, args=(client,), daemon=True).start()

    def _converse(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as lines, suppress(OSError):
            while line := lines.readline():
                verb, _, size = line.decode().strip().partition(" ")
                if verb == "bye":
                    break
                self._obey(client, lines, verb, int(size or 0))
            self.closed_at.append(time.monotonic())

    def _obey(self, client: socket.socket, lines: Any, verb: str, size: int) -> None:
        left = size if verb in ("echo", "take") else 0
        while left and (data := lines.read1(left)):
            self.received += len(data)
            left -= len(data)
            if verb == "echo":
                client.sendall(data)
        if verb == "take" and not left:
            client.sendall(b"t")
        if verb == "give":
            client.sendall(b"g" * size)
        while verb == "flood":
            client.sendall(b"f" * 65536)
            self.flooded += 65536


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with closing(socket.create_server(("127.0.0.1", 0), backlog=200)) as listener:
        end = Upstream(listener)
        thread = threading.Thread(target=end.serve, daemon=True)
        thread.start()
        yield end
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
        for client in end.open:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


NUMBERS = count(1)


@pytest.fixture
def link(server: Server, upstream: Upstream) -> Iterator[ProxiedLink]:
    name = f"link-{next(NUMBERS)}"
    server.toxiproxy.populate([{"name": name, "listen": "127.0.0.1:0", "upstream": upstream.address, "enabled": True}])
    yield server.toxiproxy.link(name)
    ask(server, "DELETE", f"/proxies/{name}")


class Caller:
    """A client's connection through a link."""

    def __init__(self, link: Link) -> None:
        self.sock = socket.create_connection((link.address.host, link.address.port), PATIENCE)

    def say(self, line: str, data: bytes = b"") -> None:
        self.sock.sendall(line.encode() + b"\n" + data)

    def read(self, size: int) -> bytes:
        """`size` bytes, or what came until the end."""
        got = bytearray()
        while len(got) < size and (data := self.sock.recv(size - len(got))):
            got += data
        return bytes(got)

    def round_trip(self, size: int = 4) -> float:
        """Seconds for `size` bytes there and back."""
        began = time.monotonic()
        self.say(f"echo {size}", b"x" * size)
        assert self.read(size) == b"x" * size
        return time.monotonic() - began

    def is_silent(self) -> bool:
        """Nothing comes for a while, and the connection is still there."""
        self.sock.settimeout(QUIET)
        try:
            return self.sock.recv(1) is None
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(PATIENCE)


@contextmanager
def calling(link: Link) -> Iterator[Caller]:
    caller = Caller(link)
    with caller.sock:
        yield caller


def is_refused(link: Link) -> bool:
    try:
        Caller(link).sock.close()
    except ConnectionRefusedError:
        return True
    return False


def ask(
    server: Server, method: str, path: str, body: str | None = None, agent: str = "test"
) -> tuple[int, str, dict[str, str]]:
    """One raw call: status, body, headers (names in lower case)."""
    with closing(http.client.HTTPConnection(server.api.host, server.api.port, timeout=PATIENCE)) as connection:
        connection.request(method, path, body, {"User-Agent": agent, "Connection": "close"})
        response = connection.getresponse()
        text = response.read().decode()
        return response.status, text, {name.lower(): value for name, value in response.getheaders()}


# -- each toxic, both ways -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", STREAMS)
def test_latency_delays_each_round_trip(link: Link, stream: Stream) -> None:
    """A latency of 150 ms in one direction makes every round trip 150 ms longer, and not twice that."""
    link.add_toxic("latency", name="slow", attributes={"latency": 150}, stream=stream)
    with calling(link) as caller:
        trips = [caller.round_trip() for _ in range(3)]
    assert min(trips) >= 0.150 - EARLY
    assert min(trips) < 0.290


def test_latencies_of_both_directions_add_up(link: Link) -> None:
    """100 ms there and 100 ms back make 200 ms."""
    for stream in STREAMS:
        link.add_toxic("latency", name=stream, attributes={"latency": 100}, stream=stream)
    with calling(link) as caller:
        assert caller.round_trip() >= 0.200 - EARLY


def test_latencies_in_one_direction_add_up(link: Link) -> None:
    """Two latency toxics in a row, 60 ms and 90 ms, make 150 ms."""
    link.add_toxic("latency", name="one", attributes={"latency": 60})
    link.add_toxic("latency", name="two", attributes={"latency": 90})
    with calling(link) as caller:
        assert caller.round_trip() >= 0.150 - EARLY


def test_a_caller_that_has_finished_gets_what_is_on_its_way(link: Link) -> None:
    """Data that a toxic holds arrive although the caller has closed its own direction meanwhile."""
    link.add_toxic("latency", name="slow", attributes={"latency": 500})
    with calling(link) as caller:
        caller.say("give 5")
        time.sleep(0.2)  # until the answer has reached the proxy
        caller.sock.shutdown(socket.SHUT_WR)
        assert caller.read(6) == b"ggggg"


def test_jitter_spreads_the_delay_around_the_latency(link: Link) -> None:
    """A latency of 60 ± 40 ms gives delays from 20 ms on that differ by more than chance does."""
    link.add_toxic("latency", name="slow", attributes={"latency": 60, "jitter": 40})
    with calling(link) as caller:
        trips = [caller.round_trip() for _ in range(8)]
    assert min(trips) >= 0.020 - EARLY
    assert max(trips) - min(trips) > 0.015


def test_latency_does_not_throttle(link: Link) -> None:
    """Data sent together arrive together, one latency later, however many they are."""
    link.add_toxic("latency", name="slow", attributes={"latency": 200})
    with calling(link) as caller:
        began = time.monotonic()
        caller.say("give 2000000")
        assert len(caller.read(2_000_000)) == 2_000_000
        took = time.monotonic() - began
    assert 0.200 - EARLY <= took < 5  # one after the other they would take longer


@pytest.mark.parametrize("stream", STREAMS)
def test_bandwidth_limits_the_rate(link: Link, stream: Stream) -> None:
    """At 500 kB/s, 150 kB take 0.3 s, and no ten times less; without the toxic they do."""
    free = timed_transfer(link, stream, 150_000)
    link.add_toxic("bandwidth", name="narrow", attributes={"rate": 500}, stream=stream)
    limited = timed_transfer(link, stream, 150_000)
    assert 0.3 * 0.85 <= limited < 0.3 * 4
    assert free < limited


def timed_transfer(link: Link, stream: Stream, size: int) -> float:
    with calling(link) as caller:
        began = time.monotonic()
        if stream == "downstream":
            caller.say(f"give {size}")
            assert len(caller.read(size)) == size
        else:
            caller.say(f"take {size}", b"x" * size)
            assert caller.read(1) == b"t"
        return time.monotonic() - began


def test_a_bandwidth_of_zero_lets_nothing_pass(link: Link) -> None:
    """With rate 0 the connection stands and stays silent; raised in flight, what was held comes through whole."""
    link.add_toxic("bandwidth", name="narrow", attributes={"rate": 0})
    with calling(link) as caller:
        caller.say("give 5000")
        assert caller.is_silent()
        link.add_toxic("bandwidth", name="narrow", attributes={"rate": 1_000_000})
        assert len(caller.read(5000)) == 5000


@pytest.mark.parametrize("stream", STREAMS)
def test_slow_close_holds_back_the_end_and_not_the_data(link: Link, upstream: Upstream, stream: Stream) -> None:
    """With a delay of 300 ms the data pass at once and the end of the connection 300 ms after it was sent."""
    link.add_toxic("slow_close", name="linger", attributes={"delay": 300}, stream=stream)
    with calling(link) as caller:
        assert caller.round_trip() < 0.29
        began = time.monotonic()
        if stream == "downstream":
            caller.say("bye")
            assert caller.read(1) == b""
            ended = time.monotonic()
        else:
            caller.sock.shutdown(socket.SHUT_WR)
            wait_until(lambda: upstream.closed_at)
            ended = upstream.closed_at[0]
    assert 0.3 - EARLY <= ended - began < 3


@pytest.mark.parametrize("stream", STREAMS)
def test_timeout_swallows_data_and_closes(link: Link, upstream: Upstream, stream: Stream) -> None:
    """With a timeout of 250 ms nothing comes back, and the connection ends 250 ms later."""
    link.add_toxic("timeout", name="hole", attributes={"timeout": 250}, stream=stream)
    with calling(link) as caller:
        began = time.monotonic()
        caller.say("echo 4", b"lost")
        assert caller.read(4) == b""
        assert 0.25 - 0.05 <= time.monotonic() - began < 3
    assert upstream.received == (4 if stream == "downstream" else 0)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_timeout_of_zero_never_closes(link: Link, stream: Stream) -> None:
    """With timeout 0 nothing comes back and the connection stays, until the toxic is taken out: then it ends."""
    link.add_toxic("timeout", name="hole", attributes={"timeout": 0}, stream=stream)
    with calling(link) as caller:
        caller.say("echo 4", b"lost")
        assert caller.is_silent()
        link.remove_toxic("hole")
        assert caller.read(4) == b""
    with calling(link) as caller:
        caller.round_trip()


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("after", [0, 250])
def test_reset_peer_resets(link: Link, stream: Stream, after: int) -> None:
    """The caller sees a TCP reset, no orderly end, `timeout` after its first data."""
    link.add_toxic("reset_peer", name="reset", attributes={"timeout": after}, stream=stream)
    with calling(link) as caller:
        began = time.monotonic()
        caller.say("echo 4", b"lost")
        with pytest.raises(ConnectionResetError):
            caller.read(4)
        assert after / 1000 - EARLY <= time.monotonic() - began < 3


def test_reset_peer_ends_open_connections_too(link: Link) -> None:
    """A connection that stood before the toxic came ends at its next data."""
    with calling(link) as caller:
        caller.round_trip()
        link.add_toxic("reset_peer", name="reset", attributes={"timeout": 0})
        caller.say("echo 4", b"lost")
        with suppress(ConnectionResetError):  # Toxiproxy's server ends these in an orderly way, the built-in one resets
            assert caller.read(4) == b""


@pytest.mark.parametrize("stream", STREAMS)
def test_slicer_cuts_data_into_small_pieces(link: Link, stream: Stream) -> None:
    """2000 bytes in pieces of about 100, 10 ms apart, take at least 13 pauses, and arrive complete."""
    link.add_toxic(
        "slicer", name="slices", attributes={"average_size": 100, "size_variation": 20, "delay": 10_000}, stream=stream
    )
    assert 13 * 0.010 <= timed_transfer(link, stream, 2000) < 3


def test_sliced_data_arrive_piece_by_piece(link: Link) -> None:
    """The receiver gets many small reads, and in order."""
    link.add_toxic("slicer", name="slices", attributes={"average_size": 50, "size_variation": 10, "delay": 5_000})
    data = bytes(range(250)) * 4
    reads: list[bytes] = []
    with calling(link) as caller:
        caller.say(f"echo {len(data)}", data)
        while len(b"".join(reads)) < len(data):
            reads.append(caller.sock.recv(4096))
    assert b"".join(reads) == data
    assert len(reads) >= 5


def test_limit_data_downstream_ends_after_its_bytes(link: Link) -> None:
    """The caller gets exactly the 100 bytes that are allowed, and then the end."""
    link.add_toxic("limit_data", name="limit", attributes={"bytes": 100})
    with calling(link) as caller:
        caller.say("give 5000")
        assert len(caller.read(5000)) == 100


def test_limit_data_upstream_ends_after_its_bytes(link: Link, upstream: Upstream) -> None:
    """The upstream gets exactly the bytes that are allowed, and the caller the end."""
    link.add_toxic("limit_data", name="limit", attributes={"bytes": 10 + 60}, stream="upstream")
    with calling(link) as caller:
        caller.say("take 5000", b"x" * 5000)  # a command line of 10 bytes
        with suppress(ConnectionResetError):  # it had not read all that we sent
            assert caller.read(1) == b""
    wait_until(lambda: upstream.closed_at)
    assert upstream.received == 60


def test_limit_data_counts_over_several_requests(link: Link) -> None:
    """Twice 40 bytes pass under a limit of 100; of the third 40 only 20 do."""
    link.add_toxic("limit_data", name="limit", attributes={"bytes": 100})
    with calling(link) as caller:
        caller.round_trip(40)
        caller.round_trip(40)
        caller.say("give 40")
        assert len(caller.read(40)) == 20


@pytest.mark.parametrize("stream", STREAMS)
def test_noop_changes_nothing(link: Link, stream: Stream) -> None:
    """A megabyte passes unchanged."""
    link.add_toxic("noop", name="nothing", attributes={}, stream=stream)
    with calling(link) as caller:
        caller.say("give 1000000")
        assert caller.read(1_000_000) == b"g" * 1_000_000


@pytest.mark.parametrize("toxics", [0, 1, 2])
def test_a_caller_that_does_not_read_stops_its_sender(link: Link, upstream: Upstream, toxics: int) -> None:
    """Only so much is held on the way, with and without toxics; it flows again when the caller reads."""
    for number in range(toxics):
        link.add_toxic("noop", name=f"nothing-{number}", attributes={})
    with calling(link) as caller:
        caller.say("flood")
        wait_until(lambda: upstream.flooded)
        before = 0
        while upstream.flooded != before and upstream.flooded < 200_000_000:
            before = upstream.flooded
            time.sleep(0.1)
        assert 0 < before < 100_000_000
        assert len(caller.read(before + 1_000_000)) == before + 1_000_000


# -- toxicity --------------------------------------------------------------------------------------------------------


def closed_share(link: Link, toxicity: float, connections: int) -> float:
    """The share of connections that a toxic closes. It needs no clock."""
    link.add_toxic("limit_data", name="limit", attributes={"bytes": 0}, toxicity=toxicity)
    closed = 0
    for _ in range(connections):
        with calling(link) as caller:
            caller.say("give 1")
            closed += caller.read(1) == b""
    return closed / connections


@pytest.mark.parametrize(
    ("toxicity", "connections", "least", "most"),
    [
        (0.0, 20, 0.0, 0.0),  # none
        (1.0, 20, 1.0, 1.0),  # all
        (0.5, 100, 0.275, 0.725),  # half: 4.5 standard deviations either way, wrong once in 150 000 runs
    ],
)
def test_toxicity_is_the_share_of_connections(
    link: Link, toxicity: float, connections: int, least: float, most: float
) -> None:
    """A toxic hits the share of connections that its toxicity says."""
    assert least <= closed_share(link, toxicity, connections) <= most


def test_a_connection_keeps_its_fate(link: Link) -> None:
    """A connection that toxicity spares once is spared for as long as it lives."""
    link.add_toxic("timeout", name="hole", attributes={"timeout": 1}, toxicity=0.5)
    spared = 0
    for _ in range(40):
        with calling(link) as caller:
            caller.say("give 1")
            if caller.read(1):
                spared += 1
                for _ in range(5):
                    caller.round_trip()
    assert spared > 0


# -- on and off ------------------------------------------------------------------------------------------------------


def test_a_disabled_link_refuses_and_cuts(link: Link) -> None:
    """Disabled, it cuts the open connections and refuses new ones; enabled, it serves at the same address."""
    address = link.address
    with calling(link) as caller:
        caller.round_trip()
        link.disable()
        with suppress(ConnectionResetError):
            assert caller.read(1) == b""
    assert is_refused(link)
    assert not link.status().enabled
    link.enable()
    assert link.address == address
    with calling(link) as caller:
        caller.round_trip()


def test_enabling_and_disabling_twice_is_fine(link: Link) -> None:
    """Both may be called again and change nothing then."""
    link.disable()
    link.disable()
    assert is_refused(link)
    link.enable()
    link.enable()
    with calling(link) as caller:
        caller.round_trip()


def test_toxics_outlive_a_pause(link: Link) -> None:
    """A link that is disabled and enabled again has the toxics that it had."""
    link.add_toxic("latency", name="slow", attributes={"latency": 120})
    link.disable()
    link.enable()
    with calling(link) as caller:
        assert caller.round_trip() >= 0.120 - EARLY


@pytest.mark.parametrize("where", ["127.0.0.1:{}", "nonsense", "nobody.invalid:80"])
def test_a_dead_upstream_ends_the_callers_connection(server: Server, where: str) -> None:
    """Where nobody listens at the far end, the caller is accepted and then closed without a byte."""
    dead = where.format(free_port())
    server.toxiproxy.populate([{"name": "dead", "listen": "127.0.0.1:0", "upstream": dead, "enabled": True}])
    with calling(server.toxiproxy.link("dead")) as caller, suppress(ConnectionResetError):
        assert caller.read(1) == b""
    ask(server, "DELETE", "/proxies/dead")


# -- changes in flight -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", STREAMS)
def test_changes_act_on_open_connections(link: Link, stream: Stream) -> None:
    """A toxic that is put in, changed and taken out acts on the next data of a connection that stood before."""
    with calling(link) as caller:
        caller.round_trip()
        link.add_toxic("latency", name="slow", attributes={"latency": 100}, stream=stream)
        first = caller.round_trip()
        link.add_toxic("latency", name="slow", attributes={"latency": 400}, stream=stream)
        second = caller.round_trip()
        link.remove_toxic("slow")
        third = caller.round_trip()
    assert 0.1 - EARLY <= first < 0.39
    assert second >= 0.4 - EARLY
    assert third < 0.39


def test_data_under_way_survive_a_removal(link: Link) -> None:
    """What a toxic holds when it is taken out arrives at once, whole and in order."""
    with calling(link) as caller:
        link.add_toxic("latency", name="slow", attributes={"latency": 30_000})
        caller.say("echo 6", b"abcdef")
        assert caller.is_silent()
        link.remove_toxic("slow")
        began = time.monotonic()
        assert caller.read(6) == b"abcdef"
        assert time.monotonic() - began < 5


def test_an_update_of_one_attribute_makes_the_rest_zero(link: Link) -> None:
    """Adding a toxic of a name that is there makes it exactly what is asked, whatever it was."""
    link.add_toxic("latency", name="slow", attributes={"latency": 200, "jitter": 9}, toxicity=0.5)
    link.add_toxic("latency", name="slow", attributes={"latency": 1})
    (toxic,) = link.status().toxics
    assert toxic["attributes"] == {"latency": 1, "jitter": 0}
    assert toxic["toxicity"] == 1


def test_a_toxic_can_become_another_kind(link: Link) -> None:
    """Adding another kind, or another direction, under a name that is there replaces it."""
    link.add_toxic("latency", name="it", attributes={"latency": 1})
    link.add_toxic("slow_close", name="it", attributes={"delay": 2}, stream="upstream")
    (toxic,) = link.status().toxics
    assert (toxic["type"], toxic["stream"], toxic["attributes"]) == ("slow_close", "upstream", {"delay": 2})


def test_a_removal_works_while_a_caller_does_not_read(server: Server, link: Link) -> None:
    """A caller that takes no data can't keep a toxic in: where the server hangs, the proxy is made anew."""
    link.add_toxic("noop", name="stays", attributes={}, stream="upstream")
    link.add_toxic("latency", name="slow", attributes={"latency": 5})
    with calling(link) as stuck:
        stuck.say("flood")
        time.sleep(0.5)  # until every buffer on the way is full
        Toxiproxy(server.api, timeout=seconds(1.5)).link(link.name).remove_toxic("slow")
        assert [toxic["name"] for toxic in link.status().toxics] == ["stays"]
        with calling(link) as caller:
            assert caller.round_trip() < 5


def test_removing_what_is_not_there_is_no_error(link: Link) -> None:
    """A toxic may be taken out twice."""
    link.add_toxic("noop", name="nothing", attributes={})
    link.remove_toxic("nothing")
    link.remove_toxic("nothing")
    assert link.status().toxics == ()


# -- many links ------------------------------------------------------------------------------------------------------


def test_populate_makes_keeps_and_replaces(server: Server, upstream: Upstream) -> None:
    """A new proxy is made, an equal one keeps its toxics and connections, one with another upstream starts anew."""
    names = ("kept", "replaced", "off")
    listens = {name: f"127.0.0.1:{free_port()}" for name in names}
    wanted = [{"name": name, "listen": listens[name], "upstream": upstream.address} for name in names]
    wanted[2]["enabled"] = False  # type: ignore[assignment] # the others have strings only
    server.toxiproxy.populate(wanted)
    kept, replaced, off = (server.toxiproxy.link(name) for name in names)
    assert is_refused(off)
    for link in (kept, replaced):
        link.add_toxic("noop", name="mark", attributes={})
    with calling(kept) as caller, closing(socket.create_server(("127.0.0.1", 0))) as elsewhere:
        caller.round_trip()
        other = f"127.0.0.1:{elsewhere.getsockname()[1]}"
        server.toxiproxy.populate([wanted[0], {**wanted[1], "upstream": other}])
        caller.round_trip()
    assert [toxic["name"] for toxic in kept.status().toxics] == ["mark"]
    assert replaced.status().toxics == ()
    assert replaced.status().upstream == other
    for name in names:
        assert ask(server, "DELETE", f"/proxies/{name}")[0] == 204


def test_reset_cleans_every_link_and_keeps_connections(server: Server, link: Link, upstream: Upstream) -> None:
    """After a reset every link is enabled and without toxics; connections that stood still stand."""
    server.toxiproxy.populate([{"name": "other", "listen": "127.0.0.1:0", "upstream": upstream.address}])
    other = server.toxiproxy.link("other")
    link.add_toxic("latency", name="slow", attributes={"latency": 1}, stream="upstream")
    with calling(link) as caller:
        caller.round_trip()
        other.disable()
        server.toxiproxy.reset()
        caller.round_trip()
    for clean in (link, other):
        status = clean.status()
        assert status.enabled
        assert status.toxics == ()
    with calling(other) as caller:
        caller.round_trip()
    ask(server, "DELETE", "/proxies/other")


def test_links_tell_the_topologys_names(server: Server, link: ProxiedLink) -> None:
    """With the far ends known, a link names its service and speaks its scheme, whatever address stands for it."""
    named = Toxiproxy(server.api, ends={link.name: FarEnd("openai", 8443, "https")})
    (found,) = named.links_to("openai")
    assert found.upstream_service == "openai"
    assert found.address.url == f"https://{link.address}"
    assert named.links_to("nobody") == ()


def test_two_servers_can_be_used_at_once(server: Server, link: ProxiedLink) -> None:
    """An adapter for another address does not move this one, as the library's global host and port would."""
    other = Toxiproxy(Address("127.0.0.1", free_port()), timeout=seconds(0.2))
    assert not other.healthy()
    assert server.toxiproxy.healthy()
    assert link.status().enabled


# -- metrics ---------------------------------------------------------------------------------------------------------


def test_bytes_passed_is_exact_once_connections_ended(link: Link) -> None:
    """Each byte is counted once in each direction that it went."""
    assert link.bytes_passed() == 0
    with calling(link) as caller:
        caller.round_trip(1000)  # 10 bytes of command, 1000 there, 1000 back
    wait_until(lambda: link.bytes_passed() == 2010)


def test_metrics_have_toxiproxys_names_and_labels(server: Server, link: ProxiedLink, upstream: Upstream) -> None:
    """Both counters, in both directions, carry the labels direction, proxy, listener and upstream."""
    with calling(link) as caller:
        caller.round_trip(1000)
    wait_until(lambda: link.bytes_passed() == 2010)
    status, page, headers = ask(server, "GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    for family in ("received", "sent"):
        for stream, amount in (("upstream", 1010), ("downstream", 1000)):
            labels = {"direction": stream, "proxy": link.name, "listener": str(link.address)}
            assert sample(page, f"toxiproxy_proxy_{family}_bytes_total", **labels, upstream=upstream.address) == amount
        assert f"# TYPE toxiproxy_proxy_{family}_bytes_total counter\n" in page


def sample(page: str, name: str, **labels: str) -> float | None:
    for line in page.splitlines():
        found = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        if found and found[1] == name and dict(re.findall(r'(\w+)="([^"]*)"', found[2])) == labels:
            return float(found[3])
    return None


def test_what_is_counted_while_connections_are_open(server: Server, link: ProxiedLink) -> None:
    """The built-in one counts bytes as they pass, and open connections; Toxiproxy's server counts a connection's bytes
    when it ends, and has no gauge."""
    moved, connections = {"built-in": (2 * 2010, 2.0), "toxiproxy": (0, None)}[server.kind]

    def gauge() -> float | None:
        return sample(ask(server, "GET", "/metrics")[1], "toxiproxy_proxy_open_connections", proxy=link.name)

    with calling(link) as one, calling(link) as two:
        one.round_trip(1000)
        two.round_trip(1000)
        assert link.bytes_passed() == moved
        assert gauge() == connections
    wait_until(lambda: link.bytes_passed() == 2 * 2010)
    wait_until(lambda: not gauge())


# -- the API, to the letter ------------------------------------------------------------------------------------------

PROXY_KEYS = {"name", "listen", "upstream", "enabled", "Logger", "toxics"}
TOXIC_KEYS = {"name", "type", "stream", "toxicity", "attributes"}
ERROR_KEYS = {"error", "status"}
LATENCY = '{"type": "latency", "name": "it", "attributes": {"latency": 5}}'


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("GET", "/proxies/nobody", None, 404, "proxy not found"),
        ("DELETE", "/proxies/nobody", None, 404, "proxy not found"),
        ("PATCH", "/proxies/nobody", "{", 404, "proxy not found"),
        ("GET", "/proxies/nobody/toxics", None, 404, "proxy not found"),
        ("POST", "/proxies/nobody/toxics", LATENCY, 404, "proxy not found"),
        ("GET", "/proxies/{}/toxics/none", None, 404, "toxic not found"),
        ("PATCH", "/proxies/{}/toxics/none", "{", 404, "toxic not found"),
        ("POST", "/proxies/{}/toxics/none", "{}", 404, "toxic not found"),
        ("DELETE", "/proxies/{}/toxics/none", None, 404, "toxic not found"),
        ("POST", "/proxies", "", 400, "bad request body: EOF"),
        ("POST", "/proxies", "{", 400, "bad request body: "),
        ("POST", "/proxies", "[]", 400, "bad request body: "),
        ("POST", "/proxies", '{"name": 5}', 400, "bad request body: "),
        ("POST", "/proxies", '{"upstream": "a:1"}', 400, "missing required field: name"),
        ("POST", "/proxies", "null", 400, "missing required field: name"),
        ("POST", "/proxies", '{"name": "x"}', 400, "missing required field: upstream"),
        ("POST", "/proxies", '{"name": "{}", "upstream": "a:1"}', 409, "proxy already exists"),
        ("POST", "/proxies", '{"name": "x", "upstream": "a:1", "listen": "nonsense"}', 500, "listen tcp"),
        ("PATCH", "/proxies/{}", '{"enabled": "no"}', 400, "bad request body: "),
        ("POST", "/proxies/{}/toxics", "", 400, "bad request body: EOF"),
        ("POST", "/proxies/{}/toxics", "{}", 400, "invalid toxic type"),
        ("POST", "/proxies/{}/toxics", '{"type": "lag"}', 400, "invalid toxic type"),
        ("POST", "/proxies/{}/toxics", '{"type": "latency", "stream": "up"}', 400, "stream was invalid, can be either"),
        ("POST", "/proxies/{}/toxics", LATENCY.replace("it", "there"), 409, "toxic already exists"),
        ("POST", "/proxies/{}/toxics", LATENCY.replace("5", '"5"'), 400, "bad request body: "),
        ("POST", "/proxies/{}/toxics", LATENCY.replace("5", "5.5"), 400, "bad request body: "),
        ("POST", "/proxies/{}/toxics", LATENCY.replace("5", "true"), 400, "bad request body: "),
        ("POST", "/proxies/{}/toxics", '{"type": "latency", "toxicity": "1"}', 400, "bad request body: "),
        ("PATCH", "/proxies/{}/toxics/there", '{"attributes": {"latency": "5"}}', 400, "bad request body: "),
    ],
)
def test_refusals(
    server: Server, link: ProxiedLink, method: str, path: str, body: str | None, status: int, error: str
) -> None:
    """A refusal has Toxiproxy's status, its fields and its words; the words of a JSON parser are its own."""
    link.add_toxic("latency", name="there", attributes={})
    body = body if body is None else body.replace("{}", link.name) if "name" in body else body
    got, text, headers = ask(server, method, path.replace("{}", link.name), body)
    answer = json.loads(text)
    assert (got, answer["status"]) == (status, status)
    assert answer.keys() == ERROR_KEYS
    assert answer["error"].startswith(error)
    assert headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("body", ["", "{}", "[5]", '[{"name": "x"}]', '[{"upstream": "a:1"}]'])
def test_a_refused_populate_tells_what_was_made(server: Server, body: str) -> None:
    """A list that can't be read makes nothing, and says so in the field `proxies`."""
    status, text, _ = ask(server, "POST", "/populate", body)
    answer = json.loads(text)
    assert status == 400
    assert answer.keys() == {*ERROR_KEYS, "proxies"}
    assert answer["proxies"] is None


def test_a_populate_that_breaks_off_tells_what_was_made(server: Server) -> None:
    """Proxies before the one that can't listen are made and told; the status is 500."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        good = {"name": "good", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}
        bad = {"name": "bad", "listen": f"127.0.0.1:{port}", "upstream": "127.0.0.1:1"}
        status, text, _ = ask(server, "POST", "/populate", json.dumps([good, bad]))
    answer = json.loads(text)
    assert status == 500
    assert [proxy["name"] for proxy in answer["proxies"]] == ["good"]
    assert "address already in use" in answer["error"]
    assert ask(server, "DELETE", "/proxies/good")[0] == 204
    assert ask(server, "DELETE", "/proxies/bad")[0] == 404


def test_a_port_that_is_taken_is_an_error_in_words(server: Server, link: ProxiedLink) -> None:
    """A proxy can't listen where somebody does already: create and enable say so, and the adapter passes it on."""
    taken = str(link.address)
    status, text, _ = ask(server, "POST", "/proxies", json.dumps({"name": "x", "listen": taken, "upstream": "a:1"}))
    assert (status, json.loads(text)["error"]) == (500, f"listen tcp {taken}: bind: address already in use")
    link.disable()
    with closing(socket.create_server((link.address.host, link.address.port))):
        with pytest.raises(SandboxError, match="address already in use"):
            link.enable()
        assert not link.status().enabled
    link.enable()


def test_answers_have_toxiproxys_fields(server: Server, link: ProxiedLink) -> None:
    """Every answer of every call has the status and the fields that Toxiproxy gives it."""
    proxy = f"/proxies/{link.name}"
    status, text, headers = ask(server, "POST", f"{proxy}/toxics", LATENCY)
    assert (status, json.loads(text).keys()) == (200, TOXIC_KEYS)
    assert headers["content-type"] == "application/json"
    assert json.loads(text)["attributes"] == {"latency": 5, "jitter": 0}
    for method, path, body, expected, keys in [
        ("GET", proxy, None, 200, PROXY_KEYS),
        ("PATCH", proxy, "{}", 200, PROXY_KEYS),
        ("POST", proxy, '{"enabled": true}', 200, PROXY_KEYS),
        ("GET", f"{proxy}/toxics/it", None, 200, TOXIC_KEYS),
        ("PATCH", f"{proxy}/toxics/it", '{"toxicity": 0.25}', 200, TOXIC_KEYS),
        ("POST", f"{proxy}/toxics/it", "{}", 200, TOXIC_KEYS),
        ("POST", "/populate", "[]", 201, {"proxies"}),
        ("GET", "/version", None, 200, {"version"}),
    ]:
        got, text, _ = ask(server, method, path, body)
        assert (got, json.loads(text).keys()) == (expected, keys), (method, path)
    (toxic,) = json.loads(ask(server, "GET", f"{proxy}/toxics")[1])
    assert toxic == {
        "name": "it",
        "type": "latency",
        "stream": "downstream",
        "toxicity": 0.25,
        "attributes": {"latency": 5, "jitter": 0},
    }
    assert json.loads(ask(server, "GET", "/proxies")[1])[link.name]["toxics"] == [toxic]
    for method, path in [("DELETE", f"{proxy}/toxics/it"), ("POST", "/reset")]:
        assert ask(server, method, path)[:2] == (204, "")


def test_names_and_defaults(server: Server, link: ProxiedLink) -> None:
    """A toxic without a name is called after kind and stream; keys match in any case; unknown ones are ignored."""
    body = '{"Type": "slicer", "STREAM": "upstream", "attributes": {"average_size": 9, "typo": 1}, "more": 2}'
    _, text, _ = ask(server, "POST", f"/proxies/{link.name}/toxics", body)
    toxic = json.loads(text)
    assert (toxic["name"], toxic["stream"], toxic["toxicity"]) == ("slicer_upstream", "upstream", 1)
    assert toxic["attributes"] == {"average_size": 9, "size_variation": 0, "delay": 0}


def test_a_proxy_can_be_moved(server: Server, link: ProxiedLink) -> None:
    """PATCH with another listen address moves a proxy there, with its toxics."""
    link.add_toxic("noop", name="mark", attributes={})
    there = f"127.0.0.1:{free_port()}"
    status, text, _ = ask(server, "PATCH", f"/proxies/{link.name}", json.dumps({"listen": there}))
    assert (status, json.loads(text)["listen"]) == (200, there)
    with calling(link) as caller:
        caller.round_trip()
    assert len(link.status().toxics) == 1


@pytest.mark.parametrize(
    ("method", "path", "agent", "status", "text"),
    [
        ("GET", "/proxies", "Mozilla/5.0 (X11)", 403, "User agent not allowed\n"),  # browsers are kept out
        ("GET", "/nothing", "test", 404, "404 page not found\n"),
        ("GET", "/proxies/", "test", 404, "404 page not found\n"),
        ("DELETE", "/version", "test", 405, ""),
        ("PUT", "/proxies", "test", 405, ""),
    ],
)
def test_what_the_server_does_not_do(
    server: Server, method: str, path: str, agent: str, status: int, text: str
) -> None:
    """Browsers, unknown paths and unknown methods are turned away as Toxiproxy does it."""
    assert ask(server, method, path, agent=agent)[:2] == (status, text)


# -- the adapter's own refusals, with a server behind it -------------------------------------------------------------


def test_a_typing_error_is_refused_before_it_becomes_no_fault(link: Link) -> None:
    """An attribute that the toxic does not have, which the server would ignore, is a UsageError; nothing is put in."""
    with pytest.raises(UsageError, match="latncy"):
        link.add_toxic("latency", name="slow", attributes={"latncy": 500})
    assert link.status().toxics == ()


def test_a_link_that_was_deleted_is_an_error(server: Server, link: ProxiedLink) -> None:
    """A proxy taken away behind our back is no clean link: every call says so."""
    ask(server, "DELETE", f"/proxies/{link.name}")
    ends = {link.name: FarEnd("far", 1)}
    for call in (link.status, link.disable, lambda: link.remove_toxic("x"), link.bytes_passed):
        with pytest.raises(SandboxError, match="proxy not found"):
            call()
    with pytest.raises(SandboxError, match=link.name):
        Toxiproxy(server.api, ends=ends).links()


def test_the_path_of_the_config_may_have_spaces(server: Server, tmp_path: Path, upstream: Upstream) -> None:
    """Both servers make the proxies of their -config file before they answer."""
    config = tmp_path / "all my proxies.json"
    config.write_text(json.dumps([{"name": "a-b", "listen": "127.0.0.1:0", "upstream": upstream.address}]))
    api = Address("127.0.0.1", free_port())
    options = ("-host", api.host, "-port", str(api.port), "-config", str(config))
    with subprocess.Popen([*argv_of(server.kind), *options], stdout=subprocess.DEVNULL) as process:
        try:
            toxiproxy = Toxiproxy(api)
            wait_until(toxiproxy.healthy)
            with calling(toxiproxy.link("a-b")) as caller:
                caller.round_trip()
            with pytest.raises(SandboxError, match="metrics") as raised:
                toxiproxy.link("a-b").bytes_passed()
            assert "-proxy-metrics" in raised.value.hint
        finally:
            process.terminate()
        assert process.wait(PATIENCE) == 0
