"""find: the real one, on the host that is laid out; what it runs are tools of this shell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Unsupported
from harness.runbook.tools.answer import Answer, refusal
from harness.runbook.tools.on_files import Ground

_ALONE = frozenset(
    {
        "(", ")", "!", ",", "-not", "-a", "-and", "-o", "-or", "-daystart", "-delete", "-depth", "-empty",
        "-executable", "-false", "-ls", "-mount", "-noleaf", "-nowarn", "-print", "-print0", "-prune", "-quit",
        "-readable", "-true", "-warn", "-writable", "-xdev",
    }
)  # fmt: skip
_WITH_VALUE = frozenset(
    {
        "-amin", "-atime", "-iname", "-inum", "-links", "-maxdepth", "-mindepth", "-mmin", "-mtime", "-name", "-perm",
        "-printf", "-size", "-type", "-used", "-xtype",
    }
)  # fmt: skip
_WHOLE_PATH = frozenset({"-ipath", "-iwholename", "-path", "-wholename"})
_OTHER_FILE = frozenset({"-newer", "-anewer", "-samefile"})
# Why what find(1) has besides is refused.
_REFUSED: Mapping[str, str] = {
    name: reason
    for names, reason in (
        ("-L -H -follow", "it would follow links out of what is laid out"),
        ("-execdir -okdir", "it would run in a folder other than the shell's own"),
        ("-ok", "it asks a person"),
        ("-fls -fprint -fprint0 -fprintf", "it may write a file"),
        ("-files0-from", "what a file says of where to begin can't be told before it runs"),
        ("-cmin -cnewer -ctime", "the time of change of a laid-out file is that of its laying out"),
        ("-gid -group -nogroup -nouser -uid -user", "who owns a laid-out file is not said"),
        ("-iregex -regex", "it would see the tree's own path; say -path or -name"),
    )
    for name in names.split()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """`binary` is the real find; `tools` is the folder with all that this shell has."""

    binary: Path
    ground: Ground
    tools: Path

    def answer(self, arguments: Sequence[str]) -> Answer:
        words = list(arguments)
        leading = [words.pop(0) for _ in range(len(words)) if words and re.fullmatch(r"-P|-O\d", words[0])]
        at = next((at for at, word in enumerate(words) if _begins_expression(word)), len(words))
        try:
            begin = [self.ground.change(word) for word in words[:at]]
            anchored = bool(begin) and all(word.startswith("/") for word in begin)
            if not anchored and any(word.startswith("/") for word in begin):
                raise Unsupported("it begins inside the scratch folder and outside of it at once")
            expression = list(self._expression(words[at:], anchored=anchored))
        except Unsupported as problem:
            return refusal("find", str(problem))
        except _WrongError as problem:
            return Answer(err=f"find: {problem}\n", status=1)
        return Answer(become=self.ground.through([str(self.binary), *leading, *begin, *expression]))

    def _expression(self, words: Sequence[str], *, anchored: bool) -> Iterator[str]:
        """The expression as the real find is to see it. Raises Unsupported for what must not run, and what find itself
        would say of what it can't read."""
        rest = list(words)
        while rest:
            name = rest.pop(0)
            if name in _ALONE:
                yield name
            elif name == "-exec":
                yield from (name, *self._command(rest))
            elif name in _WITH_VALUE or name in _WHOLE_PATH or name in _OTHER_FILE:
                if not rest:
                    raise _WrongError(f"missing argument to `{name}'")
                yield from (name, self._value(name, rest.pop(0), anchored=anchored))
            elif _begins_expression(name):
                raise Unsupported(f"{name}: {_REFUSED.get(name, 'it is not possible here')}")
            else:
                raise _WrongError(f"paths must precede expression: `{name}'")

    def _value(self, name: str, value: str, *, anchored: bool) -> str:
        if name in _WHOLE_PATH and anchored:
            return re.sub(r"[*?\[\]\\]", r"\\\g<0>", str(self.ground.host.root)) + value
        return self.ground.change(value) if name in _OTHER_FILE else value

    def _command(self, rest: list[str]) -> list[str]:
        """The words of an -exec, its end included, taken from `rest`. What it runs must be a tool of this shell, which
        then looks at its words itself."""
        command: list[str] = []
        while rest and rest[0] != ";" and not (rest[0] == "+" and command and command[-1] == "{}"):
            command.append(rest.pop(0))
        if not rest or not command:
            raise _WrongError("missing argument to `-exec'")
        if not re.fullmatch(r"\w[\w-]*", command[0]) or not (self.tools / command[0]).exists():
            raise Unsupported(f"-exec {command[0]}: this shell has no such tool")
        return [*command, rest.pop(0)]


class _WrongError(ValueError):
    """What find itself says of a call that it can't read."""


def _begins_expression(word: str) -> bool:
    """As find(1) tells where the starting points end."""
    return (word.startswith("-") and word != "-") or word in ("(", ")", "!", ",")
