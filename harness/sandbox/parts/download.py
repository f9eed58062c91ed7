"""Download: a file and the list of checksums that it must agree with."""

from __future__ import annotations

import hashlib
import time
import urllib.parse
from pathlib import Path

import httpx

from harness.sandbox.parts.base import Unavailable
from harness.sandbox.parts.workshop import Workshop

_CONNECT_SECONDS = 4.0  # a machine without a way out should fall through to the next way soon
_READ_SECONDS = 30.0
_TOTAL_SECONDS = 300.0


def download(shop: Workshop, base: str, name: str, *, checksums: str, into: Path) -> str:
    """Download `base/name` into the file `into` and return its sha256.

    It must agree with the list `base/checksums`, which has lines as `sha256sum` writes them. Raises Unavailable.
    """
    host = urllib.parse.urlsplit(base).hostname or base
    timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
    try:
        with httpx.Client(follow_redirects=True, timeout=timeout) as client:
            listed = client.get(f"{base}/{checksums}").raise_for_status().text
            wanted = _listed(listed, name)
            if wanted is None:
                raise Unavailable(f"{base}/{checksums} does not list {name}")
            digest = _fetch(client, f"{base}/{name}", into, shop)
    except httpx.HTTPError as problem:
        raise Unavailable(f"{host} can't be reached: {problem}") from problem
    if digest != wanted:
        raise Unavailable(f"{name} has sha256 {digest}, but its release says {wanted}")
    return digest


def _listed(text: str, name: str) -> str | None:
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[1].lstrip("*") == name:
            return fields[0].lower()
    return None


def _fetch(client: httpx.Client, url: str, path: Path, shop: Workshop) -> str:
    digest = hashlib.sha256()
    deadline = time.monotonic() + _TOTAL_SECONDS
    with client.stream("GET", url) as answer, path.open("wb") as file:
        answer.raise_for_status()
        for block in answer.iter_bytes():
            shop.pause(0)
            if time.monotonic() > deadline:
                raise Unavailable(f"the download took longer than {_TOTAL_SECONDS:g} s")
            digest.update(block)
            file.write(block)
    return digest.hexdigest()
