"""Answer: what becomes of one call of a tool in the operations shell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

# Left out of the environment of every real tool that is run: each could lead it to another server or library.
WITHOUT = (
    "http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY CURL_HOME CURL_CA_BUNDLE SSL_CERT_FILE "
    "SSL_CERT_DIR SSLKEYLOGFILE OPENSSL_CONF OPENSSL_MODULES LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT DYLD_INSERT_LIBRARIES "
    "GZIP"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the caller sees (`out`, `err`, `status`) or becomes (a real program's argv). For the record: why it was
    `refused`, the wall seconds that it was told to `wait` and those that the time scale `saved`, a `note` on how it
    was done."""

    out: str = ""
    err: str = ""
    status: int = 0
    wait: float = 0.0
    become: tuple[str, ...] = ()
    refused: str = ""
    saved: float = 0.0
    note: str = ""


class Tool(Protocol):
    """One tool. `arguments` come without its name."""

    def answer(self, arguments: Sequence[str]) -> Answer: ...


def refusal(tool: str, reason: str) -> Answer:
    """The call is not made; the reason goes to the record, and to the caller as status 126."""
    return Answer(err=f"{tool}: refused: {reason}\n", status=126, refused=f"{tool}: {reason}")
