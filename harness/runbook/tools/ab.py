"""ab: Apache's benchmark where this machine has it, else our own, led to the sandbox's servers and to nothing else.

Neither can be told to connect elsewhere than to the URL's host, so the URL is rewritten to where the server really is
and the Host header says what the runbook calls it. Options that choose another way or touch files are refused.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from harness.runbook.tools.answer import Answer, refusal
from harness.sandbox.base import Address

# Of ab(1). Ours knows those that change what is measured or said; it does not keep connections.
_WITH_VALUE, _ALONE = frozenset("ncstHTACmv"), frozenset("qdSlrki")
_OURS_WITH_VALUE, _OURS_ALONE = frozenset("ncsH"), frozenset("qdSlr")
MOST = {"n": 50_000, "c": 500, "t": 60, "s": 120}  # more would be load, or would outlast the line
_ROOT = Path(__file__).resolve().parents[3]
# Not `-m`: the shell's clean environment does not say where our packages are.
_RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from harness.benchmark.ab import main; sys.exit(main())"
_SAME = {"127.0.0.1": "localhost", "::1": "localhost"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ab:
    """`binary` is the real ab or None; `addresses` maps `host:port`, as the runbook says it, to where it is."""

    binary: Path | None
    addresses: Mapping[str, Address]

    def answer(self, arguments: Sequence[str]) -> Answer:
        call = _read(arguments)
        if call.problem:
            return refusal("ab", call.problem)
        (url,) = call.urls
        address, named, problem = self._place(url)
        if address is None:
            return refusal("ab", problem)
        if self.binary is None:
            return self._stand_in(call, url, address)
        host = [] if call.names_host else ["-H", f"Host: {named}"]
        return Answer(become=(str(self.binary), *call.options, *host, _elsewhere(url, address)))

    def _stand_in(self, call: _Call, url: str, address: Address) -> Answer:
        if unknown := sorted(call.letters - _OURS_WITH_VALUE - _OURS_ALONE):
            return refusal("ab", f"this machine has none, and ours knows no -{unknown[0]}")
        ours = (f"--address={_bracketed(address.host)}:{address.port}", f"--allow={address.host}")
        return Answer(
            become=(sys.executable, "-P", "-c", _RUN, str(_ROOT), *call.options, *ours, url),
            note="ab: not on this machine; an equivalent of ours made the requests",
        )

    def _place(self, url: str) -> tuple[Address | None, str, str]:
        """Where `url` leads to in the sandbox and what its Host header is to say; or why it must not be asked."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            host, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return None, "", f"{url} is no URL"
        if parts.scheme.lower() != "http":
            return None, "", f"{url}: only http is possible here"
        place = f"{_SAME.get(host, host)}:{port}"
        address = self.addresses.get(place)
        if address is None or address.scheme == "https":
            return None, "", f"{url} is not part of the sandbox ({place} is no address that the operations shell knows)"
        return address, parts.netloc.rpartition("@")[2], ""


@dataclass(slots=True)
class _Call:
    """A command line of ab, taken apart."""

    options: list[str] = field(default_factory=list)
    letters: set[str] = field(default_factory=set)
    urls: list[str] = field(default_factory=list)
    names_host: bool = False
    problem: str = ""


def _read(arguments: Sequence[str]) -> _Call:
    """Take a command line apart as getopt(3) does; options end where the URL begins."""
    call = _Call()
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-" and not call.problem:
        word = rest.pop(0)
        for at, letter in enumerate(word[1:], 2):
            if letter in _ALONE:
                call.letters.add(letter)
                call.options.append(f"-{letter}")
                continue
            value = word[at:] or (rest.pop(0) if rest else "")
            call.problem = _odd(letter, value)
            call.letters.add(letter)
            call.options += [f"-{letter}", value]
            call.names_host |= letter == "H" and value.lower().startswith("host:")
            break
    call.urls = rest
    if not call.problem and len(rest) != 1:
        call.problem = "it takes one URL, behind its options"
    return call


def _odd(letter: str, value: str) -> str:
    """Why `-letter value` is not possible here; empty where it is."""
    if letter not in _WITH_VALUE:
        return f"-{letter} may lead it past the sandbox, or touch files"
    if not value:
        return f"-{letter} needs a value"
    most = MOST.get(letter)
    if most is not None and not (value.isascii() and value.isdigit() and 0 < int(value) <= most):
        return f"-{letter} {value}: 1 to {most} is possible here"
    return ""


def _elsewhere(url: str, address: Address) -> str:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    query = f"?{parts.query}" if parts.query else ""
    return f"http://{_bracketed(address.host)}:{address.port}{parts.path or '/'}{query}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
