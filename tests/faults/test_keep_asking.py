"""What the program sends that keeps requests open."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from types import SimpleNamespace
from typing import Any

from harness.faults.programs import keep_asking


class Line:
    """A connection at which every request is taken; `bodies` are what was sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes | None] = []

    def request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> None:
        self.bodies.append(body)

    def getresponse(self) -> Any:
        return SimpleNamespace(read=BytesIO(b"done").read, status=200, headers={})


def test_each_request_may_have_a_number_of_its_own() -> None:
    """So that no cache answers the second one; a body without one is sent as it is, and none at all as none."""
    line: Any = Line()
    for body in ('{"a": "{number}, {number}"}', '{"a": "{number}, {number}"}', '{"a": {}}', ""):
        order: dict[str, Any] = {"method": "POST", "path": "/", "body": body, "headers": {}}
        assert keep_asking.ask(line, order, Counter()) is None
    first, second, plain, nothing = line.bodies
    assert first != second
    assert b"number" not in first
    assert (plain, nothing) == (b'{"a": {}}', None)
