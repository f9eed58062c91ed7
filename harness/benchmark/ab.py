"""ab: our equivalent of Apache's benchmark, with its command line and its report.

    python -m harness.benchmark.ab -n 1000 -c 10 http://localhost:8080/health

It connects to this machine alone, or to hosts allowed by name (`--allow`). With `--record FILE` it leaves every request
there, as JSON, whatever became of the benchmark. `--address` is where the URL's server really is.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from harness.benchmark.figures import Figures, report
from harness.benchmark.loop import Loop, Task

FORMAT = 1
MOST_REQUESTS, MOST_AT_ONCE = 50_000, 500
BROKEN_OFF = 1  # exit status where it did not come to its end
USAGE = 22  # as ab's own


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status is 0 where every request was made, however it was answered."""
    options = _parser().parse_args(arguments)
    try:
        task = _task(options)
    except ValueError as problem:
        sys.stderr.write(f"ab: {problem}\n")
        return USAGE
    if not options.quiet:
        sys.stdout.write(f"Benchmarking {urlsplit(options.url).hostname} (be patient)\n")
        sys.stdout.flush()
    loop, used = Loop(task), time.process_time()
    asyncio.run(loop.run())
    if options.record:
        _keep(options.record, loop, time.process_time() - used)
    if loop.stopped:
        sys.stderr.write(f"ab: {loop.stopped}\nTotal of {len(loop.replies)} requests completed\n")
        return BROKEN_OFF
    figures = Figures(replies=loop.replies, at_once=task.at_once, seconds=loop.ended - loop.began)
    sys.stdout.write(report(options.url, figures, variable_length=options.variable, short=options.short))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ab", allow_abbrev=False, description="many requests, some at a time")
    parser.add_argument("-n", dest="requests", type=int, default=1, help="how many (1)")
    parser.add_argument("-c", dest="at_once", type=int, default=1, help="how many at a time (1)")
    parser.add_argument("-s", dest="timeout", type=float, default=30.0, help="seconds for one of them (30)")
    parser.add_argument("-H", dest="headers", action="append", default=[], help="a further header")
    parser.add_argument("-l", dest="variable", action="store_true", help="answers may differ in length")
    parser.add_argument("-q", dest="quiet", action="store_true", help="say nothing meanwhile")
    parser.add_argument("-d", dest="short", action="store_true", help="no percentages")
    parser.add_argument("-S", dest="plain", action="store_true", help="no effect: there are no warnings to leave out")
    parser.add_argument("-r", dest="carry_on", action="store_true", help="no effect: it carries on after errors anyway")
    parser.add_argument("--at-most", type=float, default=60.0, help="seconds for all of them (60)")
    parser.add_argument("--address", default="", help="host:port of the server, where the URL is but its name")
    parser.add_argument("--allow", action="append", default=[], help="a host beside this machine")
    parser.add_argument("--record", type=Path, help="where to leave every request")
    parser.add_argument("url")
    return parser


def _task(options: argparse.Namespace) -> Task:
    """What is to be done. Raises ValueError, in plain words, for what can't be or must not be."""
    url = urlsplit(options.url)
    if url.scheme != "http" or not url.hostname:
        raise ValueError(f"{options.url}: invalid URL (http://host[:port]/path)")
    if not 1 <= options.requests <= MOST_REQUESTS or not 1 <= options.at_once <= min(MOST_AT_ONCE, options.requests):
        raise ValueError(
            f"1 to {MOST_REQUESTS} requests can be made, 1 to {MOST_AT_ONCE} at a time and no more than requests"
        )
    if odd := next((line for line in options.headers if ":" not in line or "\r" in line or "\n" in line), None):
        raise ValueError(f"{odd!r} is no header")
    host, _, port = (options.address or f"{url.hostname}:{url.port or 80}").rpartition(":")
    address = _allowed(host.strip("[]"), int(port), options.allow)
    return Task(
        host=address,
        port=int(port),
        path=f"{url.path or '/'}{'?' + url.query if url.query else ''}",
        requests=options.requests,
        at_once=options.at_once,
        name=url.netloc.rpartition("@")[2],
        headers=tuple(options.headers),
        timeout=options.timeout,
        at_most=options.at_most,
    )


def _allowed(host: str, port: int, allow: Sequence[str]) -> str:
    """The address that `host` stands for. Raises ValueError where it is not on this machine and was not allowed."""
    try:
        found = [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as problem:
        raise ValueError(f"{host}: {problem}") from problem
    if host not in allow and not all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in found):
        raise ValueError(f"{host} is not on this machine and was not allowed by name")
    # A name stands for several addresses, of which the server may listen on one only.
    return next((each for each in found if _answers(each, port)), found[0])


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _keep(file: Path, loop: Loop, cpu: float) -> None:
    """Leave every request in `file`, all at once."""
    told = {
        "format": FORMAT,
        "began": loop.began,
        "ended": loop.ended,
        "stopped": loop.stopped,
        "cpu_seconds": cpu,
        "replies": [asdict(reply) for reply in loop.replies],
    }
    unfinished = file.with_suffix(".part")
    unfinished.write_text(json.dumps(told), encoding="utf-8")
    unfinished.replace(file)


if __name__ == "__main__":
    sys.exit(main())
