"""Lexer: shell text as words, operators and comments, each with its place.

It follows POSIX.1-2017, Shell Command Language, section 2.3 (token recognition), with bash's own operators. It
knows quoting, substitutions and here-documents, and nothing of what the words mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_OPERATORS = (
    *("&>>", "<<<", "<<-", ";;&"),
    *("&&", "||", ";;", ";&", "|&", "<<", ">>", "<&", ">&", "<>", ">|", "&>"),
    *("&", "|", ";", "<", ">", "(", ")"),
)
_WORD_ENDS = frozenset(" \t\r\n&|;<>()")
_CONTINUED = re.compile(r"\\\r?\n")


class UnterminatedError(ValueError):
    """A quote, a substitution or a here-document is still open where the text ends."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of shell text: `text` is source[start:end], verbatim. A heredoc token is the body with its last line."""

    kind: Literal["word", "operator", "newline", "comment", "heredoc"]
    text: str
    start: int
    end: int


def lex(source: str) -> Iterator[Token]:
    """The tokens of `source`, in order. Raises UnterminatedError once it comes to what is still open at the end."""
    at = 0
    pending: list[tuple[Token, str]] = []  # here-documents that begin after the next newline, with their operator
    before = ""
    while at < len(source):
        char = source[at]
        continued = _CONTINUED.match(source, at)
        if continued:
            at = continued.end()
        elif char in " \t\r":
            at += 1
        elif char == "\n":
            at += 1
            for delimiter, sign in pending:
                body = _heredoc(source, at, delimiter, tabs=sign == "<<-")
                yield body
                at = body.end
            pending = []
            yield Token("newline", char, at - 1, at)
        elif char == "#":
            end = source.find("\n", at)
            end = len(source) if end < 0 else end
            yield Token("comment", source[at:end].rstrip("\r"), at, end)
            at = end
        else:
            operator = "" if _is_substitution(source, at) else _operator(source, at)
            token = (
                Token("operator", operator, at, at + len(operator))
                if operator
                else Token("word", source[at : (end := word_end(source, at))], at, end)
            )
            if before in ("<<", "<<-") and token.kind == "word":
                pending.append((token, before))
            before = token.text
            yield token
            at = token.end
    if pending:
        raise UnterminatedError("a here-document is never ended")


def _is_substitution(source: str, at: int) -> bool:
    return source.startswith(("<(", ">("), at)


def _operator(source: str, at: int) -> str:
    return next((operator for operator in _OPERATORS if source.startswith(operator, at)), "")


def _heredoc(source: str, at: int, delimiter: Token, *, tabs: bool) -> Token:
    wanted = unquoted(delimiter.text)
    for line in re.compile(r"([^\n]*)(\n|\Z)").finditer(source, at):
        text = line.group(1).rstrip("\r")
        if (text.lstrip("\t") if tabs else text) == wanted:
            return Token("heredoc", source[at : line.end()], at, line.end())
        if line.end() >= len(source):
            break
    raise UnterminatedError(f"the here-document up to {wanted} is never ended")


def word_end(source: str, at: int) -> int:
    """Where the word that begins at `at` ends."""
    begin = at
    while at < len(source):
        if source[at] in _WORD_ENDS and not (at == begin and _is_substitution(source, at)):
            break
        at = _after(source, at)
    return at


def _after(source: str, at: int) -> int:
    """The place after the character, quote or substitution at `at`."""
    char = source[at]
    if char == "\\":
        return min(at + 2, len(source))
    if char == "'":
        return _closing(source, at + 1, "'") + 1
    if source.startswith("$'", at):
        return _after_escaped(source, at + 2, "'")
    if char == '"':
        return _after_double(source, at + 1)
    if char == "`":
        return _after_escaped(source, at + 1, "`")
    if source.startswith("${", at):
        return _after_brace(source, at + 2)
    if source.startswith(("$(", "<(", ">("), at):
        return _after_parenthesis(source, at + 2)
    return at + 1


def _closing(source: str, at: int, char: str) -> int:
    found = source.find(char, at)
    if found < 0:
        raise UnterminatedError(f"{char} is never closed")
    return found


def _after_escaped(source: str, at: int, close: str) -> int:
    while at < len(source):
        if source[at] == close:
            return at + 1
        at += 2 if source[at] == "\\" else 1
    raise UnterminatedError(f"{close} is never closed")


def _after_double(source: str, at: int) -> int:
    while at < len(source):
        char = source[at]
        if char == '"':
            return at + 1
        at = at + 1 if char == "'" else _after(source, at)  # in double quotes a single one is a letter
    raise UnterminatedError('" is never closed')


def _after_brace(source: str, at: int) -> int:
    while at < len(source):
        if source[at] == "}":
            return at + 1
        at = _after(source, at)
    raise UnterminatedError("${ is never closed")


def _after_parenthesis(source: str, at: int) -> int:
    depth = 1
    while at < len(source):
        char = source[at]
        if char == "#" and source[at - 1] in " \t\n;(":
            end = source.find("\n", at)
            at = len(source) if end < 0 else end
        elif char in "()":
            depth += 1 if char == "(" else -1
            at += 1
            if not depth:
                return at
        else:
            at = _after(source, at)
    raise UnterminatedError("( is never closed")


def substitutions(word: str) -> Iterator[tuple[int, int]]:
    """The places of the commands inside `word`, as in $(…), `…`, <(…) and >(…), at its first level only."""
    at = 0
    double = False
    while at < len(word):
        if word[at] == '"':
            double = not double
            at += 1
        elif word.startswith("$((", at):
            at += 3  # arithmetic: go on inside, it may hold commands
        elif word.startswith("$(", at) or (not double and word.startswith(("<(", ">("), at)):
            end = _after(word, at)
            yield at + 2, end - 1
            at = end
        elif word[at] == "`":
            end = _after(word, at)
            yield at + 1, end - 1
            at = end
        elif word.startswith("${", at):
            at += 2  # its value may hold commands: go on inside
        elif double and word[at] == "'":
            at += 1
        else:
            at = _after(word, at)


def unquoted(word: str) -> str:
    """`word` without its quotes, as the shell would see a plain name."""
    return re.sub(r"\\(.)|['\"]", r"\1", word)
