"""Leftovers: the containers and networks of a sandbox, removed by its label and by nothing else.

    python -m harness.sandbox.leftovers FOLDER

Exit status 0 where nothing is left; else 5, and standard output says what.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from harness.errors import HarnessError
from harness.sandbox.engine import Engine, Whereabouts

# Wall seconds. What was being made as its maker was killed may turn up a moment after the first look.
_AT_MOST, _TWICE_AFTER = 20.0, 0.3


def remove(folder: Path) -> tuple[str, ...]:
    """Remove what the engine has of the sandbox in `folder`; what is left, in words. Never raises. Safe to call twice,
    and by two at once."""
    try:
        where = Whereabouts.load(folder)
        if where is None:
            return ()
        with Engine(where.host, api_version=where.api_version) as engine:
            return _until_gone(engine, folder)
    except HarnessError as odd:
        return (f"containers of {folder.name}: {str(odd).splitlines()[0]}",)


def _until_gone(engine: Engine, folder: Path) -> tuple[str, ...]:
    deadline = time.monotonic() + _AT_MOST
    clean = 0
    while clean < 2 and time.monotonic() < deadline:
        containers = [one.id for one in engine.containers(folder)]
        _each(engine.remove_container, containers)
        networks = [] if containers else engine.networks(folder)
        _each(engine.remove_network, networks)
        volumes = [] if containers else engine.volumes(folder)
        _each(engine.remove_volume, volumes)
        clean = 0 if containers or networks or volumes else clean + 1
        if not containers and clean < 2:
            time.sleep(_TWICE_AFTER)
    left = [f"container {one.service or one.id[:12]}" for one in engine.containers(folder)]
    return tuple(left + [f"network {one[:12]}" for one in engine.networks(folder)])


def _each(act: Callable[[str], None], names: Iterable[str]) -> None:
    """Do it to all of them, side by side; one that withstands is met again with the next look."""

    def one(name: str) -> None:
        with suppress(HarnessError):
            act(name)

    with ThreadPoolExecutor(max_workers=8) as side_by_side:
        list(side_by_side.map(one, names))


def main(arguments: list[str]) -> int:
    left = remove(Path(arguments[0]))
    sys.stdout.write("".join(f"{what}\n" for what in left))
    return 5 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
