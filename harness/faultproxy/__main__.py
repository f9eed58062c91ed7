"""`python -m harness.faultproxy`: the built-in fault proxy as a server, with the flags of toxiproxy-server."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import secrets
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.faultproxy import VERSION, decode
from harness.faultproxy.api import Api
from harness.faultproxy.errors import ApiError
from harness.faultproxy.metrics import Metrics
from harness.faultproxy.proxies import Proxies
from harness.faultproxy.web import serve

log = logging.getLogger("faultproxy")


class CannotStartError(Exception):
    """What we were told can't work; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. Returns 0; 2 where the server can't start, with the reason on stderr."""
    options = _options(arguments)
    if options.version:
        sys.stdout.write(f"toxiproxy-server version {VERSION}\n")
        return 0
    logging.basicConfig(
        stream=sys.stdout,
        level=os.environ.get("LOG_LEVEL", "info").upper(),
        format="%(asctime)s %(levelname)s %(message)s",
    )
    _take_all_descriptors()
    try:
        asyncio.run(_run(options))
    except CannotStartError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


async def _run(options: argparse.Namespace) -> None:
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    seed = options.seed if options.seed is not None else secrets.randbits(63)
    proxies = Proxies(Metrics(proxies=options.proxy_metrics, runtime=options.runtime_metrics), seed)
    if options.config:
        await _populate(proxies, options.config, _read(Path(options.config)))
    try:
        api = await serve(Api(proxies).handle, options.host, options.port)
    except OSError as cause:
        raise CannotStartError(f"the API can't listen at {options.host}:{options.port}: {cause.strerror}") from cause
    log.info("fault proxy %s: API at %s:%s, seed %s", VERSION, options.host, options.port, seed)
    await over.wait()
    api.close()
    proxies.stop()
    log.info("fault proxy ends")


def _read(config: Path) -> bytes:
    try:
        return config.read_bytes()
    except OSError as cause:
        raise CannotStartError(f"{config}: {cause.strerror}") from cause


async def _populate(proxies: Proxies, config: str, content: bytes) -> None:
    """A list that can't be used ends the server: with links missing, whoever starts it had better know at once."""
    try:
        made, error = await proxies.populate(decode.first_value(content))
    except ApiError as cause:
        raise CannotStartError(f"{config}: {cause}") from cause
    if error is not None:
        raise CannotStartError(f"{config}: {error}")
    log.info("%d proxies from %s", len(made), config)


def _take_all_descriptors() -> None:
    """Each connection needs two descriptors; take as many as we may have, as Go does."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS refuses "unlimited"
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="toxiproxy-server", description=__doc__, allow_abbrev=False)

    def flag(name: str, **settings: object) -> None:
        parser.add_argument(f"-{name}", f"--{name}", **settings)  # type: ignore[arg-type] # handed through

    def switch(name: str, text: str) -> None:
        flag(name, nargs="?", const=True, default=False, type=_truth, metavar="true|false", help=text)

    flag("host", default="localhost", help="where the API listens (localhost)")
    flag("port", default=8474, type=int, help="where the API listens (8474)")
    flag("config", default="", help="JSON file with the proxies to make at the start")
    flag("seed", default=None, type=int, help="makes toxicity, jitter and slices repeatable")
    switch("proxy-metrics", "bytes and open connections at /metrics")
    switch("runtime-metrics", "this process at /metrics")
    switch("version", "print the version")
    return parser.parse_args(arguments)


def _truth(word: str) -> bool:
    if word.lower() in ("1", "t", "true"):
        return True
    if word.lower() in ("0", "f", "false"):
        return False
    raise argparse.ArgumentTypeError(f"{word!r} is neither true nor false")


if __name__ == "__main__":
    sys.exit(main())
