"""Render: a topology's names, ports and paths, rewritten to where a sandbox of plain processes really has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.sandbox.ports import LOOPBACK
from harness.sandbox.service import Mount, Service

_LARGEST_TEXT = 2 * 2**20
_MOST_FILES, _MOST_BYTES = 2_000, 64 * 2**20
# Who a service means by these is itself.
_OWN_HOSTS = ("0.0.0.0", "127.0.0.1", "localhost", "[::]", "[::1]")  # noqa: S104 - recognised, never bound


@dataclass(frozen=True, slots=True)
class Ground:
    """Where things really are. `ports` maps (service, container port) to a loopback port, `aliases` every name by
    which a service goes to its own, `folders` each service to the folder that is its `{dir}`, `mounts` each service's
    container paths to paths here."""

    ports: Mapping[tuple[str, int], int]
    aliases: Mapping[str, str]
    folders: Mapping[str, Path]
    mounts: Mapping[str, Mapping[str, Path]]

    def outside(self, service: str, inside: str) -> Path | None:
        """Where the path `inside` the service really is; None where it lies in no mount."""
        for mounted in sorted(self.mounts[service], key=len, reverse=True):
            if inside == mounted or inside.startswith(mounted.rstrip("/") + "/"):
                return self.mounts[service][mounted] / inside[len(mounted) :].lstrip("/")
        return None


@dataclass(slots=True)
class Rewriter:
    """Rewrites texts of one service. `problems` collects what can't be rewritten."""

    service: str
    ground: Ground
    problems: list[str] = field(default_factory=list)
    _addresses: re.Pattern[str] = field(init=False, repr=False)
    _paths: re.Pattern[str] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = "|".join(map(re.escape, sorted(self.ground.aliases, key=len, reverse=True)))
        hosts = "|".join(map(re.escape, _OWN_HOSTS))
        # Not inside a longer word (`my-redis:6379`), and not a version (`redis:7.4`).
        self._addresses = re.compile(
            rf"(?<![\w.\-])(?:(?P<name>{names})|(?P<own>{hosts})):(?P<port>\d+)(?![\w\-]|\.\d)"
        )
        mounted = sorted(self.ground.mounts[self.service], key=len, reverse=True)
        paths = "|".join(re.escape(path) for path in mounted if path != "/")
        # Not the rest of a longer path, not `/data` in `http://data`, nor the relative path of `sqlite:///data`.
        self._paths = (
            re.compile(rf"(?:(?<=file://)|(?<![\w.\-])(?<!:/)(?<!://))(?P<path>{paths})(?![\w.\-])") if paths else None
        )

    def rewrite(self, text: str, where: str) -> str:
        """`text` with every `service:port`, own address and mounted path replaced. `where` names it in problems."""
        moved = self._addresses.sub(lambda match: self._address(match, where), text)
        if self._paths:
            moved = self._paths.sub(lambda match: str(self.ground.mounts[self.service][match["path"]]), moved)
        return moved

    def _address(self, match: re.Match[str], where: str) -> str:
        port = int(match["port"])
        owner = self.ground.aliases[match["name"]] if match["name"] else self.service
        real = self.ground.ports.get((owner, port))
        if real is not None:
            return f"{LOOPBACK}:{real}"
        if match["name"]:
            self.problems.append(
                f"service {self.service}: {where} speaks of {match[0]}, but {owner} has no port {port} (see `expose`)"
            )
        return match[0]


_PLACEHOLDER = re.compile(r"\{(?:(?P<word>python|part|dir)|port:(?:(?P<service>[^{}:]+):)?(?P<port>\d+))\}")


# Stands for a placeholder while the rest is rewritten. A letter, so that `/data` in `{dir}/data` is no mounted path.
_HELD = "\u16a0"


def filled(text: str, where: str, rewriter: Rewriter, python: str) -> str:
    """`text` rewritten, and its placeholders filled in; what they stand for is real and not rewritten again."""
    ground, service = rewriter.ground, rewriter.service
    held: list[str] = []

    def hold(match: re.Match[str]) -> str:
        known = {"python": python, "dir": str(ground.folders[service])}
        if match["port"]:
            port = ground.ports.get((match["service"] or service, int(match["port"])))
            if port is None:
                rewriter.problems.append(f"service {service}: {where}: there is no port for {match[0]}")
            held.append(str(port))
        else:
            held.append(known.get(match["word"], match[0]))
        return f"{_HELD}{len(held) - 1}{_HELD}"

    moved = rewriter.rewrite(_PLACEHOLDER.sub(hold, text), where)
    return re.sub(f"{_HELD}(\\d+){_HELD}", lambda match: held[int(match[1])], moved)


def command_line(service: Service, part: Sequence[str], rewriter: Rewriter, python: str) -> tuple[str, ...]:
    """The words of the command that starts `service`; `part` are those that stand for `{part}`."""
    recipe = service.process
    words: list[str] = []
    for word in recipe.command if recipe else ():
        if word == "{part}":
            words += part
        elif "{part}" in word:
            rewriter.problems.append(f"service {service.name}: x-process: {{part}} must be a word by itself: {word!r}")
        else:
            words.append(filled(word, "its command", rewriter, python))
    return tuple(words)


_HOST_VARIABLE = re.compile(r"(HOST|HOSTNAME|SERVER|ADDR|ADDRESS|ENDPOINT)S?$")


def environment(given: Mapping[str, str], rewriter: Rewriter, python: str) -> dict[str, str]:
    """`given` with each value rewritten. A bare service name where a host is meant can't be: its port is elsewhere."""
    done: dict[str, str] = {}
    for name, value in given.items():
        if value in rewriter.ground.aliases and _HOST_VARIABLE.search(name):
            rewriter.problems.append(
                f"service {rewriter.service}: {name}={value} is a host without its port, which moves: "
                f"set it in x-process.environment ({LOOPBACK}, with `{{port:{value}:N}}` for the port)"
            )
        done[name] = filled(value, name, rewriter, python)
    return done


# -- mounted files ---------------------------------------------------------------------------------------------------

Render = Mapping[Path, Callable[[str], str]]


def place_mounts(
    service: Service, copies: Path, volumes: Path
) -> tuple[dict[str, Path], list[tuple[Path, Path]], list[Path], list[str]]:
    """Where each of the service's mounts goes: (container path → path here), the (source, copy) pairs to be rendered,
    the folders to be made, and what is wrong.

    Whatever a service mounts from the project is given to it as a copy: nothing that runs in a sandbox can change the
    project's own files. Only a folder too large to copy is used in place, and only if it is mounted read-only.
    """
    placed: dict[str, Path] = {}
    pairs: list[tuple[Path, Path]] = []
    fresh: list[Path] = []
    problems: list[str] = []
    for mount in service.mounts:
        if mount.kind == "bind" and mount.source is not None:
            placed[mount.inside] = copies / service.name / mount.inside.lstrip("/")
            found, problem = _files_of(mount, mount.source, placed[mount.inside])
            if problem and mount.read_only and mount.source.is_dir():
                placed[mount.inside] = mount.source
            elif problem:
                problems.append(f"service {service.name}: {problem}")
            pairs += found
            if mount.source.is_dir():
                fresh.append(placed[mount.inside])
        else:
            name = mount.volume or f"{service.name}{mount.inside.replace('/', '-')}"
            placed[mount.inside] = volumes / name
            fresh.append(volumes / name)
    return placed, pairs, fresh, problems


def _files_of(mount: Mount, source: Path, target: Path) -> tuple[list[tuple[Path, Path]], str]:
    if source.is_file():
        return [(source, target)], ""
    if not source.is_dir():
        return [], f"mounts {source} at {mount.inside}, which is neither a file nor a folder"
    pairs: list[tuple[Path, Path]] = []
    total = 0
    for path in source.rglob("*"):
        if not path.is_file():
            continue
        pairs.append((path, target / path.relative_to(source)))
        total += path.stat().st_size
        if len(pairs) > _MOST_FILES or total > _MOST_BYTES:
            return [], f"mounts {source} at {mount.inside}, which is too large to copy: mount it read-only (`:ro`)"
    return pairs, ""


def text_of(path: Path) -> str | None:
    """The file's text; None where it is none (binary, huge). Raises OSError."""
    if path.stat().st_size > _LARGEST_TEXT:
        return None
    raw = path.read_bytes()
    if b"\0" in raw:
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def all_aliases(services: Iterable[Service]) -> dict[str, str]:
    """Every name by which a service is reached, to its own name; a real name wins over another's alias."""
    found = {alias: service.name for service in services for alias in service.aliases}
    return found | {service.name: service.name for service in services}
