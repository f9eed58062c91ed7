"""curl: the real one, led to the sandbox's servers by the names that the runbook uses, and to nothing else.

Its own `--connect-to` does it: one entry for each known address, and a last one for every other host, which leads to
a port on which nobody listens. Options that would choose another way, or write outside the scratch folder, are refused.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from harness.runbook.tools.answer import Answer, refusal
from harness.sandbox.base import Address

_HELP = re.compile(r"^\s*(?:-(\S),\s+)?--([a-z0-9.-]+)(\s+[<[])?", re.MULTILINE)
_OTHER_WAYS = frozenset(
    {
        "abstract-unix-socket", "config", "connect-to", "dns-interface", "dns-ipv4-addr", "dns-ipv6-addr",
        "dns-servers", "doh-url", "engine", "ftp-port", "interface", "ipfs-gateway", "libcurl", "next", "noproxy",
        "preproxy", "proto", "proto-default", "proto-redir", "proxy", "proxy1.0", "resolve", "socks4", "socks4a",
        "socks5", "socks5-hostname", "unix-socket", "variable", "vlan-priority",
    }
)  # fmt: skip
_WRITES = frozenset(
    {
        "output", "dump-header", "cookie-jar", "trace", "trace-ascii", "stderr", "etag-save", "hsts", "alt-svc",
        "output-dir", "ssl-sessions",
    }
)  # fmt: skip
_PLAIN_FILE = re.compile(r"-|/dev/null|(\./)?\w[\w.-]*")
_PORTS = {"http": 80, "https": 443}
_SAME = {"localhost": ("127.0.0.1", "[::1]")}  # other names for this host


@dataclass(frozen=True, slots=True, kw_only=True)
class Curl:
    """`binary` is the real curl, None where this machine has none. `addresses` maps `host:port`, as the runbook says
    it, to where it is; `nowhere` is a loopback port on which nobody listens; `ca` signs the sandbox's certificates."""

    binary: Path | None
    addresses: Mapping[str, Address]
    nowhere: int
    ca: Path | None = None

    def answer(self, arguments: Sequence[str]) -> Answer:
        if self.binary is None:
            return refusal("curl", "this machine has no curl")
        known = known_options(self.binary)
        if problem := next(self._problems(arguments, known), ""):
            return refusal("curl", problem)
        ours = ["-q", "--proto", "=http,https", "--noproxy", "*"]
        # At a terminal curl draws no progress meter around an answer; here its output is a pipe, and it would.
        ours += ["--no-progress-meter"] if "no-progress-meter" in known.takes_value else []
        for name, address in self._names():
            ours += ["--connect-to", f"{name}:{_bracketed(address.host)}:{address.port}"]
        ours += ["--connect-to", f"::127.0.0.1:{self.nowhere}"]
        ours += ["--cacert", str(self.ca)] if self.ca else []
        return Answer(become=(str(self.binary), *ours, *arguments))

    def _names(self) -> Iterator[tuple[str, Address]]:
        for name, address in self.addresses.items():
            host, _, port = name.rpartition(":")
            for same in (host, *_SAME.get(host, ())):
                yield f"{same}:{port}", address

    def _problems(self, arguments: Sequence[str], known: KnownOptions) -> Iterator[str]:
        for option, value in known.read(arguments):
            if option == "":
                yield f"{value} is no option that this curl is known to have"
            elif option in _OTHER_WAYS or option.startswith("expand-"):
                yield f"--{option} would lead it past the sandbox"
            elif option in _WRITES and not _PLAIN_FILE.fullmatch(value):
                yield f"--{option} {value} writes outside of this shell's scratch folder"
            elif option == "write-out" and ("%output" in value or value.startswith("@")):
                yield f"--write-out {value} may write to a file"
            elif option == "url":
                yield from self._not_ours(value)

    def _not_ours(self, url: str) -> Iterator[str]:
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
        except ValueError:
            scheme, host, port = "", url, None
        place = f"{_bracketed(host)}:{port or _PORTS.get(scheme, 0)}"
        if scheme not in _PORTS or place not in {name for name, _ in self._names()}:
            yield f"{url} is not part of the sandbox ({place} is no address that the operations shell knows)"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


# -- its command line ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KnownOptions:
    """The options of one curl, from its own `--help all`: long names, whether they take a value, and short names."""

    takes_value: Mapping[str, bool]
    short: Mapping[str, str]

    def read(self, arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Each option by its long name with its value; a URL is the option `url`. What is not known comes with the
        name "", and nothing after it."""
        rest = list(arguments)
        only_urls = False
        while rest:
            word = rest.pop(0)
            if word == "--" and not only_urls:
                only_urls = True
            elif only_urls or word == "-" or not word.startswith("-"):
                yield "url", word
            elif word.startswith("--"):
                name = self._long(word[2:])
                if not name or (self.takes_value[name] and not rest):
                    yield "", word
                    return
                yield name, rest.pop(0) if self.takes_value[name] else ""
            else:
                found = list(self._cluster(word[1:], rest))
                yield from found
                if any(name == "" for name, _ in found):
                    return

    def _long(self, written: str) -> str:
        for name in (written, written.removeprefix("no-")):
            if name in self.takes_value:
                return name
        fitting = [name for name in self.takes_value if name.startswith(written)]
        return fitting[0] if len(fitting) == 1 else ""

    def _cluster(self, letters: str, rest: list[str]) -> Iterator[tuple[str, str]]:
        """`-sSXPOST` is -s, -S and -X with the value POST."""
        for at, letter in enumerate(letters):
            name = self.short.get(letter, "")
            if not name or (self.takes_value[name] and at == len(letters) - 1 and not rest):
                yield "", f"-{letter}"
                return
            if self.takes_value[name]:
                yield name, letters[at + 1 :] or rest.pop(0)
                return
            yield name, ""


_known: dict[Path, KnownOptions] = {}


def known_options(binary: Path) -> KnownOptions:
    """Ask `binary` for its options; remembered, since the answer never changes while it is installed."""
    if binary not in _known:
        said = subprocess.run([binary, "--help", "all"], capture_output=True, text=True, timeout=10, check=False).stdout
        _known[binary] = parse_help(said)
    return _known[binary]


def parse_help(said: str) -> KnownOptions:
    """Read what `curl --help all` prints: ` -o, --output <file>  Write to file instead of stdout`."""
    found = _HELP.findall(said)
    return KnownOptions(
        takes_value={long: bool(value) for _, long, value in found},
        short={short: long for short, long, _ in found if short},
    )
