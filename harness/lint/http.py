"""Http: what a call of curl asks for: method, address, body, and by which it says who calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.lint.given import host_of
from harness.lint.script import Call
from harness.lint.tools import TOOLS

_DATA = ("-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--json")
_URL = re.compile(r"(?:https?://)?(?:localhost|\[[0-9a-f:]+\]|[\w-]+(?:\.[\w-]+)+|[\w-]+(?=:\d))(?::\d+)?(?:[/?]\S*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request. `path` has neither query nor fragment, and is empty where it is only known when it runs."""

    method: str
    url: str
    host: str
    path: str
    body: str | None
    headers: frozenset[str]  # their names, in small letters
    credentials: bool


def request_of(call: Call) -> Request | None:
    """What `call`, one of curl, asks for; None where nothing says which address."""
    url = _url(call)
    if url is None:
        return None
    body = next((value for option in _DATA if (value := call.value(option)) is not None), None)
    sends = body is not None or call.has("--data-urlencode", "-F", "--form")
    usual = "HEAD" if call.has("-I", "--head") else "GET" if call.has("-G", "--get") or not sends else "POST"
    usual = "PUT" if call.has("-T", "--upload-file") else usual
    method = call.value("-X", "--request") or usual
    headers = frozenset(value.partition(":")[0].strip().lower() for value in call.values("-H", "--header"))
    config = call.has("-u", "--user", "-n", "--netrc", "--netrc-file", "-K", "--config", "--oauth2-bearer",
                      "--negotiate", "-b", "--cookie", "-E", "--cert", "--aws-sigv4", "--anyauth")  # fmt: skip
    spread = any(
        re.match(r"\$[\w{@]|.*\[@\]", text) for text in call.texts if not text.startswith("$(") and text != url
    )
    known = re.sub(r"\$\{?\w+\}?", "x", url)
    path = "" if "$(" in url or "`" in url else urlsplit(known if "//" in known else f"//{known}").path or "/"
    return Request(
        method=method.upper(),
        url=url,
        host="" if "$" in url.partition("//")[2].partition("/")[0] else host_of(url),
        path=path,
        body=body,
        headers=headers | ({"content-type"} if call.has("--json") else frozenset()),
        credentials=config or spread or "@" in url.partition("//")[2].partition("/")[0],
    )


def _url(call: Call) -> str | None:
    taking = TOOLS["curl"].takes_value
    named = call.value("--url")
    for before, text in zip(("", *call.texts), call.texts, strict=False):
        if named or (not text.startswith("-") and not (before.startswith("-") and taking(before))):
            url = named or text
            try:
                urlsplit(url)
            except ValueError:
                return None
            return url if _URL.match(url) or re.match(r"https?://|\$", url) else None
    return None
