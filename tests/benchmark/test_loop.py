"""The closed loop against a server that behaves as it should, and in each of the ways in which it may not."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from harness.benchmark import loop as looping
from harness.benchmark.loop import Loop, Task
from tests.benchmark.server import Misbehaving, serving

pytestmark = [pytest.mark.integration, pytest.mark.timeout(30)]
TASK = Task(host="127.0.0.1", port=0, path="/", requests=60, at_once=6, timeout=5.0, at_most=10.0)


def ask(path: str, **changed: object) -> tuple[Loop, Misbehaving]:
    """Run the loop against a server of our own."""

    async def both() -> tuple[Loop, Misbehaving]:
        async with serving() as (server, port):
            made = Loop(replace(TASK, path=path, port=port, **changed))  # type: ignore[arg-type]  # its own fields
            await made.run()
            return made, server

    return asyncio.run(both())


def test_each_request_has_a_connection_of_its_own_and_no_more_are_open_than_at_once() -> None:
    """As ab does it: HTTP/1.0, so many at a time and never more, each connection new, all of them made."""
    made, server = ask("/slow", headers=("X-Who: me",), name="shop:8002")
    assert [reply.right for reply in made.replies] == [True] * 60
    assert (server.count, server.most, made.stopped) == (60, 6, "")
    assert server.heads[0].startswith("GET /slow HTTP/1.0\r\nHost: shop:8002\r\n")
    assert "X-Who: me\r\n" in server.heads[0]
    assert all(made.began <= reply.sent <= (reply.first or 0) <= reply.ended <= made.ended for reply in made.replies)
    assert min(reply.seconds for reply in made.replies) >= 0.005


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/503", 503, ""),
        ("/empty", 0, "closed without an answer"),
        ("/reset", 0, ""),
        ("/short", 200, "2 bytes of 200"),
        ("/junk", 0, "no HTTP answer"),
    ],
)
def test_what_is_no_right_answer_is_none(path: str, status: int, error: str) -> None:
    """Refusals, nothing at all, half an answer and another protocol are not right, however quickly they come."""
    made, _ = ask(path)
    assert len(made.replies) == 60
    assert {(reply.right, reply.status) for reply in made.replies} == {(False, status)}
    assert all(error in reply.error for reply in made.replies)


def test_a_server_that_hangs_is_given_up() -> None:
    """A request ends at its timeout, all of them at theirs; what was never made is not among them."""
    made, _ = ask("/hang", timeout=0.2, at_most=0.5)
    assert made.stopped == "after 0.5 s it was broken off"
    assert 6 <= len(made.replies) < 60
    assert all(reply.error.startswith("no whole answer within") for reply in made.replies)
    assert {reply.first for reply in made.replies} == {None}


@pytest.mark.parametrize(("path", "said"), [("/endless", "more than 1 MiB"), ("/headers", "headers never end")])
def test_an_answer_without_end_is_cut(path: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is larger than anybody needs is left there, and takes no memory."""
    monkeypatch.setattr(looping, "LONGEST_ANSWER", 1 << 20)
    made, _ = ask(path, requests=6)
    assert all(said in reply.error and not reply.right for reply in made.replies)
    assert all(reply.received < 2 << 20 for reply in made.replies)


def test_where_nobody_listens_it_gives_up() -> None:
    """Ten connections that nobody takes are enough, as for ab."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        made = Loop(replace(TASK, port=taken.getsockname()[1], requests=1000))
        asyncio.run(made.run())
    assert made.stopped.startswith("nobody took a connection: ")
    assert len(made.replies) < 30
    assert {reply.connected for reply in made.replies} == {None}
