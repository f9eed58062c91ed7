"""Screen: refuses, before it is run, a command line that would leave the confined shell.

It is the first of two fences and a conservative one: what it does not understand it refuses. The second is bash's
restricted mode (bash(1), "RESTRICTED SHELL"), in which the line is run with nothing on its PATH but our shims.
Restricted mode forbids every redirection of output to a file. So those that are harmless, to /dev/null or to a plain
name in the scratch folder, are opened before the line begins and named by number in it: `> /dev/null` becomes `>&9`.

Where a host is laid out, its files may be written so as well. What bash itself looks up is led to them in the line's
text: the files that a pattern stands for, those that a test asks for and those that `<` reads.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import Unsupported
from harness.runbook.host import Host
from harness.runbook.lexer import Token, UnterminatedError, lex, substitutions, unquoted

NULL = 9  # the descriptor that is /dev/null inside the shell
_FIRST = 10
_WRITING = {">": "w", ">|": "w", ">>": "a", "&>": "w", "&>>": "a"}
_PLAIN_NAME = re.compile(r"(\./)?[\w][\w.-]*")
_LITERAL_PATH = re.compile(r"/[\w./@+:,=-]*")
_QUOTED = re.compile(r"\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_GLOB = re.compile(r"[*?\[]")
_TESTS = frozenset({"[", "test", "[["})
_ASKS_FOR_A_FILE = re.compile(r"-[abcdefghkprsuwxGLNOS]")
_UNCERTAIN = frozenset({"&&", "||", "(", "{", "if", "while", "until", "for", "case", "select", "function"})
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=")
_KEYWORDS = frozenset(
    {"if", "then", "else", "elif", "fi", "do", "done", "while", "until", "!", "{", "}", "time", "esac"}
)
_SETS_NAMES = frozenset({"export", "declare", "typeset", "local", "readonly", "env", "unset", "read", "printf"})
_UNSAFE_NAMES = re.compile(
    r"PATH|IFS|ENV|BASH.*|SHELL|SHELLOPTS|LD_.*|DYLD_.*|PYTHON.*|PS4|PROMPT_COMMAND|CURL_.*|HOME|.*_proxy|.*_PROXY|"
    r"GCONV_PATH|LOCPATH|NLSPATH|GLIBC_TUNABLES|OPENSSL_.*|SSLKEYLOGFILE|MALLOC_TRACE|GMON_OUT_PREFIX"
)
# Builtins that would open the shell, or act on processes that are not ours.
_BUILTINS = {
    name: reason
    for names, reason in (
        ("exec enable hash suspend", "it would change the shell itself"),
        ("source .", "it would run a file"),
        ("kill", "it would act on processes of this machine"),
        ("cd pushd popd", "the shell stays in its scratch folder"),
    )
    for name in names.split()
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that a line writes to, and the descriptor that it is opened on beforehand: a name in the scratch folder or
    the absolute path of one that is laid out."""

    descriptor: int
    name: str
    mode: str  # w or a


@dataclass(frozen=True, slots=True)
class Screened:
    """`text` is what bash is given; `refused` says why the line is not run at all, empty where it may be."""

    text: str
    refused: str = ""
    opened: tuple[Opened, ...] = ()


def is_unsafe(name: str) -> bool:
    """Whether the variable `name` decides where commands come from, or which libraries and servers they use."""
    return _UNSAFE_NAMES.fullmatch(name) is not None


def screen(text: str, host: Host | None = None) -> Screened:
    """Look at a command line before it is run; `host` is what is laid out for it, if anything is."""
    line = _Line(host)
    try:
        for problem in _look(text, 0, line):
            return Screened(text, refused=problem)
    except UnterminatedError:
        return Screened(text)  # bash says what is wrong with it, and runs none of it
    except Unsupported as problem:
        return Screened(text, refused=str(problem))
    written = [edit.opened for edit in line.edits if edit.opened is not None]
    names = [opened.name.removeprefix("./") for opened in written]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        told = host.back(twice) if host else twice
        return Screened(text, refused=f"it writes {told} twice in one line, which this shell can't follow")
    for edit in sorted(line.edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return Screened(text, opened=tuple(written))


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str
    opened: Opened | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    """What is known of the line while it is looked at."""

    host: Host | None
    edits: list[_Edit] = field(default_factory=list)

    def place(self, said: str) -> Path | None:
        """Where the host has the path `said`, if it is laid out. Raises Unsupported for one that leads out of it."""
        return self.host.place(said) if self.host and _LITERAL_PATH.fullmatch(said) else None


def _look(text: str, offset: int, line: _Line) -> Iterator[str]:
    """Say what is wrong with the commands in `text`, which stands at `offset` of the whole line."""
    tokens = [token for token in lex(text) if token.kind != "comment"]
    place = _Place()
    for at, token in enumerate(tokens):
        if place.testing and token.kind == "word" and at and _ASKS_FOR_A_FILE.fullmatch(tokens[at - 1].text):
            _lead(token, offset, line)
        if place.inside_test:
            place.inside_test = token.text != "]]"
        elif token.kind == "heredoc":
            yield "here-documents are not possible in this shell"
        elif token.kind == "operator" and ("<" in token.text or ">" in token.text):
            yield from _redirection(tokens, at, offset, line)
        elif token.kind in ("operator", "newline"):
            if place.at_command and [other.text for other in tokens[at : at + 2]] == ["(", "("]:
                yield "arithmetic in (( )) is not possible in this shell"
            place = _Place()
        elif not _is_target(tokens, at):
            yield from _inside(token, offset, line)
            yield from place.see(token)
            yield from _pattern(token, tokens, offset, line)


@dataclass(slots=True)
class _Place:
    """Where in a command the next word stands: at its beginning, among the names that it sets, or inside [[ ]]."""

    at_command: bool = True
    naming: bool = False
    inside_test: bool = False
    testing: bool = False

    def see(self, token: Token) -> Iterator[str]:
        word = unquoted(token.text)
        assigned = _ASSIGNMENT.match(word)
        if self.at_command or self.naming:
            name = assigned[1] if assigned else word
            if is_unsafe(name):
                yield f"it sets {name}, which would change where this shell's commands come from"
        if self.at_command and not assigned and word not in _KEYWORDS:
            yield from _bad_command(token, word)
            self.at_command, self.naming = False, word in _SETS_NAMES
            self.inside_test = word == "[["
            self.testing = word in _TESTS


def _is_target(tokens: Sequence[Token], at: int) -> bool:
    before = tokens[at - 1] if at else None
    return before is not None and before.kind == "operator" and ("<" in before.text or ">" in before.text)


def _inside(token: Token, offset: int, line: _Line) -> Iterator[str]:
    """Look at the commands inside a word. Where it has some that write, the word is left as it is for bash to judge."""
    for start, end in substitutions(token.text):
        yield from _look(token.text[start:end], offset + token.start + start, line)


def _lead(token: Token, offset: int, line: _Line) -> None:
    """Put the path of a laid-out file in the place of a word that names one."""
    if here := line.place(unquoted(token.text)):
        line.edits.append(_Edit(offset + token.start, offset + token.end, shlex.quote(str(here))))


def _pattern(token: Token, tokens: Sequence[Token], offset: int, line: _Line) -> Iterator[str]:
    """Lead a word that stands for files to those of the host: bash would look them up on this machine."""
    glob = _GLOB.search(token.text)
    if line.host is None or glob is None or not _GLOB.search(_QUOTED.sub("", token.text)):
        return
    folder = token.text[: max(0, token.text.rfind("/", 0, glob.start()))]
    if here := line.place(folder):
        if ".." in token.text or any(other.text == "case" for other in tokens):
            yield f"which files {token.text} stands for can't be told before it runs"
        start = offset + token.start
        line.edits.append(_Edit(start, start + len(folder), shlex.quote(str(here))))
    elif re.match(r"[\"']?\$|[\"']/", token.text):
        yield f"which files {token.text} stands for can't be told before it runs"


def _bad_command(token: Token, word: str) -> Iterator[str]:
    if "/" in word:
        yield f"{word} is named by its path, so nothing could stand between it and this machine"
    if word in _BUILTINS:
        yield f"{word} is not possible here: {_BUILTINS[word]}"
    if "$" in token.text or "`" in token.text:
        yield f"which command {token.text} is can't be told before it runs"


def _redirection(tokens: Sequence[Token], at: int, offset: int, line: _Line) -> Iterator[str]:
    sign = tokens[at]
    target = tokens[at + 1] if at + 1 < len(tokens) else None
    if target is None or target.kind != "word":
        return  # bash says that this is no sentence
    name = unquoted(target.text)
    harmless = name == "/dev/null" or _PLAIN_NAME.fullmatch(name)
    if sign.text in ("<<", "<<-"):
        yield "here-documents are not possible in this shell"
    elif sign.text == "<<<":
        yield from _inside(target, offset, line)
    elif sign.text in _WRITING and harmless:
        line.edits.append(_opened_before(sign, target, offset, line, name))
    elif (here := line.place(name)) and sign.text in _WRITING:
        if (offset or _is_uncertain(tokens[:at])) and (_WRITING[sign.text] == "w" or not here.exists()):
            yield f"whether it comes to write {name} can't be told before it runs"
        line.edits.append(_opened_before(sign, target, offset, line, str(here)))
    elif here and sign.text == "<":
        _lead(target, offset, line)
    elif not (sign.text in (">&", "<&") and re.fullmatch(r"[012]", name)) and not (sign.text == "<" and harmless):
        yield f"it redirects to {target.text}, outside of this shell's scratch folder"


def _is_uncertain(before: Sequence[Token]) -> bool:
    """Whether what comes after these tokens may not be run at all: a file opened beforehand would be emptied, or be
    there, all the same."""
    return any(token.text in _UNCERTAIN for token in before)


def _opened_before(sign: Token, target: Token, offset: int, line: _Line, name: str) -> _Edit:
    opened = None
    if name != "/dev/null":
        descriptor = _FIRST + sum(edit.opened is not None for edit in line.edits)
        opened = Opened(descriptor, name, _WRITING[sign.text])
    number = opened.descriptor if opened else NULL
    text = f">&{number} 2>&{number}" if sign.text.startswith("&") else f">&{number}"
    return _Edit(offset + sign.start, offset + target.end, text, opened)
