"""sysctl: reads and sets the kernel's settings that are laid out, and never those of this machine (sysctl(8))."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import Unsupported
from harness.runbook.host import KERNEL, Host
from harness.runbook.tools.answer import Answer, refusal

FILE = "/etc/sysctl.conf"
_LINE = re.compile(r"\s*(-?)\s*([^\s=]+)\s*=\s*(.*?)\s*")
_FLAGS = {"--write": "w", "--values": "n", "--ignore": "e", "--quiet": "q", "--all": "a", "--names": "N", "--load": "p"}


@dataclass(slots=True)
class _Call:
    """One call as it goes on: its flags, what it has printed, and whether anything failed."""

    flags: set[str] = field(default_factory=set)
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    failed: bool = False

    def fail(self, complaint: str) -> None:
        self.err.append(f"sysctl: {complaint}\n")
        self.failed = True


@dataclass(frozen=True, slots=True)
class Sysctl:
    """Settings are files of `host` below /proc/sys, which is all that the real one knows of them either.

    Its words and statuses are those of procps 4. A setting that this machine's kernel has and the tree has not is
    refused: what would become of it nobody can say.
    """

    host: Host

    def answer(self, arguments: Sequence[str]) -> Answer:
        call = _Call()
        words = []
        for word in arguments:
            if flags := _FLAGS.get(word, word[1:] if re.fullmatch(r"-[wneqaNpf]+", word) else ""):
                call.flags |= set(flags.replace("f", "p"))
            elif word.startswith("--load="):
                call.flags.add("p")
                words.append(word.removeprefix("--load="))
            elif word.startswith("-"):
                return refusal("sysctl", f"{word} is not possible here")
            else:
                words.append(word)
        if not words and not call.flags & {"p", "a"}:
            return refusal("sysctl", "a call that names no setting is not possible here")
        try:
            self._act(words, call)
        except Unsupported as problem:
            return refusal("sysctl", str(problem))
        return Answer(out="".join(call.out), err="".join(call.err), status=1 if call.failed else 0)

    def _act(self, words: Sequence[str], call: _Call) -> None:
        if "p" in call.flags:
            for path in words or [FILE]:
                self._load(path, call)
        elif "a" in call.flags:
            self._show_below(self.host.root / KERNEL.lstrip("/"), "", call)
        else:
            for word in words:
                self._one(word, call)

    def _load(self, path: str, call: _Call) -> None:
        """Set what the file `path` says, line by line."""
        place = self.host.place(path)
        if place is None:
            raise Unsupported(f"{path} is not laid out on this host")
        if not place.is_file():
            call.fail(f'cannot open "{path}": No such file or directory')
            return
        for number, line in enumerate(_read(place).splitlines(), 1):
            if not line.strip() or line.lstrip()[0] in "#;":
                continue
            if said := _LINE.fullmatch(line):
                self._set(said[2], said[3], call, lenient=bool(said[1]))
            else:
                call.err.append(f"sysctl: {path}({number}): invalid syntax, continuing...\n")

    def _one(self, word: str, call: _Call) -> None:
        if said := _LINE.fullmatch(word):
            self._set(said[2], said[3], call, lenient=False)
        elif "w" in call.flags:
            call.fail("command line(0): invalid syntax, continuing...")
        elif place := self._place(word, call):
            self._show_below(place, _dotted(word), call)

    def _show_below(self, place: Path, key: str, call: _Call) -> None:
        """Show the setting at `place`, which is called `key`, or all in the group that is there."""
        for path in [place] if place.is_file() else sorted(one for one in place.rglob("*") if one.is_file()):
            self._show(
                ".".join(filter(None, (key, *path.relative_to(place).parts))), "\t".join(_read(path).split()), call
            )

    def _set(self, key: str, value: str, call: _Call, *, lenient: bool) -> None:
        place = self._place(key, call, lenient=lenient)
        if place is None:
            return
        after = value.split()
        if not place.is_file():
            call.fail(f'setting key "{_dotted(key)}": Is a directory')
        elif _are_numbers(_read(place).split()) and not _are_numbers(after):
            call.fail(f'setting key "{_dotted(key)}": Invalid argument')
        else:
            place.write_text("\t".join(after) + "\n", encoding="utf-8")
            if "q" not in call.flags:
                self._show(_dotted(key), value, call)

    def _show(self, key: str, value: str, call: _Call) -> None:
        if "N" in call.flags:
            call.out.append(f"{key}\n")
        else:
            call.out.append(f"{value}\n" if "n" in call.flags else f"{key} = {value}\n")

    def _place(self, key: str, call: _Call, *, lenient: bool = False) -> Path | None:
        """Where the setting `key`, or a group of them, is laid out; None, and a complaint, where there is none such."""
        path = f"{KERNEL}/{_path_of(key)}"
        if not re.fullmatch(r"(/\w[\w.-]*)+", path) or ".." in path:
            raise Unsupported(f"{key!r} is no setting of the kernel")
        here = self.host.place(path) or self.host.root / path.lstrip("/")
        if here.exists() and not here.is_symlink():
            return here
        if Path(path).exists() or not Path(KERNEL).exists():
            raise Unsupported(f"{_dotted(key)} is not laid out on this host")
        if "e" not in call.flags:
            call.err.append(f"sysctl: cannot stat {path}: No such file or directory\n")
            call.failed = call.failed or not lenient
        return None


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _are_numbers(words: Sequence[str]) -> bool:
    return bool(words) and all(re.fullmatch(r"-?\d+", word) for word in words)


def _path_of(key: str) -> str:
    """As the real one does: dots separate, unless a slash comes first."""
    first = re.search(r"[./]", key)
    return key if first and first[0] == "/" else key.replace(".", "/")


def _dotted(key: str) -> str:
    return _path_of(key).replace("/", ".")
