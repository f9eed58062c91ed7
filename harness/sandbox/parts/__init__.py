"""Parts: the servers somebody else wrote that the sandbox runs without containers, and where to have them from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from harness.errors import HarnessError, PartMissing, UsageError
from harness.sandbox.parts.alertmanager import alertmanager
from harness.sandbox.parts.base import FoundPart, Part, Unavailable
from harness.sandbox.parts.cache import Cache, users_cache
from harness.sandbox.parts.chromadb import chromadb
from harness.sandbox.parts.nginx import nginx
from harness.sandbox.parts.prometheus import prometheus
from harness.sandbox.parts.redis import redis
from harness.sandbox.parts.toxiproxy import toxiproxy
from harness.sandbox.parts.workshop import Interrupted, Workshop, open_workshop

__all__ = ["HINT", "NAMES", "FoundPart", "Result", "find", "find_all", "obtain", "part", "survey"]

_PARTS: Mapping[str, Callable[[Cache], Part]] = {
    "redis": redis,
    "nginx": nginx,
    "chromadb": chromadb,
    "toxiproxy": toxiproxy,
    "prometheus": prometheus,
    "alertmanager": alertmanager,
}
NAMES = tuple(_PARTS)
HINT = (
    "`make setup`, or `python -m harness.sandbox.parts`, gets them into a cache folder of yours; "
    "`gameday doctor` shows what is there"
)

Result = FoundPart | tuple[str, ...]
"""A part, or why each way to have it failed."""


def part(name: str) -> Part:
    """What is known of the part called `name`. Raises UsageError for one that we don't know."""
    try:
        describe = _PARTS[name]
    except KeyError:
        raise UsageError(f"there is no part called {name!r}", hint=f"known parts: {', '.join(NAMES)}") from None
    return describe(users_cache(os.environ))


def find(name: str) -> FoundPart:
    """The part called `name` as it is on this machine now; only looks, changes nothing.

    In order: the environment (`GAMEDAY_<PART>=path`), PATH, then the ways of the part's own file. Raises PartMissing.
    """
    return find_all([name])[name]


def find_all(names: Iterable[str]) -> dict[str, FoundPart]:
    """All parts of `names`. Raises one PartMissing that lists every one that is not there, and why."""
    return _all_or_missing(survey(names))


def survey(names: Iterable[str]) -> dict[str, Result]:
    """Each part of `names`, or why each way to find it failed; quick, changes nothing."""
    wanted = list(dict.fromkeys(names))
    with ThreadPoolExecutor(max_workers=max(1, len(wanted))) as pool:
        return dict(zip(wanted, pool.map(_look, wanted), strict=True))


def obtain(names: Iterable[str], *, say: Callable[[str], None]) -> dict[str, FoundPart]:
    """All parts of `names`: those that are missing are downloaded or built, side by side, into the cache.

    `say` is told what goes on, a line at a time, from several threads. Raises one PartMissing that lists every part
    that can't be had and why each way failed; those that could be had stay in the cache.
    """
    looked = survey(names)
    if hopeless := {name: result for name, result in looked.items() if _hopeless(name, result)}:
        return _all_or_missing(hopeless)
    if all(_settled(name, result) for name, result in looked.items()):
        return _all_or_missing(looked)
    with open_workshop(users_cache(os.environ), say) as shop, ThreadPoolExecutor(max_workers=len(looked)) as pool:
        futures = {name: pool.submit(_get, part(name), result, shop) for name, result in looked.items()}
        try:
            return _all_or_missing({name: future.result() for name, future in futures.items()})
        finally:
            shop.call_off()  # Ctrl-C ends the builds at once


def _look(name: str) -> Result:
    """The part as it is here now."""
    if name not in _PARTS:
        return (f"there is no part of this name; known parts: {', '.join(NAMES)}",)
    wanted = part(name)
    try:
        chosen = wanted.chosen(os.environ)
    except Unavailable as problem:
        return (str(problem),)  # what was asked for by name is never replaced by something else
    if chosen is not None:
        return chosen
    reasons = []
    for look in (wanted.on_path, *(way.look for way in wanted.ways)):
        try:
            return look()
        except Unavailable as problem:
            reasons.append(str(problem))
    return wanted.stand_in or tuple(reasons)


def _settled(name: str, looked: Result) -> bool:
    """Whether the part itself is here; a stand-in that nobody asked for is not."""
    return isinstance(looked, FoundPart) and looked != part(name).stand_in


def _hopeless(name: str, looked: Result) -> bool:
    """Whether no way can have it: the name is unknown, or the environment names something that does not work. Then no
    long build is started before that is mended."""
    if isinstance(looked, FoundPart):
        return False
    return name not in _PARTS or bool(os.environ.get(part(name).variable, "").strip())


def _get(wanted: Part, looked: Result, shop: Workshop) -> Result:
    """The part, had by the first way that works."""
    if _settled(wanted.name, looked):
        return looked
    reasons = []
    for way in wanted.ways:
        try:
            had = way.get(shop)
        except Interrupted:
            raise
        except (HarnessError, OSError) as problem:
            reasons.append(f"{way.label}: {problem}")
            shop.say(f"{wanted.name}: {reasons[-1]}")
        else:
            shop.say(f"{wanted.name}: have {had.version} ({had.how})")
            return had
    if wanted.stand_in is not None:
        shop.say(f"{wanted.name}: the {wanted.stand_in.how} one takes its place")
    return wanted.stand_in or tuple(reasons)


def _all_or_missing(results: Mapping[str, Result]) -> dict[str, FoundPart]:
    """The parts by name. Raises one PartMissing for all that are not there."""
    found: dict[str, FoundPart] = {}
    problems = []
    for name, result in results.items():
        if isinstance(result, FoundPart):
            found[name] = result
        else:
            advice = [part(name).advice] if name in _PARTS else []
            problems.append(f"{name}: {'; '.join([*result, *advice])}")
    if problems:
        raise PartMissing("servers that the sandbox needs are missing", problems=problems, hint=HINT)
    return found
