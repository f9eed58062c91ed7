"""On files: tools that read or change files, led to the host that is laid out for the shell.

A path that is laid out becomes that of the tree before the real tool sees it, and the tree's paths in what the tool
prints become the operator's again, so that a pipeline sees what it would see on the host.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import Unsupported
from harness.runbook.host import Host
from harness.runbook.tools.answer import Answer, Tool, refusal

# Its output goes through sed, its status stays. -p: it takes no functions of the line that calls it.
_THROUGH = 'export LC_ALL=C; "${@:3}" | "$1" -u "$2"; exit "${PIPESTATUS[0]}"'
_PATH = re.compile(r"/[\w./@+:,=-]*")

# Whose first plain word is a pattern or a program: the short options that come with a value of their own.
PROGRAMS: Mapping[str, str] = {
    "grep": "ABCDdefm", "egrep": "ABCDdefm", "fgrep": "ABCDdefm", "awk": "vFf", "sed": "efl", "jq": "fL",
}  # fmt: skip
# The others that read files; what they print names none of them, or all.
PLAIN = ("cat", "head", "ls", "tail", "wc", "sort", "uniq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where the words of a tool may lead: `host`, and the folder `scratch`, which is the shell's own; `bash` and `sed`
    are the real ones."""

    host: Host
    scratch: Path
    bash: Path
    sed: Path

    def read(self, word: str) -> str:
        """`word`, or the tree's path for a path that is laid out. Raises Unsupported for one that leads out of it."""
        return str(self.host.place(word) or word) if _PATH.fullmatch(word) else word

    def change(self, word: str) -> str:
        """The path of a file to be changed. Raises Unsupported for one that is not the tree's nor the scratch
        folder's, links followed."""
        if here := self.host.place(word):
            return str(here)
        real = Path(os.path.realpath(self.scratch / word))
        scratch = Path(os.path.realpath(self.scratch))
        if word.startswith("/") or (real != scratch and scratch not in real.parents):
            raise Unsupported(f"{word} is not laid out on this host")
        return word

    def through(self, argv: Sequence[str]) -> tuple[str, ...]:
        """`argv` with the paths in its output as the operator says them."""
        root = re.sub(r"[\]\[\\.*^$|]", r"\\\g<0>", str(self.host.root))
        return (str(self.bash), "-p", "-c", _THROUGH, "through", str(self.sed), f"s|{root}||g", *argv)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """`tool`, which only reads, with the files of the host for those that its words name."""

    name: str
    tool: Tool
    ground: Ground

    def answer(self, arguments: Sequence[str]) -> Answer:
        try:
            words = list(self._led(arguments))
        except Unsupported as problem:
            return refusal(self.name, str(problem))
        answer = self.tool.answer(words)
        if words == list(arguments) or not answer.become:
            return answer
        return replace(answer, become=self.ground.through(answer.become))

    def _led(self, arguments: Sequence[str]) -> Iterator[str]:
        valued = PROGRAMS.get(self.name, "")
        program = self.name in PROGRAMS and not any(
            re.match(r"-\w*[ef]|--(regexp|expression|file)", a) for a in arguments
        )
        value = False
        for word in arguments:
            is_option = word.startswith("-") and word != "-"
            if value or is_option:
                yield word
            elif program:
                program = False
                yield word
            else:
                yield self.ground.read(word)
            value = not value and is_option and not word.startswith("--") and word[-1] in valued


_CHANGING: Mapping[str, str] = {
    # Without --recursive, --name, --suffix: they would follow links, or write names of another's choice.
    "gzip": r"-[1-9cdfhkLlnqtVv]+|--(best|decompress|fast|force|help|keep|list|no-name|quiet|stdout|test|to-stdout|"
    r"uncompress|verbose|version)",
    "rm": r"-[dfRrv]+|--(dir|force|recursive|verbose)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changing:
    """A tool that packs or deletes files, all of whose plain words are paths; `first` goes before them. Options that
    are not known to stay with those files are refused."""

    name: str
    binary: Path
    ground: Ground
    first: tuple[str, ...] = ()

    def answer(self, arguments: Sequence[str]) -> Answer:
        words: list[str] = []
        ended = False
        for word in arguments:
            if not ended and word.startswith("-") and word != "-":
                if word != "--" and not re.fullmatch(_CHANGING[self.binary.name], word):
                    return refusal(self.name, f"{word} is not possible here")
                ended = word == "--"
                words.append(word)
                continue
            try:
                words.append(word if word == "-" else self.ground.change(word))
            except Unsupported as problem:
                return refusal(self.name, str(problem))
        return Answer(become=(str(self.binary), *self.first, *words))
